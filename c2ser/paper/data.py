"""What the data directories hold, as Tables II to IV count it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c2ser.tables import read_table

LENGTH, LABEL = "left out of training", ("none of the seven emotions", "no class", "unknown label")
"""Words in the reasons in `rejected` that stage 0 gives for what is too long and for what has another label."""


@dataclass
class Part:
    """The tables of a data directory, or of several together; what a directory lacks is missing.

    Attributes:
        emotions: class by utterance.
        languages: language by utterance.
        seconds: duration by utterance.
        speakers: speaker by utterance.
        rejected: reason by utterance of what was left out.
    """

    emotions: dict[str, str] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    @property
    def utterances(self) -> int:
        """How many there are."""
        return len(self.emotions)

    @property
    def hours(self) -> float | None:
        """How long they are together; None where the duration of one is not known."""
        known = [self.seconds.get(name) for name in self.emotions]
        return None if None in known else sum(known) / 3600

    def left_out(self) -> Counter:
        """Return how many were left out for their "label", their "length" or something "else"."""
        kinds = Counter()
        for reason in self.rejected.values():
            kinds["length" if LENGTH in reason else "label" if any(words in reason for words in LABEL) else "else"] += 1
        return kinds


def read_part(*folders: Path) -> Part | None:
    """Read data directories, or the data directories in folders, as one; None where none of them is there.

    Raises:
        ValueError: an utterance stands in two of them, or a duration is no number.
    """
    found = [part for folder in folders for part in _directories(folder)]
    if not found:
        return None
    whole = Part()
    for folder in found:
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
    """Return what was learnt from and validated on, by corpus and set ("train", "valid"); absent corpora are left out.

    So are corpora that the joined sets, where they are there, do not hold: they were prepared for another training.

    Raises:
        ValueError: the joined sets hold a corpus that is not among these, or as `read_part`.
    """
    known = list(corpora)
    joined = set()
    for name in ("train", "valid"):
        for utterance in _table(data / name / "utt2emo"):
            corpus = next((corpus for corpus in known if utterance.startswith(f"{corpus}-")), None)
            if corpus is None:
                raise ValueError(f"{utterance}: {data / name} holds a corpus that Table II does not list; "
                                 "add its row to paper.yaml")  # fmt: skip
            joined.add(corpus)
    parts: dict[str, dict[str, Part]] = {}
    for corpus in (corpus for corpus in known if not joined or corpus in joined):
        sets = {name: read_part(data / corpus / name) for name in ("train", "valid")}
        if any(sets.values()):
            parts[corpus] = {name: part or Part() for name, part in sets.items()}
    return parts


def together(parts: Iterable[Part]) -> Part:
    """Return parts of different corpora as one; utterances are told apart by a number before their names."""
    whole = Part()
    for number, part in enumerate(parts):
        for table in ("emotions", "languages", "seconds", "speakers", "rejected"):
            getattr(whole, table).update({f"{number}-{name}": value for name, value in getattr(part, table).items()})
    return whole


def by_class(parts: Mapping[str, Part], table: str) -> dict[str, dict[str, int]]:
    """Return utterances by class and by part.

    Args:
        parts: by the name that a picture shows.
        table: "emotions" or "languages".
    """
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, part in parts.items():
        classes = getattr(part, table)
        for kind, number in Counter(classes.get(utterance, "") or "unknown" for utterance in part.emotions).items():
            counts[kind][name] = number
    return dict(counts)
