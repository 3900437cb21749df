"""RAVDESS speech (Livingstone & Russo 2018): `Actor_NN/03-01-<emotion>-<intensity>-<statement>-<repetition>-NN.wav`.

Flac is found too. Songs (03-02-…) and the copies that some downloads nest one level deeper are not looked at.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Archive, Corpus, Utterance, files, prepare

EMOTIONS = {
    "01": "neutral", "02": None, "03": "happiness", "04": "sadness", "05": "anger", "06": "fear", "07": "disgust",
    "08": "surprise",
}  # fmt: skip
"""By number; 02 is calm, which is none of the seven."""

COUNTS = {
    name: {label: actors * (4 if label == "01" else 8) for label in EMOTIONS}
    for name, actors in (("train", 16), ("valid", 4), ("test", 4))
}
"""Utterances in the whole corpus, 1,440."""

SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

FOLDS = {
    "1": "01 11 20 21", "2": "04 10 12 14", "3": "08 09 19 23", "4": "03 05 07 24", "5": "02 15 16 18",
    "6": "06 13 17 22",
}  # fmt: skip
"""Actors of the test sets of EmoBox's six folds."""

NAME = re.compile(r"03-01-(?P<emotion>0[1-8])-0[12]-(?P<sentence>0[12])-0[12]-(?P<actor>\d\d)\.(wav|flac)")


ARCHIVES = (
    Archive(
        "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
        md5="bc696df654c87fed845eb13823edef8a",
        gigabytes=2,
    ),
)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; EmoBox's first fold is tested on, its second validated on."""
    fold_of = {actor: fold for fold, actors in FOLDS.items() for actor in actors.split()}
    for path in files(db_root, "Actor_*/03-01-*"):
        found = NAME.fullmatch(path.name)
        if found and found["actor"] in fold_of:
            actor, fold = found["actor"], fold_of[found["actor"]]
            yield Utterance(
                set={"1": "test", "2": "valid"}.get(fold, "train"),
                speaker=actor,
                name=path.stem[6:-3],
                wav=path,
                emotion=found["emotion"],
                language="en",
                text=SENTENCES[found["sentence"]],
                channel=0,  # five files are stereo; EmoBox takes the first channel
                fold=fold,
            )


CORPUS = Corpus(
    layout=("Actor_[0-2][0-9]/03-01-*",),
    emotions=EMOTIONS,
    classes={"02": "calm"},
    counts=COUNTS,
    notes=("two recordings of actor 07 (03-01-03-01-02-01 and -02) are the same",),
    archives=ARCHIVES,
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
