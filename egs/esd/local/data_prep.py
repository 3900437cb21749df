"""ESD (Zhou et al. 2021): `<speaker>/<Emotion>/<speaker>_<number>.wav`, or one folder deeper by the official split.

Labels come from the number, which gives the emotion; the folders' spelling and the tables' last column vary.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare, read_text

BLOCKS = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
"""Emotions of the numbers 1-350, 351-700, …"""

EMOTIONS = dict(zip(BLOCKS, ("neutral", "anger", "happiness", "sadness", "surprise"), strict=True))

HELD_OUT = {"0009": "valid", "0020": "valid", "0010": "test", "0019": "test"}
"""A speaker of each language to validate and to test on, of either sex, 3,500 utterances each."""

COUNTS = {name: dict.fromkeys(BLOCKS, 350 * speakers) for name, speakers in (("train", 16), ("valid", 2), ("test", 2))}
"""Utterances in the whole corpus, 35,000."""

FOLDS = {
    "1": "0005 0011 0016 0018", "2": "0012 0014 0015 0019", "3": "0003 0004 0006 0009", "4": "0007 0008 0013 0020",
    "5": "0001 0002 0010 0017",
}  # fmt: skip
"""Speakers of the test sets of EmoBox's five folds."""

NAME = re.compile(r"(?P<speaker>00\d\d)_(?P<number>\d{6})\.wav")

LABEL = "neutral|angry|happy|sad|surprise|中立|生气|快乐|伤心|惊喜"

LINE = re.compile(rf"\ufeff?(?P<id>00\d\d_ ?\d{{6}})\s+(?P<text>.*?)\s*({LABEL})?\s*", re.I)
"""A line of a transcript: id (some with a blank in it), text, label; tabs or blanks between; some lack the label."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings, speaker by speaker."""
    fold_of = {speaker: fold for fold, speakers in FOLDS.items() for speaker in speakers.split()}
    for speaker in sorted(fold_of):
        texts = transcripts(db_root / speaker / f"{speaker}.txt")
        for path in files(db_root / speaker, "*/*.wav", "*/*/*.wav"):
            found = NAME.fullmatch(path.name)
            if found and found["speaker"] == speaker and 1 <= int(found["number"]) <= 1750:
                yield Utterance(
                    set=HELD_OUT.get(speaker, "train"),
                    speaker=speaker,
                    name=found["number"],
                    wav=path,
                    emotion=BLOCKS[(int(found["number"]) - 1) // 350],
                    language="zh" if speaker <= "0010" else "en",
                    text=texts.get(path.stem, ""),
                    fold=fold_of[speaker],
                )


def transcripts(path: Path) -> dict[str, str]:
    """Return text by utterance; the tables' encodings differ from speaker to speaker."""
    found = (LINE.fullmatch(line) for line in read_text(path).splitlines()) if path.exists() else ()
    return {line["id"].replace(" ", ""): line["text"] for line in found if line}


CORPUS = Corpus(
    layout=("00[012][0-9]/*/00*.wav", "00[012][0-9]/*/*/00*.wav"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=(
        "the paper's Table II says 3500 utterances and 29.1 hours; the hours are those of all 35,000",
        "which 3,500 the paper held out is not published; ours are the speakers 0010 and 0019",
        "all speakers say the same sentences, so texts are shared between the sets",
    ),
    how_to_get="sign the research licence of HLTSingapore/Emotional-Speech-Data",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
