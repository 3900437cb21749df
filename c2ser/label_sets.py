"""The classes that a corpus and a model know: the seven emotions, or classes of their own, as data.

A folder of tables holds `labels.json` if its classes are not the seven:

    {"names": ["calm", "frustrated"],
     "words": {"calm": {"en": "calm", "zh": "平静"}},
     "seven": {"calm": "neutral", "frustrated": "anger"}}

Names become prompts, answers, columns and headings, so they are plain words: nothing in them can be taken for a mark of
a chat, of a quotation or of a table.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2ser.emotions import EMOTIONS, WORDS, ordered
from c2ser.tables import read_json, write_json

LABELS = "labels.json"
"""The file of a folder whose classes are not the seven emotions."""

PROSES = ("en", "zh")
"""The languages of answers, in which a class can have a word."""

LONGEST = 40
"""Characters of a name or word, at most."""

RESERVED = frozenset(
    "unparsed unsure missing all file start end channel speaker emotion answer differs utterance".split()
)
"""What tables call other things than classes."""

FORBIDDEN = re.compile(r"[<>\[\]{}|:;,\\\"'`“”‘’「」『』«»，；：、]")
"""Marks of chats, of tables, of lists and of quotations."""


@dataclass(frozen=True)
class LabelSet:
    """Classes in the order of their numbers.

    Attributes:
        names: what tables call them.
        words: what texts call a class, by language; without, its name or, of the seven emotions, `WORDS`.
        seven: which of the seven emotions a class is or comes nearest to, for scores that others can be compared with.

    Raises:
        ValueError: a name or a word is unfit, or two classes could not be told apart.
    """

    names: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seven: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names(self.names)
        for kind, mapping in (("words", self.words), ("seven", self.seven)):
            if stranger := next((name for name in mapping if name not in self.names), None):
                raise ValueError(f"{kind}: '{stranger}' is no class; the classes are {', '.join(self.names)}")
        for name, emotion in self.seven.items():
            if emotion not in EMOTIONS:
                raise ValueError(f"seven: {name}: '{emotion}' is none of {', '.join(EMOTIONS)}; name one of them")
        _check_words(self)

    def __hash__(self) -> int:
        return hash(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def index(self, name: str) -> int:
        """Return the number of a class."""
        return self.names.index(name)

    def word(self, name: str, prose: str) -> str:
        """Return what a text in a language ("en" or "zh") calls a class."""
        return self.words.get(name, {}).get(prose) or WORDS.get(name, {}).get(prose, name)

    def forms(self, name: str) -> list[str]:
        """Return everything that a class is called, its name first."""
        return list(dict.fromkeys([name, *(self.word(name, prose) for prose in PROSES)]))

    def emotion_of(self, name: str) -> str | None:
        """Return which of the seven emotions a class is; None where that is not known."""
        return self.seven.get(name, name if name in EMOTIONS else None)

    def check(self, name: str, utterance: str) -> str:
        """Return `name` if it is a class.

        Raises:
            ValueError: it is none; the message names the utterance.
        """
        if name not in self.names:
            remedy = ", or keep the corpus' own classes with --labels raw" if self == SEVEN else ""
            raise ValueError(f"{utterance}: unknown emotion '{name}'; map it to one of {', '.join(self.names)}{remedy}")
        return name

    def check_table(self, rows: Mapping[str, str], besides: str = "") -> None:
        """Refuse a table of labels that holds anything but these classes and `besides`.

        Raises:
            ValueError: as `check`.
        """
        for utterance, name in rows.items():
            if name != besides:
                self.check(name, utterance)

    def as_json(self) -> dict[str, Any]:
        """Return the content of `labels.json`."""
        optional = {"words": {name: dict(words) for name, words in self.words.items()}, "seven": dict(self.seven)}
        return {"names": list(self.names), **{key: value for key, value in optional.items() if value}}

    @classmethod
    def from_json(cls, content: Any, source: str | Path) -> "LabelSet":
        """Return what `as_json` gave.

        Args:
            content: the content.
            source: where it is from, for messages.

        Raises:
            ValueError: it is no set of classes; the message begins with `source`.
        """
        if not isinstance(content, dict) or not isinstance(content.get("names"), list):
            raise ValueError(f'{source}: no classes; write {{"names": ["calm", "frustrated"]}}')
        if unknown := sorted(set(content) - {"names", "words", "seven"}):
            raise ValueError(f"{source}: '{unknown[0]}' means nothing here; leave names, words and seven alone in it")
        words, seven = content.get("words", {}), content.get("seven", {})
        if not _is_table(seven) or not isinstance(words, dict) or not all(map(_is_table, words.values())):
            raise ValueError(
                f'{source}: odd words or seven; write words as {{"calm": {{"en": "calm"}}}} '
                'and seven as {"calm": "neutral"}'
            )
        try:
            return cls(tuple(content["names"]), words, seven)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise ValueError("no class; name those to keep")
    for name in names:
        _check_text(name, "class")
        if " " in name:
            raise ValueError(
                f"class '{name}': has a blank; write '{name.replace(' ', '_')}', and the blank in its words"
            )
        if names.count(name) > 1:
            raise ValueError(f"class '{name}': given twice; give it once")
        if name.casefold() in RESERVED:
            raise ValueError(f"class '{name}': tables call something else so; rename it")


def _check_text(text: object, what: str) -> None:
    if not isinstance(text, str) or not text or text != text.strip():
        raise ValueError(f"{what} {text!r}: no name; write a word without blanks at its ends")
    if len(text) > LONGEST:
        raise ValueError(f"{what} '{text[:LONGEST]}…': {len(text)} characters long; write {LONGEST} at most")
    mark = FORBIDDEN.search(text)
    if mark or not text.isprintable() or "  " in text:
        sign = f"the sign {mark.group()}" if mark else "a line break, a tab or two blanks"
        raise ValueError(f"{what} {text!r}: holds {sign}; use letters, digits, - and _, or map it to another")


def _check_words(labels: LabelSet) -> None:
    owner: dict[str, str] = {}
    for name, words in labels.words.items():
        for prose, text in words.items():
            if prose not in PROSES:
                raise ValueError(f"words: {name}: no answers are in '{prose}'; give {' or '.join(PROSES)}")
            _check_text(text, f"words: {name}:")
    for name in labels.names:
        for form in {form.casefold() for form in labels.forms(name)}:
            if owner.setdefault(form, name) != name:
                raise ValueError(f"'{form}' is both {owner[form]} and {name}; give each class words of its own")


SEVEN = LabelSet(EMOTIONS)
"""The seven emotions, the paper's classes."""


