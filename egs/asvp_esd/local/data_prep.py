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
    "train": {"02": 868, "03": 391, "04": 368, "05": 720, "06": 105, "07": 120, "08": 333, "01": 69, "09": 175,
              "10": 24, "11": 41, "12": 200, "17": 1},
    "valid": {"02": 109, "03": 70, "04": 38, "05": 74, "06": 24, "07": 14, "08": 34, "01": 5, "09": 16, "10": 4,
              "11": 5, "12": 20},
    "test": {"02": 337, "03": 152, "04": 145, "05": 270, "06": 41, "07": 56, "08": 125, "01": 24, "09": 79, "10": 7,
             "11": 8, "12": 68},
    "train_other": {"02": 199, "03": 838, "04": 1450, "05": 257, "06": 692, "07": 485, "08": 749, "01": 305, "09": 99,
                    "10": 230, "11": 514, "12": 49, "13": 110},
    "valid_other": {"02": 23, "03": 102, "04": 165, "05": 39, "06": 64, "07": 56, "08": 74, "01": 32, "09": 11,
                    "10": 16, "11": 66, "12": 5, "13": 19},
    "test_other": {"02": 62, "03": 315, "04": 528, "05": 93, "06": 254, "07": 168, "08": 271, "01": 113, "09": 21,
                   "10": 84, "11": 200, "12": 23, "13": 43},
}  # fmt: skip
"""Files of the whole corpus, 13,964."""

LONG = {
    "train": {"02": 4, "04": 8, "05": 2, "07": 2, "08": 1, "12": 4, "17": 1},
    "valid": {"02": 2, "03": 1},
    "test": {"01": 1, "02": 3, "05": 1, "12": 3},
    "train_other": {"03": 1, "04": 4, "06": 1, "11": 1, "13": 6},
    "valid_other": {"02": 1, "13": 1},
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
