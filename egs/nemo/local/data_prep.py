"""nEMO (Christop 2024): `data.tsv` and `samples/<speaker>_<emotion>_<number>.wav`, or the same in another format."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare, read_rows

EMOTIONS = {
    "anger": "anger", "fear": "fear", "happiness": "happiness", "neutral": "neutral", "sadness": "sadness",
    "surprised": "surprise",
}  # fmt: skip

COUNTS = {
    "train": {"anger": 540, "fear": 539, "happiness": 539, "neutral": 540, "sadness": 540, "surprised": 449},
    "valid": {"anger": 29, "fear": 17, "happiness": 30, "neutral": 90, "sadness": 49, "surprised": 41},
    "test": {"anger": 180, "fear": 180, "happiness": 180, "neutral": 179, "sadness": 180, "surprised": 179},
}
"""Utterances in the whole corpus, 4,481."""

HELD_OUT = {"MP0": "valid", "EB0": "test", "WR0": "test"}
"""A man to validate on, a woman and a man to test on, the other six to learn from; the corpus has no official split."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings that `data.tsv` lists; one whose file is missing is left out and counted."""
    found = {path.stem: path for path in files(db_root, "samples/*")}
    columns = ("file_id", "speaker_id", "emotion", "raw_text")
    for row in read_rows(db_root / "data.tsv", *columns, separator="\t"):
        speaker, stem = row["speaker_id"], Path(row["file_id"]).stem
        name, path = stem.removeprefix(f"{speaker}_"), found.get(stem, db_root / "samples" / row["file_id"])
        yield Utterance(HELD_OUT.get(speaker, "train"), speaker, name, path, row["emotion"], "pl", row["raw_text"])


CORPUS = Corpus(layout=("data.tsv",), emotions=EMOTIONS, counts=COUNTS)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
