"""TESS (Pichora-Fuller & Dupuis 2020): `<speaker>_<emotion>/<speaker>_<word>_<emotion>.wav`, two actresses.

Copies spell the folders differently; the files' last part gives the emotion. Some files are AIFF under the name of wav,
which libsndfile reads by their content.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare

EMOTIONS = {
    "angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness", "ps": "surprise",
    "disgust": "disgust", "fear": "fear",
}  # fmt: skip
"""As the files end; ps is pleasant surprise."""

COUNTS = {ALL: dict.fromkeys(EMOTIONS, 400), "test": dict.fromkeys(EMOTIONS, 200)}
"""Utterances in the whole corpus, 2,800: 200 words of each actress in each emotion."""

SPEAKERS = {"OAF": "OAF", "YAF": "YAF", "OA": "OAF"}
"""The older and the younger actress; one file is misspelt OA_bite_neutral.wav."""

NAME = re.compile(
    r"(?P<speaker>OAF?|YAF)_(?P<word>[a-z]+)_(?P<emotion>angry|happy|neutral|sad|ps|disgust|fear)\.wav", re.I
)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the younger actress is tested on, a tenth of the other's words validated on."""
    for path in files(db_root, "[OY]AF_*/*.wav", "[OY]A*_*.wav"):
        found = NAME.fullmatch(path.name)
        if found:
            speaker, word, emotion = SPEAKERS[found["speaker"].upper()], found["word"].lower(), found["emotion"].lower()
            rest = "valid" if in_share(word, 10) else "train"
            set_name, text = "test" if speaker == "YAF" else rest, f"Say the word {word}."
            yield Utterance(set_name, speaker, f"{word}_{emotion}", path, emotion, "en", text)


CORPUS = Corpus(
    layout=("[OY]AF_*/[OY]AF_*.wav", "[OY]AF_*_*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("two speakers: one to learn from and one to test on is all that there is",),
    how_to_get="download it from Borealis, doi 10.5683/SP2/E8H2MF",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
