"""ShEMO (Mohamad Nezami et al. 2019): `female/F01A01.wav`, `male/M01N01.wav`: speaker, emotion, number."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare

EMOTIONS = {"A": "anger", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness", "W": "surprise"}
"""By letter, W for wonder."""

COUNTS = {ALL: {"A": 1059, "F": 38, "H": 201, "N": 1028, "S": 449, "W": 225}}
"""Utterances in the whole corpus, 3,000."""

NAME = re.compile(r"(?P<speaker>[FM]\d\d)(?P<emotion>[AFHNSW])(?P<number>\d+)\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the corpus has no official split, so a hash of the speaker decides."""
    for path in files(db_root, "female/*.wav", "male/*.wav", "[FM][0-9][0-9][AFHNSW]*.wav"):
        if found := NAME.fullmatch(path.name):
            speaker = found["speaker"]
            rest = "valid" if in_share(f"valid {speaker}", 10) else "train"
            set_name = "test" if in_share(speaker, 20) else rest
            yield Utterance(set_name, speaker, path.stem[3:], path, found["emotion"], "fa", "")


CORPUS = Corpus(
    layout=("*male/[FM][0-9][0-9][AFHNSW]*.wav", "[FM][0-9][0-9][AFHNSW]*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("38 utterances of fear: its recall stands on a few utterances",),
    how_to_get="download it from github.com/mansourehk/ShEMO",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
