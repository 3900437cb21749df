"""EMO-DB (Burkhardt et al. 2005): `wav/<speaker><sentence><emotion><version>.wav`, for example 03a01Wa.wav."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.corpus import Utterance, prepare

EMOTIONS = {
    "W": "anger", "F": "happiness", "N": "neutral", "T": "sadness", "E": "disgust", "A": "fear", "L": None,
}  # fmt: skip
"""Letters of the German words; L is boredom, which is none of the seven."""

COUNTS = {"anger": 127, "happiness": 71, "neutral": 79, "sadness": 62, "disgust": 46, "fear": 69}
"""Utterances in the whole corpus (535 with 81 of boredom)."""

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


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the recordings below `db_root`."""
    for path in sorted(db_root.glob("wav/*.wav")):
        speaker, sentence, letter = path.stem[:2], path.stem[2:5], path.stem[5:6]
        if letter in EMOTIONS and sentence in SENTENCES:
            set_name = HELD_OUT.get(speaker, "train")
            text = SENTENCES[sentence]
            yield Utterance(set_name, speaker, path.stem[2:], path, EMOTIONS[letter], "de", text)


if __name__ == "__main__":
    prepare(utterances, expected=COUNTS)
