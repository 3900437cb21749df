"""MELD (Poria et al. 2019): `<split>_sent_emo.csv` and clips `dia<D>_utt<U>.mp4`; their numbers restart in each split.

The clips' sound is 5.1 (12,109) or stereo (1,597): of the first the front centre, where the voices are, is taken, of
the second the first channel.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare, read_rows, speaker_id

EMOTIONS = {
    "neutral": "neutral", "joy": "happiness", "surprise": "surprise", "anger": "anger", "sadness": "sadness",
    "disgust": "disgust", "fear": "fear",
}  # fmt: skip

COUNTS = {
    "train": {"neutral": 4709, "joy": 1743, "surprise": 1205, "anger": 1109, "sadness": 683, "disgust": 271,
              "fear": 268, ALL: 1},
    "valid": {"neutral": 469, "joy": 163, "surprise": 150, "anger": 153, "sadness": 111, "disgust": 22, "fear": 40,
              ALL: 1},
    "test": {"neutral": 1256, "joy": 402, "surprise": 281, "anger": 345, "sadness": 208, "disgust": 68, "fear": 50},
}  # fmt: skip
"""Usable clips, 13,706, and the two rows (`ALL`) whose clip is unreadable or missing."""

LONG = {
    "train": {"neutral": 2, "joy": 4, "disgust": 1},
    "valid": {"neutral": 1, "anger": 1},
    "test": {"joy": 1, "disgust": 1},
}

FOLDERS = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "valid": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
"""Table and folder of clips of each set."""

FLAWS = {
    ("train", "125", "3"): "its clip is unreadable in every copy (declare-lab/MELD#39)",
    ("valid", "110", "7"): "its clip is missing in every copy (declare-lab/MELD#22)",
}

CLIP = re.compile(r"dia(?P<dialogue>\d+)_utt(?P<number>\d+)\.(mp4|wav)")


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the clips that the tables list, in the order of the tables."""
    for set_name, (table, folder) in FOLDERS.items():
        clips = files(db_root, f"{folder}/*", f"*/{folder}/*")
        paths = {clip(path): path for path in reversed(clips)}  # reversed: mp4 before a wav of the same clip
        for row in read_rows(located(db_root, table), "Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"):
            dialogue, number = row["Dialogue_ID"], row["Utterance_ID"]
            yield Utterance(
                set=set_name,
                speaker=speaker_id(row["Speaker"]),
                name=f"{set_name}_dia{dialogue}_utt{number}",
                wav=paths.get((dialogue, number), db_root / folder / f"dia{dialogue}_utt{number}.mp4"),
                emotion=row["Emotion"].lower(),
                language="en",
                text=row["Utterance"],
                channel="centre",
                reject_reason=FLAWS.get((set_name, dialogue, number)),
            )


def located(db_root: Path, table: str) -> Path:
    """Return the path of a table, which may lie in the folder of its split."""
    found = files(db_root, table, f"*/{table}")
    if not found:
        raise ValueError(f"{db_root}: no {table} in it nor one folder below; take it from declare-lab/MELD")
    return found[0]


def clip(path: Path) -> tuple[str, str] | None:
    """Return the numbers of dialogue and utterance; None for other files, such as `final_videos_test…`."""
    found = CLIP.fullmatch(path.name)
    return (found["dialogue"], found["number"]) if found else None


CORPUS = Corpus(
    layout=("train_sent_emo.csv", "train/train_sent_emo.csv", "train_splits", "train/train_splits"),
    emotions=EMOTIONS,
    counts=COUNTS,
    long=LONG,
    notes=(
        "the paper's Table II has no row for MELD although its text names it; Table IV's 13,706 are all three sets",
        "two test clips are cut wrongly, 305 s and 235 s long; they count, as in the paper's figures",
        "one cast plays in all sets, so speakers are shared",
    ),
    how_to_get="get MELD.Raw.tar.gz and the tables as declare-lab/MELD says, and unpack the three archives in it too",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