def own_classes(classes: Iterable[str]) -> LabelSet:
    """Return the classes of a corpus, the seven emotions where it has no other.

    Raises:
        ValueError: a class is unfit for a name.
    """
    found = ordered(classes)
    return SEVEN if {*found} <= {*EMOTIONS} else LabelSet(tuple(found))


def chosen_classes(classes: Sequence[str], among: Collection[str] | None) -> tuple[str, ...]:
    """Return the classes that a label is chosen from, in their order.

    Args:
        classes: those of a model.
        among: the ones to choose from; None for all.

    Raises:
        ValueError: it names what is no class, or nothing.
    """
    chosen = tuple(name for name in classes if among is None or name in among)
    if strange := sorted({*(among or ())} - {*chosen}):
        raise ValueError(f"--among: {strange[0]} is none of the classes; choose from {', '.join(classes)}")
    if not chosen:
        raise ValueError(f"--among: no class is named; choose from {', '.join(classes)}")
    return chosen


def read_label_set(folder: str | Path) -> LabelSet:
    """Return the classes of a data directory, or of a folder of answers.

    Raises:
        ValueError: its `labels.json` is no set of classes; the message names it.
    """
    path = Path(folder) / LABELS
    return LabelSet.from_json(read_json(path), path) if path.exists() else SEVEN


def write_label_set(folder: str | Path, labels: LabelSet) -> None:
    """Write the classes of a folder of tables; the seven emotions need no file."""
    path = Path(folder) / LABELS
    if labels == SEVEN:
        path.unlink(missing_ok=True)
    else:
        write_json(path, labels.as_json())


def common_label_set(folders: Iterable[str | Path]) -> LabelSet:
    """Return the classes that several folders share.

    Raises:
        ValueError: two of them have other classes.
    """
    first, *others = folders
    labels = read_label_set(first)
    for folder in others:
        if read_label_set(folder) != labels:
            raise ValueError(f"{folder}: other classes than {first} ({', '.join(read_label_set(folder))}; there "
                             f"{', '.join(labels)}); write both with one labels.json, given as --labels")  # fmt: skip
    return labels
