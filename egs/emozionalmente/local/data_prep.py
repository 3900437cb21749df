"""Emozionalmente (Catania, Wilke & Garzotto 2025): `metadata/samples.csv` and `audio/<number>.wav`."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, in_share, prepare, read_rows, speaker_id

EMOTIONS = {
    "anger": "anger", "disgust": "disgust", "fear": "fear", "joy": "happiness", "neutrality": "neutral",
    "sadness": "sadness", "surprise": "surprise",
}  # fmt: skip

COUNTS = {ALL: dict.fromkeys(EMOTIONS, 986)}
"""Utterances in the whole corpus, 6,902."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings that `samples.csv` lists; a hash of the actor decides which set they go to."""
    columns = ("file_name", "actor", "sentence", "emotion_expressed")
    for row in read_rows(db_root / "metadata/samples.csv", *columns):
        speaker, name = speaker_id(row["actor"]), Path(row["file_name"]).name
        rest = "valid" if in_share(f"valid {speaker}", 12) else "train"
        set_name = "test" if in_share(speaker, 20) else rest
        path, emotion, text = db_root / "audio" / name, row["emotion_expressed"], row["sentence"]
        yield Utterance(set_name, speaker, Path(name).stem, path, emotion, "it", text)


CORPUS = Corpus(
    layout=("metadata/samples.csv",),
    emotions=EMOTIONS,
    counts=COUNTS,
    how_to_get="download emozionalmente.zip from Zenodo, record 6569824",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
