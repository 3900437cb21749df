"""ASED (Retta et al. 2023): `<emotion><folder>-<sentence>-<repetition>-<sex>-<speaker>.wav`, a folder per emotion."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare

EMOTIONS = {"a": "anger", "f": "fear", "h": "happiness", "n": "neutral", "s": "sadness"}
"""By the first letter of the file name; one file has a capital one."""

COUNTS = {ALL: {"a": 486, "f": 510, "h": 486, "n": 522, "s": 470}}
"""Utterances in the whole corpus, 2,474."""

NAME = re.compile(r"(?P<name>(?P<emotion>[afhnsS])[1-5]-\d\d-\d\d-0[12])-(?P<speaker>\d\d)\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the corpus has no official split, so speakers over 55 are tested on, over 50 valid."""
    for path in files(db_root, "*/*.wav"):
        if found := NAME.fullmatch(path.name):
            speaker = found["speaker"]
            rest = "valid" if speaker > "50" else "train"
            set_name = "test" if speaker > "55" else rest
            yield Utterance(set_name, speaker, found["name"], path, found["emotion"].lower(), "am", "")


CORPUS = Corpus(
    layout=("*/[afhnsS][1-5]-[0-9][0-9]-*.wav",),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="clone github.com/Ethio2021/ASED_V1",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
