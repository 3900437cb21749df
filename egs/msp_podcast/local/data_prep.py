"""MSP-Podcast 1.11 (Lotfian & Busso 2019): `Audios/*.wav`, `Labels/labels_consensus.csv`, `Transcripts/*.txt`.

`Labels/labels_detailed.csv` has a row for each annotator of an utterance; without it there are no votes.

Releases up to 1.10 spell the table `labels_concensus.csv` and call the development set Validation; both are read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c2ser.prep import ALL, DIMENSIONS, Corpus, Utterance, files, prepare, read_rows, read_text, speaker_id

EMOTIONS = {
    "A": "anger", "H": "happiness", "N": "neutral", "S": "sadness", "U": "surprise", "D": "disgust", "F": "fear",
    "C": None, "O": None, "X": None,
}  # fmt: skip
"""C is contempt, O another emotion, X no agreement of the raters."""

CLASSES = {"C": "contempt", "O": "other", "X": "no_agreement"}

COUNTS = {
    "train": {ALL: 84030},
    "valid": {"N": 5667, "H": 3340, "A": 2413, "S": 1101, "U": 729, "D": 486, "F": 282, "C": 1323, ALL: 4474},
    "test1": {ALL: 30647},
    "test2": {ALL: 14815},
}
"""Utterances of release 1.11 with labels, 149,307; by emotion they are known for the development set alone."""

SETS = {"train": "train", "development": "valid", "validation": "valid", "test1": "test1", "test2": "test2"}
"""By the table's `Split_Set`, in lower case; the labels of Test3 are not published."""

TABLES = ("Labels/labels_consensus.csv", "Labels/labels_concensus.csv", "labels_consensus.csv", "labels_concensus.csv")


COLUMNS = {"valence": "EmoVal", "arousal": "EmoAct", "dominance": "EmoDom"}
"""Both in the table of labels, which has the means, and in that of the annotators; 1 to 7."""

VOTES = {
    "angry": "anger", "sad": "sadness", "happy": "happiness", "surprise": "surprise", "fear": "fear",
    "disgust": "disgust", "contempt": "contempt", "neutral": "neutral",
}  # fmt: skip
"""What annotators chose as the main emotion; all else is "Other" with a word of their own."""


@dataclass
class Annotators:
    """What the annotators of an utterance said.

    Attributes:
        votes: by class.
        ratings: each one's value by dimension.
    """

    votes: Counter[str] = field(default_factory=Counter)
    ratings: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in DIMENSIONS})


def annotators(path: Path) -> dict[str, Annotators]:
    """Return what the annotators said by file, from the table with a row for each."""
    said: dict[str, Annotators] = defaultdict(Annotators)
    if path.exists():
        for row in read_rows(path, "FileName", "EmoClass_Major", *COLUMNS.values()):
            one = said[row["FileName"]]
            one.votes[VOTES.get(row["EmoClass_Major"].lower(), "other")] += 1
            for name, value in dimensions(row).items():
                one.ratings[name].append(value)
    return said


def dimensions(row: Mapping[str, str]) -> dict[str, float]:
    """Return the values of a row by dimension; an empty cell has none."""
    return {name: float(row[column]) for name, column in COLUMNS.items() if row.get(column)}


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the utterances of the table of labels, in its order."""
    table = next(path for path in map(db_root.joinpath, TABLES) if path.exists())
    audio = next((folder for name in ("Audios", "Audio") if (folder := db_root / name).is_dir()), db_root / "Audios")
    texts = {path.stem: path for path in files(db_root / "Transcripts", "*.txt")}
    raters = annotators(table.with_name("labels_detailed.csv"))
    for row in read_rows(table, "FileName", "EmoClass", "SpkrID", "Split_Set"):
        set_name = SETS.get(row["Split_Set"].lower())
        if set_name:
            stem, said = Path(row["FileName"]).stem, raters.get(row["FileName"], Annotators())
            yield Utterance(
                set=set_name,
                speaker=f"msp_{speaker_id(row['SpkrID'])}",
                name=stem,
                wav=audio / row["FileName"],
                emotion=row["EmoClass"],
                language="en",
                text=read_text(texts[stem]) if stem in texts else "",
                channel="centre",  # one file of an earlier release is stereo
                session="_".join(stem.split("_")[:2]),
                votes=dict(said.votes) or None,
                dimensions=dimensions(row) or None,
                ratings={name: values for name, values in said.ratings.items() if values} or None,
            )


CORPUS = Corpus(
    layout=TABLES,
    emotions=EMOTIONS,
    classes=CLASSES,
    counts=COUNTS,
    notes=(
        "the paper's Table II says 149307 utterances: all with public labels, test sets, X, O and C among them; its "
        "237.94 hours are those of 151,654 with Test3. About 105 to 112 thousand have one of the seven emotions",
        "other releases than 1.11 have other labels and sets; expect differences with them",
    ),
    scale=(1, 7),
    how_to_get="ask the MSP lab of UT Dallas for its agreement",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
