"""SUBESCO (Sultana et al. 2021): `<F or M>_<number>_<name>_S_<sentence>_<EMOTION>_<take>.wav`, in any folder."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {
    "ANGRY": "anger", "DISGUST": "disgust", "FEAR": "fear", "HAPPY": "happiness", "NEUTRAL": "neutral",
    "SAD": "sadness", "SURPRISE": "surprise",
}  # fmt: skip

HELD_OUT = {"09": "valid", "10": "test"}
"""The last woman and the last man are tested on, those before them validated on; there is no official split."""

COUNTS = {name: dict.fromkeys(EMOTIONS, 50 * n) for name, n in (("train", 16), ("valid", 2), ("test", 2))}
"""Utterances in the whole corpus, 7,000: ten women and ten men, ten sentences, five takes."""

NAME = re.compile(
    r"(?P<speaker>[FM]_(?P<number>\d\d))_[A-Z]+_S_(?P<sentence>\d+)_(?P<emotion>[A-Z]+)_(?P<take>\d)\]?\.wav", re.ASCII
)
"""One file has a stray bracket, F_02_MONIKA_S_2_SURPRISE_3].wav."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings."""
    for path in files(db_root, "[FM]_*.wav", "*/[FM]_*.wav"):
        found = NAME.fullmatch(path.name)
        if found and found["emotion"] in EMOTIONS:
            name = f"{found['sentence']}_{found['emotion'].lower()}_{found['take']}"
            set_name = HELD_OUT.get(found["number"], "train")
            yield Utterance(set_name, found["speaker"], name, path, found["emotion"], "bn", "")


CORPUS = Corpus(
    layout=("[FM]_[0-9][0-9]_*_S_*.wav", "*/[FM]_[0-9][0-9]_*_S_*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from Zenodo, record 4526477",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
