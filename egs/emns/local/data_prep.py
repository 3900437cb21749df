"""EMNS (Noriy et al. 2023): `metadata.csv`, with bars between the columns, and `cleaned_webm/<recording>.webm`."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, in_share, prepare, read_rows

EMOTIONS = {
    "Angry": "anger", "Disgust": "disgust", "Excited": None, "Happy": "happiness", "Neutral": "neutral",
    "Sad": "sadness", "Sarcastic": None, "Surprised": "surprise",
}  # fmt: skip

COUNTS = {
    ALL: {"Angry": 126, "Disgust": 162, "Excited": 150, "Happy": 157, "Neutral": 149, "Sad": 147, "Sarcastic": 139,
          "Surprised": 151},
}  # fmt: skip
"""Recordings that the makers have cleaned, 1,181."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the cleaned recordings; the table also lists others. A hash of the name decides which set each goes to."""
    cleaned = {path.name: path for path in files(db_root, "cleaned_webm/*.webm")}
    columns = ("audio_recording", "user_id", "emotion", "utterance")
    for row in read_rows(db_root / "metadata.csv", *columns, separator="|"):
        path = cleaned.get(Path(row["audio_recording"]).name)
        if path is not None:
            name = path.stem.removeprefix("recorded_audio_")
            rest = "valid" if in_share(f"valid {name}", 12) else "train"
            set_name = "test" if in_share(f"test {name}", 20) else rest
            yield Utterance(set_name, row["user_id"], name, path, row["emotion"], "en", row["utterance"])


CORPUS = Corpus(
    layout=("cleaned_webm",),
    emotions=EMOTIONS,
    classes={"Excited": "excitement", "Sarcastic": "sarcasm"},
    counts=COUNTS,
    notes=("one woman speaks: the sets share her",),
    how_to_get="download metadata.csv and cleaned_webm.tar.xz from openslr.org/136",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
