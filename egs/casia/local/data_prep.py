"""CASIA, the free subset of 1,200 recordings: `<speaker>/<emotion>/<number>.wav`, numbers 201 to 250.

Copies write the folders in different case. Some have the texts, in GB 18030, beside the recordings.
"""

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


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings of the four speakers."""
    for path in files(db_root, "*/*/*.wav", "*/*/*.WAV"):
        speaker, label = path.parts[-3].lower(), path.parts[-2].lower()
        if speaker in FOLDS and label in EMOTIONS:
            text = path.with_suffix(".txt")
            yield Utterance(
                set=SETS[FOLDS[speaker]],
                speaker=speaker,
                name=f"{label}_{path.stem}",
                wav=path,
                emotion=label,
                language="zh",
                text=read_text(text) if text.exists() else "",
                fold=FOLDS[speaker],
            )


CORPUS = Corpus(
    layout=("[wW]ang[zZ]he/*/*.[wW][aA][vV]", "[lL]iuchanhg/*/*.[wW][aA][vV]"),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("the same 50 texts are spoken by every speaker in every emotion; the subset has no transcripts",),
    how_to_get="get the free subset from the sites that README.md names",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
