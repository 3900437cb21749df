"""The words of the field as constants: emotions, attributes, levels."""

from collections.abc import Iterable

EMOTIONS = ("anger", "happiness", "neutral", "sadness", "surprise", "disgust", "fear")
"""The seven emotions, in the paper's order (section IV.A)."""

UNPARSED = "unparsed"
"""The label of an answer in which no single emotion can be read."""

ATTRIBUTES = ("pitch", "loudness", "rate")
"""The order of the numbers in `utt2attr` (Hz, LUFS, phonemes/s) and of the words in `utt2level`."""

LEVELS = ("low", "medium", "high")
"""The levels that an attribute takes (section III.C, step 2)."""

WORDS = {
    "anger": {"en": "anger", "zh": "愤怒"},
    "happiness": {"en": "happiness", "zh": "高兴"},
    "neutral": {"en": "neutral", "zh": "中性"},
    "sadness": {"en": "sadness", "zh": "悲伤"},
    "surprise": {"en": "surprise", "zh": "惊讶"},
    "disgust": {"en": "disgust", "zh": "厌恶"},
    "fear": {"en": "fear", "zh": "恐惧"},
}
"""How each emotion is named in a text, by language."""

LEVEL_WORDS = {
    "low": {"en": "low", "zh": "低"},
    "medium": {"en": "medium", "zh": "中等"},
    "high": {"en": "high", "zh": "高"},
}
"""How each level is named in a text, by language."""


def ordered(classes: Iterable[str]) -> list[str]:
    """Return classes in the order of tables: the seven emotions as in the paper, then a corpus' own by alphabet."""
    given = set(classes)
    return [emotion for emotion in EMOTIONS if emotion in given] + sorted(given - set(EMOTIONS))
