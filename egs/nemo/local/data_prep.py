"""nEMO (Christop 2024): `data.tsv` and `samples/<speaker>_<emotion>_<number>.wav`, or the same in another format."""

import csv
from collections.abc import Iterator
from pathlib import Path

from c2ser.corpus import Utterance, prepare

EMOTIONS = {
    "anger": "anger", "fear": "fear", "happiness": "happiness", "neutral": "neutral", "sadness": "sadness",
    "surprised": "surprise",
}  # fmt: skip

COUNTS = {"anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprise": 669}
"""Utterances in the whole corpus, 4,481."""

HELD_OUT = {"MP0": "valid", "EB0": "test", "WR0": "test"}
"""A man to validate on, a woman and a man to test on, the other six to learn from; the corpus has no official split."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings that `data.tsv` lists; one whose file is missing is left out and counted."""
    files = {path.stem: path for path in (db_root / "samples").glob("*.*")}
    with open(db_root / "data.tsv", encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            speaker, stem = row["speaker_id"].strip(), Path(row["file_id"]).stem
            name, path = stem.removeprefix(f"{speaker}_"), files.get(stem, db_root / "samples" / row["file_id"])
            emotion = EMOTIONS.get(row["emotion"].strip())
            yield Utterance(HELD_OUT.get(speaker, "train"), speaker, name, path, emotion, "pl", row["raw_text"])


if __name__ == "__main__":
    prepare(utterances, expected=COUNTS)
