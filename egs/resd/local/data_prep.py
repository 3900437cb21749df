"""RESD (Amentes, Lubenets & Davidchuk 2022): `train.csv` and `test.csv`, recordings in `train` and `test`."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, in_share, prepare, read_rows

EMOTIONS = {
    "anger": "anger", "disgust": "disgust", "enthusiasm": None, "fear": "fear", "happiness": "happiness",
    "neutral": "neutral", "sadness": "sadness",
}  # fmt: skip

COUNTS = {
    ALL: {"anger": 219, "disgust": 185, "enthusiasm": 198, "fear": 223, "happiness": 218, "neutral": 191,
          "sadness": 162},
}  # fmt: skip
"""Utterances in the whole corpus, 1,396."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings that the tables list; a share of train, drawn by name, is to validate on."""
    for part in ("train", "test"):
        for row in read_rows(db_root / f"{part}.csv", "path", "emotion"):
            path = db_root / part / row["path"]
            name = "_".join(path.stem.split())  # some names have a blank
            set_name = "valid" if part == "train" and in_share(f"valid {name}", 12) else part
            yield Utterance(set_name, "unknown", name, path, row["emotion"], "ru", "")


CORPUS = Corpus(
    layout=("train.csv",),
    emotions=EMOTIONS,
    classes={"enthusiasm": "enthusiasm"},
    counts=COUNTS,
    notes=("speakers are not named: the sets share them, and dialogues too",),
    how_to_get="get Aniemore/resd from huggingface.co and write it as README.md says",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
