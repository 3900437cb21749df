"""MER2024 (Lian et al. 2024): `label-disdim.csv`, `label-transcription.csv` and clips in `video-labeled`.

Only the labelled training clips have public labels. Speakers are not named.
"""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare, read_rows

EMOTIONS = {
    "angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness", "surprise": "surprise",
    "worried": None,
}  # fmt: skip

COUNTS = {
    ALL: {"neutral": 1248, "angry": 1208, "happy": 1038, "sad": 730, "worried": 616, "surprise": 190},
}
"""Labelled clips, 5,030; by label they are those of MER2023, whose labelled clips are as many."""

SUFFIXES = (".mp4", ".avi", ".wav", ".flac")
"""A clip may be there in several formats; the first of these is taken."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the labelled clips; a tenth each, drawn by name, is to validate and to test on."""
    clips = {path.name.lower(): path for path in files(db_root, "video-labeled/*", "audio-labeled/*")}
    table = db_root / "label-transcription.csv"
    texts = {row["name"]: row["chinese"] for row in read_rows(table, "name", "chinese")} if table.exists() else {}
    for row in read_rows(db_root / "label-disdim.csv", "name", "discrete"):
        name = Path(row["name"]).stem
        found = [clips[name.lower() + suffix] for suffix in SUFFIXES if name.lower() + suffix in clips]
        share = "valid" if in_share(f"valid {name}", 10) else "train"
        yield Utterance(
            set="test" if in_share(f"test {name}", 10) else share,
            speaker="unknown",
            name=name,
            wav=found[0] if found else db_root / "video-labeled" / f"{name}.mp4",
            emotion=row["discrete"].lower(),
            language="zh",
            text=texts.get(row["name"], ""),
            channel="centre",
        )


CORPUS = Corpus(
    layout=("label-disdim.csv",),
    emotions=EMOTIONS,
    classes={"worried": "worry"},
    counts=COUNTS,
    notes=(
        "the paper's Table II says 5030 utterances of five emotions; 616 of them are worried, so 4,414 remain, and 17 "
        "of these are over 20 s",
        "speakers are not named: the sets may share them",
    ),
    how_to_get="accept the licence of MERChallenge/MER2024",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
