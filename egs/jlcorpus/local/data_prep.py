"""JL-Corpus (James, Tian & Watson 2018): `<speaker>_<label>_<sentence><a or b>_<take>.wav` in `JL(wav+txt)`."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {
    "angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness", "excited": None, "anxious": None,
    "apologetic": None, "assertive": None, "concerned": None, "encouraging": None,
}  # fmt: skip
"""The first five are the corpus' primary emotions, the others its secondary ones."""

CLASSES = {
    "excited": "excitement", "anxious": "anxiety", "apologetic": "apology", "assertive": "assertiveness",
    "concerned": "concern", "encouraging": "encouragement",
}  # fmt: skip
"""The names of those that are none of the seven."""

SETS = {"male1": "train", "female1": "train", "male2": "valid", "female2": "test"}
"""The corpus has no official split."""

COUNTS = {name: dict.fromkeys(EMOTIONS, 60 * speakers) for name, speakers in (("train", 2), ("valid", 1), ("test", 1))}
"""Utterances in the whole corpus, 2,400: 15 sentences in two forms, two takes each, of each speaker and label."""

NAME = re.compile(r"(?P<speaker>(fe)?male[12])_(?P<label>[a-z]+)_(?P<rest>\d+[ab]_[12])\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; texts lie beside them in a form that is not documented, and are left out."""
    for path in files(db_root, "*/JL(wav+txt)/*.wav", "JL(wav+txt)/*.wav", "*male[12]_*.wav"):
        found = NAME.fullmatch(path.name)
        if found and found["label"] in EMOTIONS:
            speaker, label = found["speaker"], found["label"]
            yield Utterance(SETS[speaker], speaker, f"{label}_{found['rest']}", path, label, "en", "")


CORPUS = Corpus(
    layout=("*/JL(wav+txt)/*male[12]_*.wav", "JL(wav+txt)/*male[12]_*.wav", "*male[12]_angry_*.wav"),
    emotions=EMOTIONS,
    classes=CLASSES,
    counts=COUNTS,
    how_to_get="download it from kaggle.com/datasets/tli725/jl-corpus",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
