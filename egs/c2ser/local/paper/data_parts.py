"""The contents of data directories, as Tables II to IV count them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c2ser.tables import read_table

LENGTH, LABEL = "left out of training", ("none of the seven emotions", "no class", "unknown label")
"""Words in the reasons that stage 0 writes to `rejected`: for utterances that are too long, and for other labels."""


@dataclass
class Part:
    """The tables of one data directory, or of several as one; a table that does not exist is empty.

    Attributes:
        emotions: class by utterance.
        languages: language by utterance.
        seconds: duration by utterance.
        speakers: speaker by utterance.
        rejected: reason by rejected utterance.
    """

    emotions: dict[str, str] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    @property
    def utterances(self) -> int:
        """The number of utterances."""
        return len(self.emotions)

    @property
    def hours(self) -> float | None:
        """The total duration; None if the duration of an utterance is unknown."""
        if not self.emotions.keys() <= self.seconds.keys():
            return None
        return sum(self.seconds[name] for name in self.emotions) / 3600

    def count_rejected(self) -> Counter[str]:
        """Return how many utterances were rejected for their "label", for their "length" or for something "else"."""
        kinds: Counter[str] = Counter()
        for reason in self.rejected.values():
            kinds["length" if LENGTH in reason else "label" if any(words in reason for words in LABEL) else "else"] += 1
        return kinds


def read_part(*folders: Path) -> Part | None:
    """Read data directories, or all data directories inside of these folders, as one; None if none of them exists.

    Raises:
        ValueError: an utterance is in two of them, or a duration is not a number.
    """
    directories = [path for folder in folders for path in _directories(folder)]
    if not directories:
        return None
    whole = Part()
    for folder in directories:
        emotions = read_table(folder / "utt2emo")
        twice = next((name for name in emotions if name in whole.emotions), None)
        if twice is not None:
            raise ValueError(f"{twice}: in {folder} and in another set of its corpus; prepare the corpus again")
        whole.emotions |= emotions
        whole.languages |= _table(folder / "utt2lang")
        whole.speakers |= _table(folder / "utt2spk")
        whole.rejected |= _table(folder / "rejected")
        whole.seconds |= {name: _seconds(name, text, folder) for name, text in _table(folder / "utt2dur").items()}
    return whole


def _directories(folder: Path) -> list[Path]:
    if (folder / "utt2emo").exists():
        return [folder]
    return sorted(path.parent for path in folder.glob("*/utt2emo"))


def _table(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def _seconds(name: str, text: str, folder: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: '{text}' in {folder}/utt2dur is no duration; run stage 0 again") from None


def training_parts(data: Path, corpora: Iterable[str]) -> dict[str, dict[str, Part]]:
    """Return the training and validation sets by corpus and set ("train", "valid"), without absent corpora.

    If there are joined sets, a corpus that they do not contain was prepared for another training. It is skipped too.

    Raises:
        ValueError: the joined sets contain a corpus that is not listed; or see `read_part`.
    """
    names = list(corpora)
    joined = set()
    for name in ("train", "valid"):
        for utterance in _table(data / name / "utt2emo"):
            corpus = next((corpus for corpus in names if utterance.startswith(f"{corpus}-")), None)
            if corpus is None:
                raise ValueError(f"{utterance}: {data / name} holds a corpus that Table II does not list; "
                                 "add its row to paper.yaml")  # fmt: skip
            joined.add(corpus)
    parts: dict[str, dict[str, Part]] = {}
    for corpus in (corpus for corpus in names if not joined or corpus in joined):
        sets = {name: read_part(data / corpus / name) for name in ("train", "valid")}
        if any(sets.values()):
            parts[corpus] = {name: part or Part() for name, part in sets.items()}
    return parts


def merge_parts(parts: Iterable[Part]) -> Part:
    """Return parts of different corpora as one; a number before each name keeps the names unique."""
    whole = Part()
    for number, part in enumerate(parts):
        for table in ("emotions", "languages", "seconds", "speakers", "rejected"):
            getattr(whole, table).update({f"{number}-{name}": value for name, value in getattr(part, table).items()})
    return whole


def by_class(parts: Mapping[str, Part], table: str) -> dict[str, dict[str, int]]:
    """Return the number of utterances by class, then by part.

    Args:
        parts: the parts by the name that a picture shows.
        table: what the classes are: "emotions" or "languages".
    """
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, part in parts.items():
        classes = getattr(part, table)
        for kind, number in Counter(classes.get(utterance, "") or "unknown" for utterance in part.emotions).items():
            counts[kind][name] = number
    return dict(counts)
