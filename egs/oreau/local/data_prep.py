"""Oréau (Kerkeni et al. 2020), second version: `<f or m>/sess<letter>/<speaker><sentence><LETTER>a.wav`."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare

EMOTIONS = {
    "C": "anger", "D": "disgust", "J": "happiness", "N": "neutral", "P": "fear", "S": "surprise", "T": "sadness",
}  # fmt: skip
"""By letter: colère, dégoût, joie, neutre, peur, surprise, tristesse."""

COUNTS = {ALL: {"C": 67, "D": 67, "J": 62, "N": 70, "P": 51, "S": 62, "T": 55}}
"""Utterances in the second version, 434: those that listeners told rightly."""

NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[a-z]\d\d)(?P<emotion>[CDJNPST])[a-z]\.wav", re.ASCII)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; the corpus has no official split, so a hash of the speaker decides."""
    for path in files(db_root, "[fm]/sess[cdjnpst]/*.wav"):
        found = NAME.fullmatch(path.name)
        if found and path.parent.name[-1] == found["emotion"].lower():
            speaker, label = found["speaker"], found["emotion"]
            rest = "valid" if in_share(f"valid {speaker}", 20) else "train"
            set_name = "test" if in_share(speaker, 25) else rest
            yield Utterance(set_name, speaker, found["sentence"] + label, path, label, "fr", "")


CORPUS = Corpus(
    layout=("[fm]/sess[cdjnpst]/[0-9][0-9]*.wav",),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from Zenodo, record 4405783",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
