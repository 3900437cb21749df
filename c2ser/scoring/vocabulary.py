"""Where a text names one of the classes of a label set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.scoring.keywords import EMOTION_PATTERNS, FOREIGN_PATTERN

LETTER = r"[^\W\u3040-\u9fff]"
"""A letter or digit of scripts that put blanks between words."""

STEM = 5
"""Letters that show that two words are related, such as "excited" and "excitement"."""

Span = tuple[tuple[int, int], str]
"""Where a class is named, and which."""


@dataclass(frozen=True)
class Vocabulary:
    """What names the classes of a label set.

    Attributes:
        forms: the names and words of classes beyond the seven emotions.
        keywords: of those classes that are among the seven.
        foreign: names emotions that are no class.
        stems: beginnings of the forms, which no keyword of another class may have.
    """

    forms: Mapping[str, re.Pattern[str]]
    keywords: Mapping[str, re.Pattern[str]]
    foreign: Sequence[re.Pattern[str]]
    stems: frozenset[str] = frozenset()

    def spans(self, text: str) -> list[Span]:
        """Return the places where a text names a class, in order.

        A class of one's own goes before a keyword of the seven in the same place, and a longer form before a shorter
        one: "pleasant surprise" is no surprise where it is a class.
        """
        own = _outermost([(match.span(), name) for name, form in self.forms.items() for match in form.finditer(text)])
        known = [
            (match.span(), name)
            for name, pattern in self.keywords.items()
            for match in pattern.finditer(text)
            if match.group()[:STEM].lower() not in self.stems
        ]
        free = [span for span in known if not any(_overlap(span, other) for other in own)]
        return sorted([*own, *free])

    def is_foreign(self, text: str) -> bool:
        """Return whether a text names an emotion that is no class."""
        return any(pattern.search(text) for pattern in self.foreign)


def _overlap(first: Span, second: Span) -> bool:
    return first[0][0] < second[0][1] and second[0][0] < first[0][1]


def _outermost(spans: Sequence[Span]) -> list[Span]:
    """Return spans without those that lie inside a longer one."""

    def inside(inner: Span, outer: Span) -> bool:
        """Return whether one span lies in a longer one."""
        return inner[0] != outer[0] and outer[0][0] <= inner[0][0] and inner[0][1] <= outer[0][1]

    return [span for span in spans if not any(inside(span, other) for other in spans)]


@lru_cache(maxsize=64)
def vocabulary(labels: LabelSet = SEVEN) -> Vocabulary:
    """Return what names the classes of a label set."""
    if labels == SEVEN:
        return Vocabulary({}, EMOTION_PATTERNS, [FOREIGN_PATTERN])
    own = [name for name in labels if name not in EMOTIONS or name in labels.words]
    forms = {name: _pattern(labels.forms(name)) for name in own}
    stems = frozenset(form[:STEM].lower() for name in own if name not in EMOTIONS for form in labels.forms(name)
                      if len(form) >= STEM)  # fmt: skip
    keywords = {name: pattern for name, pattern in EMOTION_PATTERNS.items() if name in labels}
    others = [pattern for name, pattern in EMOTION_PATTERNS.items() if name not in labels]
    return Vocabulary(forms, keywords, [FOREIGN_PATTERN, *others], stems)


def _pattern(forms: Sequence[str]) -> re.Pattern[str]:
    words = [rf"(?<!{LETTER}){re.escape(form)}(?!{LETTER})" for form in forms]
    return re.compile("|".join(sorted(words, key=len, reverse=True)), re.IGNORECASE)
