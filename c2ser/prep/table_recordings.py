"""From rows to utterances: the rows of one recording are its annotators, whose majority is the emotion."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c2ser.corpus import Utterance
from c2ser.emotions import ordered
from c2ser.prep.columns import Roles, number
from c2ser.prep.label_names import LabelNames, is_missing
from c2ser.prep.layout import speaker_id
from c2ser.prep.table_rows import Row
from c2ser.ratings import DIMENSIONS

TIE, NO_LABEL, UNCLEAR = "a tie", "no label", "an unclear row"
"""In place of a label, for utterances that are rejected: they are counted so. Labels of tables have no blanks."""

REJECTED = frozenset({TIE, NO_LABEL, UNCLEAR})

LANGUAGES = {
    "english": "en", "eng": "en", "german": "de", "deutsch": "de", "deu": "de", "ger": "de", "chinese": "zh",
    "mandarin": "zh", "zho": "zh", "cmn": "zh", "french": "fr", "fra": "fr", "spanish": "es", "spa": "es",
    "italian": "it", "ita": "it", "polish": "pl", "pol": "pl", "russian": "ru", "rus": "ru", "japanese": "ja",
    "jpn": "ja", "korean": "ko", "kor": "ko", "portuguese": "pt", "por": "pt", "dutch": "nl", "nld": "nl",
    "turkish": "tr", "tur": "tr", "arabic": "ar", "ara": "ar", "hindi": "hi", "urdu": "ur", "persian": "fa",
}  # fmt: skip
"""Codes by other names of languages, in lower case."""

ONE_VALUE = ("speaker", "language", "text", "fold")
"""Columns in which all rows of a recording must agree."""


@dataclass
class Recording:
    """The rows of one recording, or of one part of a file.

    Attributes:
        path: the file.
        start: seconds, as the table has them; None for the beginning.
        end: seconds; None for the end.
        rows: each with what the columns of its table are.
        set: the data directory; "" if it is not known yet.
    """

    path: Path
    start: float | None
    end: float | None
    rows: list[tuple[Row, Roles]] = field(default_factory=list)
    set: str = ""

    def value(self, role: str) -> str:
        """Return what the rows say in a column; "" if they say nothing.

        Raises:
            ValueError: they say different things.
        """
        seen: dict[str, str] = {}
        for row, roles in self.rows:
            text = cell(row, roles, role)
            if text:
                seen.setdefault(text, row.place)
        if len(seen) > 1:
            (one, here), (other, there), *_ = seen.items()
            raise ValueError(f"its {role} is '{one}' in {here} and '{other}' in {there}; correct one of them")
        return next(iter(seen), "")


def cell(row: Row, roles: Roles, role: str) -> str:
    """Return what a row says in a column; "" if there is no such column, or no value."""
    text = row.cells.get(roles.columns.get(role, ""), "")
    return "" if role != "text" and is_missing(text) else text


def utterance_of(recording: Recording, name: str, names: LabelNames, language: str) -> Utterance:
    """Return a recording as an utterance; `reject_reason` says why it cannot be used.

    Args:
        recording: its rows.
        name: a name that no other file of the tables has.
        names: what labels mean.
        language: the code for rows that name no language.
    """
    part = "".join(f"_{round(1000 * time):07d}" for time in (recording.start or 0.0, recording.end) if time is not None)
    is_part = (recording.start, recording.end) != (None, None)
    values = {role: cell(*recording.rows[0], role) for role in ONE_VALUE}
    votes: dict[str, float] = {}
    ratings: dict[str, list[float]] = {}
    try:
        values = {role: recording.value(role) for role in ONE_VALUE}
        votes, ratings = votes_of(recording, names), ratings_of(recording)
        language = language_code(values["language"]) if values["language"] else language
        label, reason = majority(votes_of(recording, names, "emotion") or votes, recording)
    except ValueError as error:
        label, reason = UNCLEAR, str(error)
    known = values["speaker"]
    return Utterance(
        set=recording.set,
        speaker=speaker_id(known) if known else f"file_{name}",
        name=(name if known else "part" if is_part else "whole") + (part if is_part else ""),
        wav=recording.path,
        emotion=label,
        language=language,
        text=values["text"],
        fold=speaker_id(values["fold"]) if values["fold"] else None,
        reject_reason=reason,
        start=recording.start,
        end=recording.end,
        votes=votes or None,
        dimensions={name: sum(values) / len(values) for name, values in ratings.items()} or None,
        ratings=ratings if any(len(values) > 1 for values in ratings.values()) else None,
    )


def votes_of(recording: Recording, names: LabelNames, column: str | None = None) -> dict[str, float]:
    """Return the votes of a recording by class: those of columns of classes, else one vote for each row's label.

    Args:
        recording: its rows. A second row of one annotator that says the same does not count.
        names: what labels mean.
        column: "emotion" for the labels alone, even if there are columns of classes.

    Raises:
        ValueError: a vote is no number, or an annotator gave two labels.
    """
    votes: defaultdict[str, float] = defaultdict(float)
    labels: dict[str, str] = {}
    for row, roles in recording.rows:
        if roles.classes and not column:
            for name, vote in _class_votes(row, roles, names):
                votes[name] += vote
            continue
        label, annotator = cell(row, roles, "emotion"), cell(row, roles, "annotator")
        meant = names.class_of(label)
        if not label or labels.get(annotator) == meant:
            continue
        if annotator in labels:
            raise ValueError(f"annotator {annotator} calls it {labels[annotator]} and, in {row.place}, {meant}; "
                             "correct one row")  # fmt: skip
        votes[meant] += 1
        if annotator:
            labels[annotator] = meant
    return {name: votes[name] for name in ordered(votes) if votes[name] > 0}


def _class_votes(row: Row, roles: Roles, names: LabelNames) -> Iterator[tuple[str, float]]:
    for heading in roles.classes:
        text = row.cells.get(heading, "")
        vote = 0.0 if is_missing(text) else number(text)
        if vote is None or vote < 0:
            raise ValueError(f"its vote for {heading} in {row.place} is '{text}', no number from 0 on; correct it")
        yield names.class_of(heading), vote


def majority(votes: Mapping[str, float], recording: Recording) -> tuple[str | None, str | None]:
    """Return the class with most votes, and why there is none; both are None if the table has no labels at all."""
    if not any(roles.classes or "emotion" in roles.columns for _, roles in recording.rows):
        return None, None
    if not votes:
        return NO_LABEL, f"no label in {recording.rows[0][0].place}"
    most = max(votes.values())
    best = [name for name, vote in votes.items() if vote == most]
    if len(best) > 1:
        return TIE, f"a tie, {' and '.join(f'{name}:{most:g}' for name in best)}"
    return best[0], None


def ratings_of(recording: Recording) -> dict[str, list[float]]:
    """Return the values of each dimension in the rows that have a number for it.

    Raises:
        ValueError: something else stands there.
    """
    ratings = {}
    for name in DIMENSIONS:
        texts = [(text, row.place) for row, roles in recording.rows if (text := cell(row, roles, name))]
        values = [value for text, _ in texts if (value := number(text)) is not None]
        if len(values) < len(texts):
            wrong, place = next((text, place) for text, place in texts if number(text) is None)
            raise ValueError(f"its {name} in {place} is '{wrong}', no number; correct it")
        if values:
            ratings[name] = values
    return ratings


def language_code(name: str) -> str:
    """Return the ISO 639-1 code of a language that may be given by its name, or with a country, as de-DE.

    Raises:
        ValueError: the language is not known.
    """
    lower = name.strip().lower()
    code = LANGUAGES.get(lower) or lower.replace("_", "-").partition("-")[0]
    code = LANGUAGES.get(code, code)
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise ValueError(f"its language '{name}' is no code such as de; write the ISO 639-1 code")
    return code
