"""CaFE (Gournay, Lahaie & Lefebvre 2018): `<Emotion>/<Faible or Fort>/<actor>-<letter>-<intensity>-<sentence>.wav`.

Neutral speech has no folders of intensity. The version at 192 kHz has aiff files.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {
    "C": "anger", "D": "disgust", "J": "happiness", "N": "neutral", "P": "fear", "S": "surprise", "T": "sadness",
}  # fmt: skip
"""By letter: colère, dégoût, joie, neutre, peur, surprise, tristesse."""

HELD_OUT = {"09": "valid", "10": "valid", "11": "test", "12": "test"}
"""A man and a woman each; the corpus has no official split."""

COUNTS = {
    name: {label: actors * (6 if label == "N" else 12) for label in EMOTIONS}
    for name, actors in (("train", 8), ("valid", 2), ("test", 2))
}
"""Utterances in the whole corpus, 936: six sentences, in two intensities but for neutral."""

SENTENCES = {
    "1": "Un cheval fou dans mon jardin.", "2": "Deux ânes aigris au pelage brun.",
    "3": "Trois cygnes aveugles au bord du lac.", "4": "Quatre vieilles truies éléphantesques.",
    "5": "Cinq pumas fiers et passionnés.", "6": "Six ours aimants domestiqués.",
}  # fmt: skip

NAME = re.compile(r"(?P<actor>\d\d)-(?P<emotion>[CDJNPST])-(?P<intensity>[12])-(?P<sentence>[1-6])\.(wav|aiff)", re.A)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings."""
    for path in files(db_root, "*/*/[01][0-9]-*", "*/[01][0-9]-*", "[01][0-9]-*"):
        if found := NAME.fullmatch(path.name):
            actor, label, text = found["actor"], found["emotion"], SENTENCES[found["sentence"]]
            yield Utterance(HELD_OUT.get(actor, "train"), actor, path.stem[3:], path, label, "fr", text)


CORPUS = Corpus(
    layout=("*/*/[01][0-9]-[CDJPST]-[12]-[1-6].*", "[01][0-9]-[CDJNPST]-[12]-[1-6].*"),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from Zenodo, record 1478765",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
