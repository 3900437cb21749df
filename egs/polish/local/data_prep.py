"""Emotions in Polish speech (Mięsikowska & Świsulski 2020): `<speaker>.<emotion>_<word>_<take>.wav`, in one folder."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {"a": "anger", "n": "neutral", "s": "fear"}
"""By letter; s is strach."""

HELD_OUT = {"m4": "valid", "m5": "test"}
"""The corpus has no official split; its five speakers are young men."""

COUNTS = {name: dict.fromkeys(EMOTIONS, 30 * n) for name, n in (("train", 3), ("valid", 1), ("test", 1))}
"""Utterances in the whole corpus, 450: six words, five times each, of each speaker and emotion."""

NAME = re.compile(
    r"(?P<speaker>m[1-5])\.(?P<rest>(?P<emotion>[ans])_(?P<word>nie|oddaj|podaj|stop|tak|trzymaj)_[1-5])\.wav", re.A
)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings."""
    for path in files(db_root, "m[1-5].*.wav", "*/m[1-5].*.wav"):
        if found := NAME.fullmatch(path.name):
            speaker = found["speaker"]
            set_name = HELD_OUT.get(speaker, "train")
            yield Utterance(set_name, speaker, found["rest"], path, found["emotion"], "pl", found["word"].capitalize())


CORPUS = Corpus(
    layout=("m[1-5].[ans]_*.wav", "*/m[1-5].[ans]_*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from mostwiedzy.pl, doi 10.34808/h46c-hb44",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
