"""CREMA-D (Cao et al. 2014): `AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav`, labels as acted."""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare
from c2ser.tables import read_table

EMOTIONS = {
    "ANG": "anger", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness", "DIS": "disgust", "FEA": "fear",
}  # fmt: skip

SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}

COUNTS = {
    "train": {"ANG": 864, "HAP": 866, "NEU": 743, "SAD": 859, "DIS": 858, "FEA": 854},
    "valid": {"ANG": 90, "HAP": 88, "NEU": 73, "SAD": 95, "DIS": 96, "FEA": 100},
    "test": {"ANG": 317, "HAP": 317, "NEU": 271, "SAD": 316, "DIS": 317, "FEA": 317, ALL: 1},
}
"""Utterances in the whole corpus, 7,442, of which one (`ALL`) is silent."""

TESTED = read_table(Path(__file__).parent / "emobox_test")
"""The test set of EmoBox's one split, drawn without regard to speakers."""

FIRST_OF_FOLD = {1001: "1", 1019: "2", 1037: "3", 1055: "4", 1073: "5"}
"""The first actor of each of the five folds of EMO-SUPERB, which share no speaker."""

SILENT = "1076-MTI_SAD_XX"

NAME = re.compile(r"(?P<actor>10\d\d)_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>LO|MD|HI|XX?)\.wav")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; a tenth of what EmoBox trains on is for validation."""
    for path in files(db_root, "AudioWAV/*.wav"):
        found = NAME.fullmatch(path.name)
        if found:
            actor, name = found["actor"], path.stem[5:]
            utterance = f"{actor}-{name}"
            rest = "valid" if in_share(utterance, 10) else "train"
            yield Utterance(
                set="test" if utterance in TESTED else rest,
                speaker=actor,
                name=name,
                wav=path,
                emotion=found["emotion"],
                language="en",
                text=SENTENCES.get(found["sentence"], ""),
                fold=FIRST_OF_FOLD[max(first for first in FIRST_OF_FOLD if first <= int(actor))],
                reject_reason="its recording is silent" if utterance == SILENT else None,
            )


CORPUS = Corpus(
    layout=("AudioWAV/1*.wav",),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=("EmoBox's split shares speakers; utt2fold holds EMO-SUPERB's five folds, which do not",),
    how_to_get="clone CheyneyComputerScience/CREMA-D with git-lfs (its zip holds pointers instead of audio)",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
