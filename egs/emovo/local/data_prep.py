"""EMOVO (Costantini et al. 2014): `<speaker>/<emotion>-<speaker>-<sentence>.wav`, six actors, fourteen sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {
    "rab": "anger", "gio": "happiness", "neu": "neutral", "tri": "sadness", "sor": "surprise", "dis": "disgust",
    "pau": "fear",
}  # fmt: skip
"""The beginnings of the Italian words."""

SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
"""Short, long and nonsense sentences, and questions."""

FOLDS = {"f2": "1", "m3": "2", "m2": "3", "f3": "4", "f1": "5", "m1": "6"}
"""EmoBox's six folds leave out an actor each."""

HELD_OUT = {"m2": "valid", "f3": "test", "m3": "test"}
"""The corpus has no official split; the other three actors are for training."""

COUNTS = {name: dict.fromkeys(EMOTIONS, 14 * n) for name, n in (("train", 3), ("valid", 1), ("test", 2))}
"""Utterances in the whole corpus, 588."""

NAME = re.compile(r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm][123])-(?P<sentence>[bdln]\d)\.wav", re.I)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings, actor by actor."""
    for path in files(db_root, "[fmFM][123]/*.wav", "[fmFM][123]/*.WAV"):
        found = NAME.fullmatch(path.name)
        if found:
            speaker, emotion, sentence = (found[part].lower() for part in ("speaker", "emotion", "sentence"))
            yield Utterance(
                set=HELD_OUT.get(speaker, "train"),
                speaker=speaker,
                name=f"{emotion}_{sentence}",
                wav=path,
                emotion=emotion,
                language="it",
                text=SENTENCES.get(sentence, ""),
                channel=0,  # the two microphones stood apart: their mean would be a comb filter
                fold=FOLDS[speaker],
            )


CORPUS = Corpus(
    layout=("[fF]1/*-[fF]1-*", "[mM]1/*-[mM]1-*"),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="get EMOVO.zip from the sites that README.md names",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
