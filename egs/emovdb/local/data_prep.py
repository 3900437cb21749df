"""EmoV-DB (Adigwe et al. 2018), OpenSLR 115: `<speaker>_<Emotion>/<style>_<a>-<b>_<number>.wav`.

The copy `EmoV-DB_sorted/<speaker>/<Emotion>` is read too. The number is that of a sentence of CMU ARCTIC's first part;
texts are taken from `cmuarctic.data` if it lies in `--db-root`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Archive, Corpus, Utterance, files, in_share, prepare, read_text
from c2ser.tables import read_table

EMOTIONS = {
    "amused": "happiness", "angry": "anger", "disgust": "disgust", "neutral": "neutral", "sleepy": None,
}  # fmt: skip
"""By folder (written Disgusted); the files begin with anger, sleepiness and so on, in varying case."""

COUNTS = {
    "train": {"amused": 878, "angry": 874, "disgust": 676, "neutral": 1049, "sleepy": 1156},
    "valid": {"amused": 111, "angry": 78, "disgust": 89, "neutral": 128, "sleepy": 135},
    "test": {"amused": 328, "angry": 316, "disgust": 254, "neutral": 391, "sleepy": 430},
}
"""Files of the sorted copy, 6,893: EmoBox's 6,887 and the six that it loses."""

TESTED = read_table(Path(__file__).parent / "emobox_test")
"""The test set of EmoBox's one split, drawn without regard to speakers or sentences."""

FOLDER = re.compile(r"(?P<speaker>bea|jenie|josh|sam)[_/](?P<emotion>amused|angry|disgust(?:ed)?|neutral|sleepy)", re.I)

NUMBER = re.compile(r".*_(?P<number>\d{4})\.wav", re.I)

SENTENCE = re.compile(r'\( arctic_a(?P<number>\d{4}) "(?P<text>.*)" \)')

SPEAKERS = {
    "bea": "amused angry disgusted neutral sleepy",
    "jenie": "amused angry disgusted neutral sleepy",
    "josh": "amused neutral sleepy",
    "sam": "amused angry disgusted neutral sleepy",
}
"""Styles of each speaker."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings; a tenth of what EmoBox trains on is for validation."""
    lists = [path for path in (db_root / "cmuarctic.data", db_root.parent / "cmuarctic.data") if path.exists()]
    lines = (SENTENCE.match(line) for line in (read_text(lists[0]).splitlines() if lists else ()))
    texts = {line["number"]: line["text"] for line in lines if line}
    for path in files(db_root, "*_*/*.wav", "*/*/*.wav"):
        where = FOLDER.fullmatch(path.parent.name) or FOLDER.fullmatch("/".join(path.parts[-3:-1]))
        number = NUMBER.fullmatch(path.name)
        if where and number:
            speaker, label = where["speaker"].lower(), where["emotion"].lower().replace("disgusted", "disgust")
            name = f"{label}_{path.stem}"
            utterance = f"{speaker}-{name}"
            rest = "valid" if in_share(utterance, 10) else "train"
            yield Utterance(
                set="test" if utterance in TESTED else rest,
                speaker=speaker,
                name=name,
                wav=path,
                emotion=label,
                language="en",
                text=texts.get(number["number"], ""),
            )


CORPUS = Corpus(
    layout=("bea_[aA]mused", "bea/[aA]mused", "sam_[aA]mused", "sam/[aA]mused"),
    emotions=EMOTIONS,
    classes={"amused": "amusement", "sleepy": "sleepiness"},
    counts=COUNTS,
    notes=(
        "EmoBox and the paper's Table IV say 6887: six files are lost there because they share speaker, emotion and "
        "number with another; and 1,720 of them are sleepy, which is none of the seven",
    ),
    archives=(
        *(
            Archive(
                f"https://www.openslr.org/resources/115/{speaker}_{style.capitalize()}.tar.gz",
                folder=f"{speaker}_{style.capitalize()}",  # they hold bare files, and speakers share their names
                gigabytes=4,
            )
            for speaker, styles in SPEAKERS.items()
            for style in styles.split()
        ),
        Archive("http://www.festvox.org/cmu_arctic/cmuarctic.data"),
    ),
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
