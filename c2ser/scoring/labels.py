"""What an answer says: the emotion it concludes with and, if it is explicit, the transcript and the levels it names."""

import re
from dataclasses import dataclass

from c2ser.emotions import ATTRIBUTES, LEVEL_WORDS, UNPARSED, WORDS

QUOTES = re.compile(r"“([^”]*)(?:”|$)|「([^」]*)(?:」|$)|\"([^\"]*)(?:\"|$)")
"""What is quoted is what the speaker said; an open quotation lasts to the end."""

NOUNS = {
    "pitch": {"en": r"(?:-pitched)? (?:tone|pitch)", "zh": "的?音[调高]"},
    "loudness": {"en": r" (?:(?:volume|energy|loudness) )?(?:level|volume|energy|loudness)", "zh": "的?音量"},
    "rate": {"en": r" (?:speaking )?(?:pace|rate|speed)", "zh": "的?语速"},
}
"""What follows the word of a level in a chain of thought, by attribute and language."""


def _level_pattern(attribute: str, language: str) -> re.Pattern[str]:
    words = "|".join(names[language] for names in LEVEL_WORDS.values())
    edge = r"\b" if language == "en" else ""
    return re.compile(f"{edge}({words}){NOUNS[attribute][language]}{edge}", re.IGNORECASE)


LEVEL_PATTERNS = {
    attribute: {language: _level_pattern(attribute, language) for language in ("en", "zh")} for attribute in ATTRIBUTES
}

EMOTION_PATTERNS = {
    emotion: re.compile(rf"\b{names['en']}\b|{names['zh']}", re.IGNORECASE) for emotion, names in WORDS.items()
}


@dataclass(frozen=True)
class Reading:
    """What can be read in an answer.

    Attributes:
        emotion: the one emotion that it names outside quotations, or "unparsed".
        transcript: its first quotation, or None.
        levels: level by attribute, for the attributes that it names.
    """

    emotion: str
    transcript: str | None
    levels: dict[str, str]


def read_label(answer: str) -> str:
    """Return the emotion an answer names, or "unparsed" if it names none or several.

    Words in quotation marks are the speaker's and do not count: somebody may speak of fear and be happy.
    """
    return _emotion(QUOTES.sub(" ", answer))


def read_answer(answer: str) -> Reading:
    """Return what an answer says."""
    quoted = QUOTES.search(answer)
    transcript = next((group for group in quoted.groups() if group is not None), None) if quoted else None
    rest = QUOTES.sub(" ", answer)
    found = {attribute: _level(attribute, rest) for attribute in ATTRIBUTES}
    return Reading(_emotion(rest), transcript, {name: level for name, level in found.items() if level is not None})


def _emotion(text: str) -> str:
    named = [emotion for emotion, pattern in EMOTION_PATTERNS.items() if pattern.search(text)]
    return named[0] if len(named) == 1 else UNPARSED


def _level(attribute: str, text: str) -> str | None:
    for language, pattern in LEVEL_PATTERNS[attribute].items():
        found = pattern.search(text)
        if found:
            word = found.group(1).lower()
            return next(level for level, names in LEVEL_WORDS.items() if names[language] == word)
    return None
