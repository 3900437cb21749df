"""TurEV-DB (Canpolat, Ormanoğlu & Zeyrek 2020): `Sound Source/<Emotion>/<speaker>_<letters>_<word>.wav`."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare

EMOTIONS = {"Angry": "anger", "Calm": None, "Happy": "happiness", "Sad": "sadness"}
"""By folder; calm is none of the seven, as in RAVDESS."""

HELD_OUT = {"1358": "valid", "6783": "test"}
"""Speakers; the corpus has no official split. These are nkululeko's."""

COUNTS = {ALL: {"Angry": 487, "Calm": 408, "Happy": 357, "Sad": 483}}
"""Utterances in the whole corpus, 1,735."""

NAME = re.compile(r"(?P<speaker>\d{4})_(?P<name>[a-z]+_\w+)\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; words are written without the letters of Turkish, so they are no transcripts."""
    for path in files(db_root, *(f"Sound Source/{emotion}/*.wav" for emotion in EMOTIONS)):
        if found := NAME.fullmatch(path.name):
            speaker = found["speaker"]
            yield Utterance(
                HELD_OUT.get(speaker, "train"), speaker, found["name"], path, path.parent.name, "tr", text=""
            )


CORPUS = Corpus(
    layout=("Sound Source/Calm",),
    emotions=EMOTIONS,
    classes={"Calm": "calm"},
    counts=COUNTS,
    how_to_get="clone github.com/Xeonen/TurEV-DB",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
