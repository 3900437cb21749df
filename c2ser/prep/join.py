"""Data directories out of data directories: several corpora as one set, sets of a corpus in other roles."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from c2ser.corpus import Utterance, durations, read_data_dir
from c2ser.label_sets import common_label_set
from c2ser.log import get_logger
from c2ser.prep.writer import write_set
from c2ser.tables import read_table

logger = get_logger(__name__)


@dataclass(frozen=True)
class Source:
    """A data directory that becomes part of another one.

    Attributes:
        folder: the directory.
        prefix: stands, with "-", before every speaker and so before every utterance. Folds are then dropped, for they
            mean nothing beside those of other corpora. "" keeps both.
        fold: the fold of all its utterances; None keeps their own folds.
    """

    folder: Path
    prefix: str = ""
    fold: str | None = None

    def utterances(self) -> dict[str, Utterance]:
        """Return the utterances as they will be, by their new ids."""
        read = read_data_dir(self.folder)
        seconds = dict(durations(read))
        changed = (dataclasses.replace(self._changed(one), duration=seconds[i]) for i, one in read.items())
        return {one.id: one for one in changed}

    def rejected(self) -> dict[str, str]:
        """Return the reason of each rejected utterance, by its new id."""
        path = self.folder / "rejected"
        return {self._named(i): reason for i, reason in read_table(path).items()} if path.exists() else {}

    def _changed(self, utterance: Utterance) -> Utterance:
        if self.prefix:
            return dataclasses.replace(utterance, speaker=self._named(utterance.speaker), fold=None)
        return dataclasses.replace(utterance, fold=self.fold or utterance.fold)

    def _named(self, name: str) -> str:
        return f"{self.prefix}-{name}" if self.prefix else name


def join(sources: Sequence[Source], out: Path, max_seconds: float = float("inf")) -> dict[str, Utterance]:
    """Write a data directory with the utterances of others, and return them.

    If some have transcripts, the rest have empty ones. Utterances that they rejected stand in `rejected` again.

    Args:
        sources: where the utterances come from.
        out: the data directory.
        max_seconds: longer utterances are rejected.

    Raises:
        ValueError: an utterance stands in two of them, none is left, or their classes differ.
    """
    labels = common_label_set(source.folder for source in sources)
    joined: dict[str, Utterance] = {}
    rejected: dict[str, str] = {}
    for source in sources:
        part = source.utterances()
        duplicate = next((i for i in part if i in joined), None)
        if duplicate is not None:
            raise ValueError(f"{duplicate}: in {source.folder} and in another part of {out}; give the parts prefixes")
        joined |= part
        rejected |= source.rejected()
    long = {i: f"{one.duration:.1f} s, over {max_seconds:g} s; left out of training"
            for i, one in joined.items() if (one.duration or 0.0) > max_seconds}  # fmt: skip
    kept = {i: one for i, one in joined.items() if i not in long}
    write_set(out, kept, rejected | long, labels)
    logger.info("%s: %d utterances out of %d data directories", out, len(kept), len(sources))
    return kept
