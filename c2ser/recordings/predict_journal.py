"""What a run of `c2ser predict` has finished, so that an interrupted one can go on."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from c2ser.recordings.pooling import Outcome, Recording
from c2ser.recordings.results import Segment, Timeline, Unusable
from c2ser.tables import lock


class PredictJournal:
    """The file `<out>.partial`: settings, then a line for each group of recordings that were recognised together.

    Args:
        out: the file or folder of the results.
        settings: what decides the results.
        resume: whether to go on with what a run before has finished.

    Raises:
        ValueError: there is an unfinished run and it should not be resumed, or it had other settings.
    """

    def __init__(self, out: Path, settings: Mapping[str, str], resume: bool) -> None:
        self.path = out.with_name(f"{out.name}.partial")
        self.settings, self.groups = dict(settings), list[list[dict[str, Any]]]()
        if self.path.exists():
            if not resume:
                raise ValueError(f"{self.path}: an unfinished run; go on with it with --resume, or delete the file")
            self._recover()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = open(self.path, "a", encoding="utf-8")
        lock(self._file.fileno(), f"{self.path}: another run is writing it; wait for it, or stop it")
        self._file.truncate(0)
        for entry in (self.settings, *self.groups):
            self._append(entry)

    def _recover(self) -> None:
        entries = []
        for line in self.path.read_bytes().decode("utf-8", "replace").splitlines(keepends=True):
            try:
                entries.append(json.loads(line) if line.endswith("\n") else None)
            except json.JSONDecodeError:
                entries.append(None)
        if entries and entries[0] != self.settings:
            raise ValueError(f"{self.path}: a run with other options; repeat them, or delete the file")
        for entry in entries[1:]:
            if entry is None:  # the end came in the middle of this line
                break
            self.groups.append(entry)

    def _append(self, entry: Any) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def finished(self, recordings: Sequence[Recording]) -> list[Outcome]:
        """Return what is finished of the recordings: the first ones.

        Raises:
            ValueError: the run before had other recordings.
        """
        entries = [entry for group in self.groups for entry in group]
        names = [recording.name for recording in recordings]
        if [entry["name"] for entry in entries] != names[: len(entries)]:
            raise ValueError(f"{self.path}: a run over other recordings; repeat them, or delete the file")
        return [_outcome(entry, recording) for entry, recording in zip(entries, recordings, strict=False)]

    def write(self, group: Sequence[Outcome]) -> None:
        """Note what became of recordings."""
        self._append([_entry(outcome) for outcome in group])

    def __enter__(self) -> "PredictJournal":
        """Return the journal."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the file if all is done; else keep it for `--resume`."""
        self._file.close()
        if kind is None:
            os.unlink(self.path)


def _entry(outcome: Outcome) -> dict[str, Any]:
    timeline = outcome.timeline and dataclasses.asdict(outcome.timeline)
    return {
        "name": outcome.recording.name,
        "timeline": timeline,
        "rejected": [unusable.error for unusable in outcome.rejected],
    }


def _outcome(entry: Mapping[str, Any], recording: Recording) -> Outcome:
    values = entry["timeline"]
    if values is not None:
        values = {**values, "segments": [Segment(**segment) for segment in values["segments"]]}
    rejected = [Unusable(recording.name, error) for error in entry["rejected"]]
    return Outcome(recording, values and Timeline(**values), rejected=rejected)
