"""AESDD (Vryzas et al. 2018): `<emotion>/<letter><sentence> (<actor>).wav`, with a letter behind for another take."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare

EMOTIONS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
"""By the first letter of the file name, which is that of the folder."""

HELD_OUT = {"5": "valid", "6": "test"}
"""Actors; the corpus has no official split."""

COUNTS = {ALL: {"a": 121, "d": 122, "f": 120, "h": 119, "s": 122, ALL: 1}}
"""Utterances of six actors: 604 readable ones, as in EmoBox's list, and the damaged one; there may be more by now."""

DAMAGED = "s05 (3)"
"""EmoBox's list lacks it, and others leave it out by name."""

NAME = re.compile(r"(?P<name>(?P<emotion>[adfhs])\d\d) \(0?(?P<actor>\d+)\)(?P<take>[a-z]?)\.wav", re.ASCII)
"""Some actors are written with a zero: f10 (01).wav."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings."""
    for path in files(db_root, *(f"{emotion}/*.wav" for emotion in EMOTIONS.values())):
        found = NAME.fullmatch(path.name)
        if found and path.parent.name[0] == found["emotion"]:
            actor, name = found["actor"], found["name"] + found["take"]
            reason = "its recording is damaged" if path.stem == DAMAGED else None
            set_name = HELD_OUT.get(actor, "train")
            yield Utterance(set_name, actor, name, path, found["emotion"], "el", "", reject_reason=reason)


CORPUS = Corpus(
    layout=("anger/a[0-9][0-9] (*.wav",),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download it from m3c.web.auth.gr/research/aesdd-speech-emotion-recognition",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
