"""MESD (Duville et al. 2021): `<Emotion>_<F|M|C>_<A|B>_<word>.wav` in one folder, words spoken by eleven voices.

The names say whether a woman, a man or a child speaks (F, M, C), not who.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, in_share, prepare
from c2ser.tables import read_table

EMOTIONS = {
    "Anger": "anger", "Happiness": "happiness", "Neutral": "neutral", "Sadness": "sadness", "Disgust": "disgust",
    "Fear": "fear",
}  # fmt: skip

COUNTS = {
    "train": {"Anger": 101, "Happiness": 95, "Neutral": 91, "Sadness": 96, "Disgust": 97, "Fear": 95},
    "valid": {"Anger": 7, "Happiness": 13, "Neutral": 17, "Sadness": 12, "Disgust": 11, "Fear": 13},
    "test": {"Anger": 35, "Happiness": 36, "Neutral": 35, "Sadness": 36, "Disgust": 36, "Fear": 36},
}
"""Utterances in the whole corpus, 862."""

TESTED = read_table(Path(__file__).parent / "emobox_test")
"""The test set of EmoBox's one split, drawn without regard to voices."""

NAME = re.compile(r"(?P<emotion>[A-Z][a-z]+)_(?P<voice>[FMC])_(?P<corpus>[AB])_(?P<word>.+)\.wav")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; a tenth of what EmoBox trains on is for validation."""
    for path in files(db_root, "*.wav"):
        found = NAME.fullmatch(path.name)
        if found:
            utterance, word = f"{found['voice']}-{path.stem}", found["word"].replace("_", " ")
            rest = "valid" if in_share(utterance, 10) else "train"
            set_name = "test" if utterance in TESTED else rest
            yield Utterance(set_name, found["voice"], path.stem, path, found["emotion"], "es", word)


CORPUS = Corpus(
    layout=("Anger_[FMC]_[AB]_*.wav", "Neutral_[FMC]_[AB]_*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=(
        "864 are announced; Anger_C_A has no 'hoy' and Neutral_C_A no 'tarde'",
        "voices are not named, so every set has the same three 'speakers' F, M and C",
    ),
    how_to_get="download version 5 from the page that README.md names",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
