"""Where the results of `c2ser predict` go: standard output, a file, or a folder with a file for each recording."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from c2ser.recordings.formats import FORMATS, SINGLE, STREAMED, Columns, body, head, render
from c2ser.recordings.pooling import Outcome, Recording
from c2ser.recordings.results import Timeline
from c2ser.tables import write_text

ENDINGS = {"textgrid": ".TextGrid"}
"""Of files whose format is spelt in another way than their ending."""


def choose_format(format: str | None, out: Path | None) -> str:
    """Return the format of the results: the one asked for, else that of the name of the file, else "tsv".

    Raises:
        ValueError: there is no such format, or the name says none.
    """
    ending = out.suffix.lower().removeprefix(".") if out is not None else ""
    chosen = format or ending or "tsv"
    if chosen not in FORMATS:
        what = f"--format {chosen}" if format else f"{out}: its ending"
        raise ValueError(f"{what} names no format; choose --format {', '.join(FORMATS)}")
    return chosen


class Output:
    """The results of a run; a file or folder appears when all is done, standard output is written on the way.

    Args:
        out: a file; a name without an ending is a folder; None for standard output.
        format: one of `FORMATS`.
        columns: of a table.
    """

    def __init__(self, out: Path | None, format: str, columns: Columns) -> None:
        self.out, self.format, self.columns = out, format, columns
        self.timelines: list[tuple[Recording, Timeline]] = []
        if out is None and format in STREAMED:
            sys.stdout.write(head(format, columns))

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take finished recordings, in order."""
        for outcome in outcomes:
            if outcome.timeline is None:
                continue
            self.timelines.append((outcome.recording, outcome.timeline))
            if self.out is None and self.format in STREAMED:
                sys.stdout.write(body(outcome.timeline, self.format, self.columns))
        sys.stdout.flush()

    def finish(self) -> None:
        """Write what is written at the end."""
        timelines = [timeline for _, timeline in self.timelines]
        if self.out is None:
            if self.format not in STREAMED:
                sys.stdout.write(render(timelines, self.format, self.columns))
        elif is_folder(self.out):
            for recording, timeline in self.timelines:
                ending = ENDINGS.get(self.format, f".{self.format}")
                write_text(self.out / f"{recording.place}{ending}", render([timeline], self.format, self.columns))
        else:
            write_text(self.out, render(timelines, self.format, self.columns))


def is_folder(out: Path | None) -> bool:
    """Return whether results go to a folder: a name without an ending is one."""
    return out is not None and not out.suffix


def with_places(recordings: Sequence[Recording], out: Path | None, format: str) -> list[Recording]:
    """Return recordings with places that differ, for a folder: those of one name get the ending of their file, too.

    Raises:
        ValueError: two would still be written to one file, or a file would hold several and its format does not.
    """
    counts = Counter(recording.place for recording in recordings)
    if not is_folder(out):
        if format in SINGLE and len(recordings) > 1:
            raise ValueError(f"{out or '--format ' + format}: {format} holds one recording, and there are "
                             f"{len(recordings)}; give --out a folder")  # fmt: skip
        return [*recordings]
    seen: dict[str, str] = {}
    placed = []
    for recording in recordings:
        place = recording.place + (Path(recording.name).suffix if counts[recording.place] > 1 else "")
        if place in seen:
            raise ValueError(f"{recording.name}: its results would replace those of {seen[place]}; give another "
                             "format, or the two in two runs")  # fmt: skip
        seen[place] = recording.name
        placed.append(replace(recording, place=place))
    return placed
