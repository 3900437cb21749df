"""CASIA, the free subset of 1,200 recordings: `<speaker>/<emotion>/<number>.wav`, numbers 201 to 250.

Copies write the folders in different case. Some have the texts, in GB 18030, beside the recordings.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare, read_text

EMOTIONS = {
    "angry": "anger", "fear": "fear", "happy": "happiness", "neutral": "neutral", "sad": "sadness",
    "surprise": "surprise",
}  # fmt: skip

FOLDS = {"wangzhe": "1", "zhaozuoxiang": "2", "liuchanhg": "3", "zhaoquanyin": "4"}
"""EmoBox's four folds leave out a speaker each; liuchanhg is spelt so in the corpus."""

SETS = {"1": "train", "2": "test", "3": "train", "4": "valid"}
"""By fold; the corpus has no official split."""

COUNTS = {name: dict.fromkeys(EMOTIONS, 50 * n) for name, n in (("train", 2), ("valid", 1), ("test", 1))}
"""Utterances in the whole subset, 1,200."""


LINE = re.compile(r"\ufeff?\s*(?P<number>\d{3})(?:\.wav)?[\s.:,、。：，．-]*(?P<text>\S.*?)\s*", re.I)
"""A line of a list of transcripts."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings of the four speakers."""
    for path in files(db_root, "*/*/*.wav", "*/*/*.WAV"):
        speaker, label = path.parts[-3].lower(), path.parts[-2].lower()
        if speaker in FOLDS and label in EMOTIONS:
            yield Utterance(
                set=SETS[FOLDS[speaker]],
                speaker=speaker,
                name=f"{label}_{path.stem}",
                wav=path,
                emotion=label,
                language="zh",
                text=transcript(path, db_root),
                fold=FOLDS[speaker],
            )


def transcript(path: Path, db_root: Path) -> str:
    """Return the text of a recording: in a file of its name, else in a list beside it or above it, else ""."""
    own = path.with_suffix(".txt")
    if own.exists():
        return read_text(own)
    lists = (texts(folder) for folder in path.parents if folder.is_relative_to(db_root))
    return next((found[path.stem] for found in lists if path.stem in found), "")


@functools.cache
def texts(folder: Path) -> dict[str, str]:
    """Return text by number of the lists in a folder, whose lines are such as `201 text` or `201.wav: text`."""
    lines = [line for path in files(folder, "*.txt", "*.TXT") for line in read_text(path).splitlines()]
    found = (LINE.fullmatch(line) for line in lines)
    return {line["number"]: line["text"] for line in found if line}


CORPUS = Corpus(
    layout=("[wW]ang[zZ]he/*/*.[wW][aA][vV]", "[lL]iuchanhg/*/*.[wW][aA][vV]"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("the same 50 texts are spoken by every speaker in every emotion; not every copy has them",),
    how_to_get="get the free subset from the sites that README.md names",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
