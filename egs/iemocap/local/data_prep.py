"""IEMOCAP (Busso et al. 2008): `Session<n>/sentences/wav/<dialogue>/<utterance>.wav`, labels and texts by dialogue.

The speaker is the session and the letter of the last part of an utterance's name: in Ses01F_impro04_M003 the man of
session 1 speaks; the F before says who wore the markers in that dialogue.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare, read_text

EMOTIONS = {
    "neu": "neutral", "hap": "happiness", "exc": "happiness", "ang": "anger", "sad": "sadness",
    "fru": None, "sur": None, "fea": None, "dis": None, "oth": None, "xxx": None,
}  # fmt: skip
"""The four that the paper and EmoBox use; surprise, fear and disgust are 149 utterances in all."""

COUNTS = {
    "train": {"neu": 1066, "hap": 387, "exc": 504, "ang": 606, "sad": 696, ALL: 2507},
    "valid": {"neu": 258, "hap": 65, "exc": 238, "ang": 327, "sad": 143, ALL: 1072},
    "test": {"neu": 384, "hap": 143, "exc": 299, "ang": 170, "sad": 245, ALL: 929},
}
"""Utterances in the whole corpus, 10,039, of which 5,531 with one of the four."""

LONG = {
    "train": {"neu": 1, "sad": 6},
    "valid": {"ang": 1, "sad": 2},
    "test": {"ang": 1, "exc": 3, "sad": 2},
}

SETS = {"1": "train", "2": "train", "3": "train", "4": "valid", "5": "test"}
"""By session; the corpus has no official split."""

LABEL = re.compile(r"\[\d[^\]]*\]\t(?P<name>Ses\d\d[FM]\w+)\t(?P<label>[a-z]{3})\t")
TEXT = re.compile(r"(?P<name>Ses\d\d[FM]\w+) \[[\d.]+-[\d.]+\]: ?(?P<text>.*)")
NAME = re.compile(r"Ses0(?P<session>[1-5])[FM]_\w+_(?P<who>[FM])\d{3}")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the labelled utterances, session by session."""
    for evaluation in files(db_root, "Session*/dialog/EmoEvaluation/*.txt"):
        texts = transcripts(evaluation.parents[1] / "transcriptions" / evaluation.name)
        sentences = evaluation.parents[2] / "sentences/wav" / evaluation.stem
        for line in read_text(evaluation).splitlines():
            found = LABEL.match(line)
            parts = NAME.fullmatch(found["name"]) if found else None
            if found and parts:
                name, session = found["name"], parts["session"]
                yield Utterance(
                    set=SETS[session],
                    speaker=f"Ses0{session}{parts['who']}",
                    name=name,
                    wav=sentences / f"{name}.wav",
                    emotion=found["label"],
                    language="en",
                    text=texts.get(name, ""),
                    fold=session,
                    session=session,
                )


def transcripts(path: Path) -> dict[str, str]:
    """Return text by utterance; lines without times have no recording."""
    found = (TEXT.match(line) for line in read_text(path).splitlines()) if path.exists() else ()
    return {line["name"]: line["text"].strip() for line in found if line}


CORPUS = Corpus(
    layout=("Session1/dialog/EmoEvaluation",),
    emotions=EMOTIONS,
    counts=COUNTS,
    long=LONG,
    notes=("the paper's Table II says 5331 utterances; its own total needs 5531, and its 7.0 hours are those of 5531",),
    how_to_get="sign the release form of USC's SAIL",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
