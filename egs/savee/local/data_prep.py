"""SAVEE (Haq & Jackson 2009): `AudioData/<speaker>/<letters><number>.wav`, or flat: `<speaker>_<letters><number>`."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {
    "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness", "su": "surprise",
}  # fmt: skip
"""By the letters at the start of the file name, as the corpus' Info.txt says."""

SETS = {"DC": "train", "JE": "train", "JK": "valid", "KL": "test"}
"""The corpus has no official split; its four speakers are men."""

COUNTS = {
    name: {label: speakers * (30 if label == "n" else 15) for label in EMOTIONS}
    for name, speakers in (("train", 2), ("valid", 1), ("test", 1))
}
"""Utterances in the whole corpus, 480."""

NAME = re.compile(r"(?:(?P<speaker>DC|JE|JK|KL)_)?(?P<emotion>sa|su|[adfhn])(?P<number>\d\d)\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings of the four speakers; the speaker is the folder, or stands in the file name."""
    for path in files(db_root, "AudioData/*/*.wav", "D*/*.wav", "[JK]*/*.wav", "[DJK]*_*.wav"):
        found = NAME.fullmatch(path.name)
        speaker = (found["speaker"] or path.parent.name) if found else ""
        if found and speaker in SETS:
            name = f"{found['emotion']}{found['number']}"
            yield Utterance(SETS[speaker], speaker, name, path, found["emotion"], "en", "")


CORPUS = Corpus(
    layout=("AudioData/DC/*.wav", "DC/a[0-9][0-9].wav", "DC_a[0-9][0-9].wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="register at kahlan.eps.surrey.ac.uk/savee",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
