"""MER2023 (Lian et al. 2023): `<set>-label.csv` and clips in `<set>/`, of the sets train, test1, test2 and test3.

Speakers are not named. The tables have no transcripts.
"""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare, read_rows

EMOTIONS = {
    "angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness", "surprise": "surprise",
    "worried": None,
}  # fmt: skip

COUNTS = {
    ALL: {"neutral": 1248, "angry": 1208, "happy": 1038, "sad": 730, "worried": 616, "surprise": 190},
}
"""Labelled clips of all sets, 5,030."""

SETS = {"train": "train", "test1": "test", "test2": "test_noise", "test3": "test_semi"}
"""Ours by the organisers' name; those tested are MER-MULTI, MER-NOISE and MER-SEMI."""

SUFFIXES = (".avi", ".mp4")
"""The first of these is taken."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the labelled clips of the sets whose table is there; a tenth of train, drawn by name, is to validate on."""
    for source, set_name in SETS.items():
        clips = {path.name: path for path in files(db_root, f"{source}/*", f"*/{source}/*")}
        for table in files(db_root, f"{source}-label.csv", f"*/{source}-label.csv")[:1]:
            for row in read_rows(table, "name", "discrete"):
                name = row["name"]
                found = [clips[name + suffix] for suffix in SUFFIXES if name + suffix in clips]
                valid = set_name == "train" and in_share(f"valid {name}", 10)
                yield Utterance(
                    set="valid" if valid else set_name,
                    speaker="unknown",
                    name=name,
                    wav=found[0] if found else db_root / source / f"{name}.avi",
                    emotion=row["discrete"],
                    language="zh",
                    text="",
                    channel="centre",
                )


CORPUS = Corpus(
    layout=("train-label.csv", "*/train-label.csv"),
    emotions=EMOTIONS,
    classes={"worried": "worry"},
    counts=COUNTS,
    notes=("speakers are not named: the sets may share them",),
    how_to_get="accept the licence of MERChallenge/MER2023",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
