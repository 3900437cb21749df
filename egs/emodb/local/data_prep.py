"""EMO-DB (Burkhardt et al. 2005): `wav/<speaker><sentence><emotion><version>.wav`, for example 03a01Wa.wav."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Archive, Corpus, Utterance, files, prepare
from c2ser.tables import read_table

EMOTIONS = {
    "W": "anger", "F": "happiness", "N": "neutral", "T": "sadness", "E": "disgust", "A": "fear", "L": None,
}  # fmt: skip
"""Letters of the German words; L is boredom, which is none of the seven."""

COUNTS = {
    "train": {"W": 72, "F": 44, "N": 52, "T": 35, "E": 20, "A": 36, "L": 45},
    "valid": {"W": 28, "F": 10, "N": 11, "T": 14, "E": 10, "A": 18, "L": 13},
    "test": {"W": 27, "F": 17, "N": 16, "T": 13, "E": 16, "A": 15, "L": 23},
}
"""Utterances in the whole corpus, 535."""

SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

HELD_OUT = {"12": "valid", "14": "valid", "15": "test", "16": "test"}
"""A man and a woman for each; the corpus has no official split. The other six speakers are for training."""


FOLDS = read_table(Path(__file__).parent / "utt2fold")
"""EmoBox's five folds; all ten speakers are in each."""

ARCHIVES = (Archive("http://emodb.bilderbar.info/download/download.zip", gigabytes=1),)


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings below `db_root`."""
    for path in files(db_root, "wav/*.wav"):
        speaker, sentence, letter = path.stem[:2], path.stem[2:5], path.stem[5:6]
        if letter in EMOTIONS and sentence in SENTENCES:
            set_name, name = HELD_OUT.get(speaker, "train"), path.stem[2:]
            fold = FOLDS.get(f"{speaker}-{name}")
            yield Utterance(set_name, speaker, name, path, letter, "de", SENTENCES[sentence], fold=fold)


CORPUS = Corpus(
    layout=("wav/[01][0-9][ab][01][0-9]*.wav",),
    emotions=EMOTIONS,
    classes={"L": "boredom"},
    counts=COUNTS,
    archives=ARCHIVES,
)

if __name__ == "__main__":
    prepare(utterances, CORPUS)
