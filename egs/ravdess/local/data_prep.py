"""RAVDESS speech (Livingstone & Russo 2018): `Actor_NN/03-01-<emotion>-<intensity>-<statement>-<repetition>-NN.wav`.

The archive's folder `Audio_Speech_Actors_01-24` may be given, or the folder that holds it; flac is found too. Songs
(03-02-…) and the copies that some downloads nest one level deeper are not looked at.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.corpus import Utterance, prepare

EMOTIONS = {
    "01": "neutral", "02": None, "03": "happiness", "04": "sadness", "05": "anger", "06": "fear", "07": "disgust",
    "08": "surprise",
}  # fmt: skip
"""By number; 02 is calm, which is none of the seven."""

COUNTS = {e: 96 if e == "neutral" else 192 for e in EMOTIONS.values() if e}
"""Utterances in the whole corpus (1,440 with 192 of calm)."""

SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

FOLDS = {
    "1": "01 11 20 21", "2": "04 10 12 14", "3": "08 09 19 23", "4": "03 05 07 24", "5": "02 15 16 18",
    "6": "06 13 17 22",
}  # fmt: skip
"""Actors of the test sets of EmoBox's six folds."""

NAME = re.compile(r"03-01-(?P<emotion>0[1-8])-0[12]-(?P<sentence>0[12])-0[12]-(?P<actor>\d\d)\.(wav|flac)")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; EmoBox's first fold is tested on, its second validated on."""
    fold_of = {actor: fold for fold, actors in FOLDS.items() for actor in actors.split()}
    inner = db_root / "Audio_Speech_Actors_01-24"
    for path in sorted((inner if inner.is_dir() else db_root).glob("Actor_*/03-01-*")):
        found = NAME.fullmatch(path.name)
        if found and found["actor"] in fold_of:
            actor, fold = found["actor"], fold_of[found["actor"]]
            yield Utterance(
                set={"1": "test", "2": "valid"}.get(fold, "train"),
                speaker=actor,
                name=path.stem[6:-3],
                wav=path,
                emotion=EMOTIONS[found["emotion"]],
                language="en",
                text=SENTENCES[found["sentence"]],
                channel=0,  # five files are stereo; EmoBox takes the first channel
                fold=fold,
            )


if __name__ == "__main__":
    prepare(utterances, expected=COUNTS)
