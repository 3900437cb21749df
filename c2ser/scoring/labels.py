"""What can be read in an answer: the emotion it concludes with, and an explicit one's transcript and levels.

The rules are strict: what is quoted is the speaker's, what is denied does not count, and an answer that names several
emotions names none.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from c2ser.emotions import ATTRIBUTES, UNPARSED
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.scoring.keywords import DENIAL, DIMENSION_PATTERNS, LEVEL_PATTERNS, LISTED, NEGATION, REFUSAL_PATTERN
from c2ser.scoring.vocabulary import vocabulary

LONG = r"(?=(?:{inner})*?(?:\s|[\u4e00-\u9fff]{{4}}))"
"""Looks for more than a word between single marks: a label alone often stands in them."""

INNER = r"[^‘{closed}]|(?<=[A-Za-z]){closed}(?=[A-Za-z])"
"""What may stand between single marks, apostrophes too."""


def _between_single(opened: str, closed: str, ending: str) -> str:
    inner = INNER.format(closed=closed)
    return rf"{opened}{LONG.format(inner=inner)}((?:{inner})*){ending}"


QUOTES = re.compile(
    "|".join(
        [
            r"“([^”]*)(?:”|$)|「([^」]*)(?:」|$)|『([^』]*)(?:』|$)|«([^»]*)(?:»|$)|\"([^\"]*)(?:\"|$)",
            _between_single("‘", "’", "(?:’|$)"),
            _between_single("(?<![A-Za-z0-9])'", "'", "'(?![A-Za-z0-9])"),
        ]
    )
)
"""What is quoted is what the speaker said; an open quotation lasts to the end, but for straight single marks, which may
be apostrophes."""

Kind = Literal["label", "empty", "several", "denied", "foreign", "refusal", "nothing"]
"""What an answer is as an answer: it names one emotion; or it is empty, names several, only denies some, names only
others than the classes, refuses, or names none."""

KINDS: tuple[Kind, ...] = ("label", "empty", "several", "denied", "foreign", "refusal", "nothing")

KNOWN = 4096
"""So many texts keep what was read in them: without their quotations, a template's answers are few."""

CLOSED = {"“": "”", "「": "」", "『": "』", "«": "»", '"': '"', "‘": "’", "'": "'"}


@dataclass(frozen=True)
class Reading:
    """What can be read in an answer.

    Attributes:
        emotion: the one emotion that it names outside quotations, or "unparsed".
        transcript: its first quotation, or None.
        levels: level by attribute, for the attributes of which it names one level.
    """

    emotion: str
    transcript: str | None
    levels: dict[str, str]


@dataclass(frozen=True)
class Mention:
    """A place where a text names an emotion.

    Attributes:
        start: where it begins.
        end: where it ends.
        emotion: which.
        denied: whether the text says that it is not there.
    """

    start: int
    end: int
    emotion: str
    denied: bool


def read_label(answer: str, transcript: str = "", labels: LabelSet = SEVEN) -> str:
    """Return the emotion an answer names, or "unparsed" if it names none or several.

    Words in quotation marks are the speaker's and do not count: somebody may speak of fear and be happy.

    Args:
        answer: what a model says.
        transcript: what the speaker said, where it is known: quoted as a whole it does not count even if it holds
            quotation marks itself.
        labels: the classes.
    """
    return _label(mentions(unquoted(answer, transcript), labels))


def read_answer(answer: str, transcript: str = "", labels: LabelSet = SEVEN) -> Reading:
    """Return what an answer says; the arguments are those of `read_label`."""
    match = QUOTES.search(answer)
    quoted = next((group for group in match.groups() if group is not None), None) if match else None
    if transcript and any(mark + transcript + CLOSED[mark] in answer for mark in CLOSED):
        quoted = transcript
    rest = unquoted(answer, transcript)
    return Reading(_label(mentions(rest, labels)), quoted, dict(_levels(rest)))


