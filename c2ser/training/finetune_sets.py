"""The data of a fine-tuning: one data directory, or a folder of them; a validation set of speakers of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from c2ser.corpus import read_data_dir
from c2ser.data.subset import write_subset
from c2ser.log import get_logger
from c2ser.prep.assign_sets import deal_speakers

logger = get_logger(__name__)


@dataclass(frozen=True)
class FinetuneSets:
    """Data directories.

    Attributes:
        train: to learn from.
        valid: to choose the best weights and the temperature on.
        tests: to score; there may be none.
    """

    train: Path
    valid: Path
    tests: tuple[Path, ...] = ()

    def scored(self) -> dict[str, Path]:
        """Return the sets that are scored, by name."""
        return {folder.resolve().name: folder for folder in (self.valid, *self.tests)}


def find_sets(data: Path, valid: Path | None, tests: Sequence[Path] | None, out: Path) -> FinetuneSets:
    """Return the data directories that are meant; if there is no validation set, split one off.

    Args:
        data: a data directory, or a folder with train, perhaps valid, and test, test1 and so on.
        valid: the validation set; None takes that of the folder.
        tests: the test sets; None takes those of the folder.
        out: folder of the results; `data/train` and `data/valid` in it hold what was split.

    Raises:
        ValueError: there is no data, two sets have one name, or there are too few speakers to split.
    """
    folder = data if (data / "wav.scp").exists() else data / "train"
    if not (folder / "wav.scp").exists():
        raise ValueError(f"{data}: neither a data directory nor a folder with train/; make one with c2ser import")
    if folder != data:
        valid = valid or (data / "valid" if (data / "valid/wav.scp").exists() else None)
        tests = tests or sorted(path.parent for path in data.glob("test*/wav.scp"))
    train, valid = (folder, valid) if valid else split_speakers(folder, out / "data")
    names = [path.resolve().name for path in (train, valid, *(tests or ()))]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{double}: two sets have this name, under which results are written; rename one of them")
    return FinetuneSets(train, valid, tuple(tests or ()))


def split_speakers(folder: Path, out: Path) -> tuple[Path, Path]:
    """Split a fifth of a data directory off, always the same one, and no speaker is on both sides.

    Returns:
        the data directories `train` and `valid` below `out`.

    Raises:
        ValueError: there is one speaker alone.
    """
    utterances = read_data_dir(folder)
    folds = deal_speakers([*utterances.values()], {u.emotion: u.emotion for u in utterances.values() if u.emotion})
    if len({*folds.values()}) < 2:
        raise ValueError(f"{folder}: one speaker alone, so no other can validate; give a validation set with --valid")
    chosen = {name for name, utterance in utterances.items() if folds[utterance.speaker] == "1"}
    for name, part in (("valid", chosen), ("train", {*utterances} - chosen)):
        write_subset(folder, out / name, part, {}, {})
    speakers = Counter(
        folds[utterance.speaker] == "1" for utterance in {u.speaker: u for u in utterances.values()}.values()
    )
    logger.info("no validation set: %d of %d utterances, those of %d of %d speakers, became %s", len(chosen),
                len(utterances), speakers[True], len(folds), out / "valid")  # fmt: skip
    return out / "train", out / "valid"
