"""URDU (Latif et al. 2018): `<Emotion>/<speaker>_F<file>_<letter><number>.wav`, such as `Angry/SM1_F1_A01.wav`."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare

EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
"""By letter, the first of the folder's name too."""

COUNTS = {ALL: dict.fromkeys(EMOTIONS, 100)}
"""Utterances in the whole corpus, 400."""

NAME = re.compile(r"(?P<speaker>S[FM]\d+)_(?P<name>F\d+_(?P<emotion>[AHNS])\d+)\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the corpus has no official split, so a hash of the speaker decides."""
    for path in files(db_root, *(f"{folder}/S*_*.wav" for folder in ("Angry", "Happy", "Neutral", "Sad"))):
        found = NAME.fullmatch(path.name)
        if found and path.parent.name[0] == found["emotion"]:
            speaker = found["speaker"]
            rest = "valid" if in_share(f"valid {speaker}", 20) else "train"
            set_name = "test" if in_share(speaker, 25) else rest
            yield Utterance(set_name, speaker, found["name"], path, found["emotion"], "ur", "")


CORPUS = Corpus(
    layout=("Angry/S[FM]*_A*.wav",),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from github.com/siddiquelatif/URDU-Dataset",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