def read_dimensions(answer: str, transcript: str = "") -> dict[str, str]:
    """Return the level by dimension that an answer names; the arguments are those of `read_label`."""
    rest = unquoted(answer, transcript)
    levels = {name: _named_level(patterns, rest) for name, patterns in DIMENSION_PATTERNS.items()}
    return {name: level for name, level in levels.items() if level is not None}


def read_kind(answer: str, transcript: str = "", labels: LabelSet = SEVEN) -> Kind:
    """Return what an answer is as an answer, see `Kind`; the arguments are those of `read_label`."""
    if not answer.strip():
        return "empty"
    rest = unquoted(answer, transcript)
    emotions = mentions(rest, labels)
    claimed = {mention.emotion for mention in emotions if not mention.denied}
    if claimed:
        return "label" if len(claimed) == 1 else "several"
    if emotions:
        return "denied"
    if vocabulary(labels).is_foreign(rest):
        return "foreign"
    return "refusal" if REFUSAL_PATTERN.search(rest) else "nothing"


def rationale(answer: str, transcript: str = "", labels: LabelSet = SEVEN) -> str:
    """Return what an answer says before its conclusion, the sentence with its last emotion; quotations are left out."""
    rest = unquoted(answer, transcript)
    last = max((mention.start for mention in mentions(rest, labels) if not mention.denied), default=0)
    begins = max((end.end() for end in re.finditer(r"[.!?;。！？；]\s*", rest[:last])), default=0)
    return rest[:begins].strip()


def unquoted(answer: str, transcript: str = "") -> str:
    """Return an answer without what it quotes."""
    if transcript:
        for opened, closed in CLOSED.items():
            answer = answer.replace(opened + transcript + closed, " ")
    return QUOTES.sub(" ", answer)


def named_places(answer: str, labels: LabelSet = SEVEN) -> list[tuple[int, int]]:
    """Return where an answer names one of the classes outside quotations, in order, as (begin, end)."""
    blanked = QUOTES.sub(lambda quoted: " " * len(quoted.group()), answer)
    return [span for span, _ in vocabulary(labels).spans(blanked)]


@lru_cache(KNOWN)
def mentions(text: str, labels: LabelSet = SEVEN) -> tuple[Mention, ...]:
    """Return the places where a text, quotations taken out, names one of the classes, in order."""
    spans = vocabulary(labels).spans(text)
    named = [Mention(*span, emotion, _is_denied(text, *span)) for span, emotion in spans]
    denied, found = False, []
    for mention, is_listed in zip(named, _listed(text, named), strict=True):
        denied = mention.denied or (denied and is_listed)
        found.append(replace(mention, denied=denied))
    return tuple(found)


def _listed(text: str, named: Sequence[Mention]) -> list[bool]:
    """Return of each mention whether it goes on with the list that the one before is in, "anger, fear or sadness"."""
    joints = [LISTED.fullmatch(text[mention.end : after.start]) for mention, after in itertools.pairwise(named)]
    goes_on = False
    listed: list[bool] = []
    for joint in reversed(joints):  # a comma belongs to a list that a word such as "or" ends
        goes_on = joint is not None and (joint["comma"] is None or goes_on)
        listed.insert(0, goes_on)
    return [False, *listed][: len(named)]


def _is_denied(text: str, start: int, end: int) -> bool:
    return bool(NEGATION.search(text[max(0, start - 120) : start]) or DENIAL.match(text, end))


def _label(emotions: Iterable[Mention]) -> str:
    claimed = {mention.emotion for mention in emotions if not mention.denied}
    return claimed.pop() if len(claimed) == 1 else UNPARSED


@lru_cache(KNOWN)
def _levels(text: str) -> tuple[tuple[str, str], ...]:
    """Return the attributes of which a text names one level, each with it."""
    levels = [(attribute, _named_level(LEVEL_PATTERNS[attribute], text)) for attribute in ATTRIBUTES]
    return tuple((attribute, level) for attribute, level in levels if level is not None)


def _named_level(patterns: Mapping[str, re.Pattern[str]], text: str) -> str | None:
    named = [level for level, pattern in patterns.items() if pattern.search(text)]
    return named[0] if len(named) == 1 else None
