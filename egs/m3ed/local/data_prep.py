"""M3ED (Zhao et al. 2022): `annotation.json`, `splitInfo/movie_list_*.txt`, `modality_speech/<A|B>_<name>.wav`."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import ALL, Corpus, Utterance, files, prepare, read_text, speaker_id
from c2ser.tables import read_json

EMOTIONS = {
    "Anger": "anger", "Happy": "happiness", "Neutral": "neutral", "Sad": "sadness", "Surprise": "surprise",
    "Disgust": "disgust", "Fear": "fear",
}  # fmt: skip

COUNTS = {
    "train": {"Neutral": 7126, "Anger": 3814, "Sad": 2734, "Happy": 1625, "Disgust": 1145, "Surprise": 696,
              "Fear": 280, ALL: 7},
    "valid": {"Neutral": 1042, "Anger": 681, "Sad": 489, "Happy": 303, "Disgust": 134, "Surprise": 120, "Fear": 50,
              ALL: 2},
    "test": {"Neutral": 1853, "Anger": 736, "Sad": 734, "Happy": 358, "Surprise": 234, "Disgust": 218, "Fear": 65,
             ALL: 3},
}  # fmt: skip
"""Utterances with sound, 24,437, and those (`ALL`) whose file is empty."""

SETS = {"train": "train", "val": "valid", "test": "test"}
"""By the lists of television series; a series is in one set."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the annotated utterances, series by series."""
    set_of = {show: name for part, name in SETS.items() for show in shows(db_root / f"splitInfo/movie_list_{part}.txt")}
    paths = {path.stem: path for path in files(db_root, "modality_speech/*.wav", "modality_speech/*/*.wav")}
    for show, dialogues in sorted(read_json(db_root / "annotation.json").items()):
        for dialogue in dialogues.values():
            for name, turn in dialogue["Dialog"].items():
                letter = turn["Speaker"]
                stem = f"{letter}_{name}"
                person = dialogue["SpeakerInfo"].get(letter, {}).get("Name", letter)
                if show in set_of:
                    yield Utterance(
                        set=set_of[show],
                        speaker=f"{speaker_id(show)}_{speaker_id(person)}",
                        name=name,
                        wav=paths.get(stem, db_root / "modality_speech" / f"{stem}.wav"),
                        emotion=turn["EmoAnnotation"]["final_main_emo"],
                        language="zh",
                        text=turn["Text"],
                        session=show,
                    )


def shows(path: Path) -> list[str]:
    """Return the series of a list, whose last line has no line break.

    Raises:
        ValueError: the list is missing.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file; take the folder splitInfo from AIM3-RUC/RUCM3ED")
    return read_text(path).split()


CORPUS = Corpus(
    layout=("annotation.json",),
    emotions=EMOTIONS,
    counts=COUNTS,
    notes=(
        "24,449 are annotated; 12 files are empty. The paper's Table IV and EmoBox say 24437, all three sets",
        "its Table VI fits the 4,198 of the test set",
    ),
    how_to_get="get annotations and sound as AIM3-RUC/RUCM3ED says",
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
