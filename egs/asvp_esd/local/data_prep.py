"""ASVP-ESD (Landry et al. 2020, update): `Audio/actor_<n>/*.wav` and `Bonus/actor_<n>/*.wav`, mostly not speech.

Names are fields with "-" between: modality, channel (01 speech, 02 other voice), emotion, intensity, statement, actor,
age, source, language and more. Laughter, cries and the like go to the sets `train_other`, `valid_other`, `test_other`.
"""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Archive, Corpus, Utterance, files, in_share, prepare
from c2ser.tables import read_table

EMOTIONS = {
    "02": "neutral", "03": "happiness", "04": "sadness", "05": "anger", "06": "fear", "07": "disgust", "08": "surprise",
    "01": None, "09": None, "10": None, "11": None, "12": None, "13": None, "17": None,
}  # fmt: skip
"""By number; the meaning of 01 and 02 is not that of RAVDESS."""

CLASSES = {
    "01": "boredom", "09": "excitement", "10": "pleasure", "11": "pain", "12": "disappointment", "13": "breath",
    "17": "unknown",
}  # fmt: skip

COUNTS = {
    "train": {"02": 873, "03": 417, "04": 366, "05": 724, "06": 118, "07": 124, "08": 329, "01": 68, "09": 170,
              "10": 26, "11": 39, "12": 191},
    "valid": {"02": 104, "03": 44, "04": 40, "05": 70, "06": 11, "07": 10, "08": 38, "01": 6, "09": 21, "10": 2,
              "11": 7, "12": 29, "17": 1},
    "test": {"02": 337, "03": 152, "04": 145, "05": 270, "06": 41, "07": 56, "08": 125, "01": 24, "09": 79,
             "10": 7, "11": 8, "12": 68},
    "train_other": {"02": 191, "03": 846, "04": 1426, "05": 261, "06": 678, "07": 491, "08": 737, "01": 301,
                    "09": 100, "10": 214, "11": 517, "12": 51, "13": 116},
    "valid_other": {"02": 31, "03": 94, "04": 189, "05": 35, "06": 78, "07": 50, "08": 86, "01": 36, "09": 10,
                    "10": 32, "11": 63, "12": 3, "13": 13},
    "test_other": {"02": 62, "03": 315, "04": 528, "05": 93, "06": 254, "07": 168, "08": 271, "01": 113, "09": 21,
                   "10": 84, "11": 200, "12": 23, "13": 43},
}  # fmt: skip
"""Files of the whole corpus, 13,964."""

LONG = {
    "train": {"02": 5, "03": 1, "04": 6, "05": 2, "07": 1, "08": 1, "12": 4},
    "valid": {"02": 1, "04": 2, "07": 1, "17": 1},
    "test": {"02": 3, "05": 1, "01": 1, "12": 3},
    "train_other": {"02": 1, "03": 1, "04": 3, "06": 1, "11": 1, "13": 7},
    "valid_other": {"04": 1},
    "test_other": {"04": 4, "06": 1, "13": 3},
}

TESTED = read_table(Path(__file__).parent / "emobox_test")
"""The test set of EmoBox's one split of both folders, drawn without regard to actors."""

LANGUAGES = {"01": "zh", "02": "en", "04": "fr"}


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the files; a tenth of what EmoBox trains on is for validation."""
    for path in files(db_root, "Audio/actor_*/*.wav", "Bonus/actor_*/*.wav"):
        fields = path.stem.split("-")
        if len(fields) >= 8 and fields[2] in EMOTIONS:
            name = "_".join(path.stem.split())  # one name has a blank
            rest = "valid" if in_share(name, 10) else "train"
            set_name = "test" if name in TESTED else rest
            yield Utterance(
                set=set_name if fields[1] == "01" else f"{set_name}_other",
                speaker=speaker_of(path, fields[5]),
                name=name,
                wav=path,
                emotion=fields[2],
                language=LANGUAGES.get(fields[8], "und") if len(fields) > 8 else "und",
                text="",
            )


def speaker_of(path: Path, field: str) -> str:
    """Return the actor by the folder, for the field of the name is sometimes wrong; the folder may lack its number."""
    number = path.parent.name.removeprefix("actor_") or field
    folder = "bonus" if path.parts[-3] == "Bonus" else "actor"
    return f"{folder}{int(number):04d}" if number.isdigit() else f"{folder}_{number}"


CORPUS = Corpus(
    layout=("Audio/actor_*",),
    emotions=EMOTIONS,
    classes=CLASSES,
    counts=COUNTS,
    long=LONG,
    notes=(
        "the paper's Table IV says 13964 and lists five emotions; that is every file, 14 codes; 8,824 are not speech",
        "EmoBox's split is the union of the sets with and without `_other`; it shares actors",
        "there are no transcripts",
    ),
    archives=(Archive("https://zenodo.org/records/7132783/files/ASVP-ESD-Update.zip", gigabytes=10),),
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
