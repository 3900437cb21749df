"""IEMOCAP (Busso et al. 2008): `Session<n>/sentences/wav/<dialogue>/<utterance>.wav`, labels and texts by dialogue.

The speaker is the session and the letter of the last part of an utterance's name: in Ses01F_impro04_M003 the man of
session 1 speaks; the F before says who wore the markers in that dialogue.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from c2ser.prep import ALL, DIMENSIONS, Corpus, Utterance, files, prepare, read_text

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
ANNOTATOR = re.compile(r"C-E\d+:\s*(?P<classes>[^(]*)")
RATER = re.compile(r"A-E\d+:\s*val\s*(?P<valence>\d*)\s*;\s*act\s*(?P<arousal>\d*)\s*;\s*dom\s*(?P<dominance>\d*)")
VOTES = {"neutral_state": "neutral", "excited": "happiness"}
"""Classes of single annotators that `EMOTIONS` merges; the others have the names of the emotions, in English."""

NAME = re.compile(r"Ses0(?P<session>[1-5])[FM]_\w+_(?P<who>[FM])\d{3}")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the labelled utterances, session by session."""
    for evaluation in files(db_root, "Session*/dialog/EmoEvaluation/*.txt"):
        texts = transcripts(evaluation.parents[1] / "transcriptions" / evaluation.name)
        sentences = evaluation.parents[2] / "sentences/wav" / evaluation.stem
        lines = read_text(evaluation).splitlines()
        for place, line in enumerate(lines):
            found = LABEL.match(line)
            parts = NAME.fullmatch(found["name"]) if found else None
            if found and parts:
                name, session = found["name"], parts["session"]
                said = list(takewhile(lambda one: not LABEL.match(one), lines[place + 1 :]))
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
                    votes=votes(said),
                    dimensions=dimensions(line),
                    ratings=ratings(said),
                )


def votes(lines: Iterable[str]) -> dict[str, float] | None:
    """Return the votes of the outside annotators (C-E1 to C-E4); who names several classes gives each an equal share.

    The actors' own labels (C-F1, C-M1) do not count; the corpus' label does not count them either.
    """
    shares: defaultdict[str, float] = defaultdict(float)
    for found in filter(None, map(ANNOTATOR.match, lines)):
        names = ["_".join(word.lower().split()) for word in found["classes"].split(";") if word.strip()]
        for name in names:
            shares[VOTES.get(name, name)] += 1 / len(names)
    return dict(shares) or None


def dimensions(line: str) -> dict[str, float] | None:
    """Return the means of an utterance's line, `[valence, activation, dominance]` from 1 to 5."""
    numbers = re.findall(r"\d+(?:\.\d+)?", line.rpartition("[")[2])
    return dict(zip(DIMENSIONS, map(float, numbers), strict=True)) if len(numbers) == len(DIMENSIONS) else None


def ratings(lines: Iterable[str]) -> dict[str, list[float]] | None:
    """Return the values of the outside annotators (A-E1 to A-E4); some left a dimension out."""
    found = [match.groupdict() for match in map(RATER.match, lines) if match]
    values = {name: [float(row[name]) for row in found if row[name]] for name in DIMENSIONS}
    return {name: numbers for name, numbers in values.items() if numbers} or None


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
    scale=(1, 5),
    how_to_get="sign the release form of USC's SAIL",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
