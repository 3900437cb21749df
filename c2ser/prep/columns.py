"""Which column of a table holds what: named by options, or guessed from the headings."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from c2ser.prep.label_names import LabelNames, is_missing
from c2ser.prep.table_rows import Table
from c2ser.ratings import DIMENSIONS

GUESSES = {
    "file": "file path audio filename file_path audio_path audio_file wav wav_path wav_file recording",
    "emotion": "emotion label emotion_label emo emoclass emotion_class class category",
    "speaker": "speaker speaker_id spk spk_id spkrid actor actor_id client_id participant participant_id subject",
    "text": "text transcript transcription sentence utterance raw_text",
    "language": "language lang locale",
    "split": "split set split_set subset partition",
    "start": "start start_time begin onset",
    "end": "end end_time stop",
    "annotator": "annotator annotator_id rater rater_id worker worker_id",
    "fold": "fold",
    "valence": "valence emoval",
    "arousal": "arousal activation emoact",
    "dominance": "dominance emodom",
}
"""Headings of each column, in lower case and with "_" for other signs; the first that a table has is taken."""


@dataclass
class Columns:
    """Headings of the table. What is not given is guessed from common headings; "" is for no column.

    Attributes:
        file: the audio file.
        emotion: the label.
        speaker: who speaks.
        text: the transcript.
        language: the language.
        split: the set: train, valid or test.
        start: where in the file the utterance begins, in seconds.
        end: where in the file it ends, in seconds.
        annotator: who gave the label.
        fold: the fold of a cross-validation that tests the utterance.
        valence: a number from unpleasant to pleasant.
        arousal: a number from calm to excited.
        dominance: a number from weak to strong.
        classes: headings of columns with the votes or the probability of one class each.
    """

    file: str | None = None
    emotion: str | None = None
    speaker: str | None = None
    text: str | None = None
    language: str | None = None
    split: str | None = None
    start: str | None = None
    end: str | None = None
    annotator: str | None = None
    fold: str | None = None
    valence: str | None = None
    arousal: str | None = None
    dominance: str | None = None
    classes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Roles:
    """What the columns of one table are.

    Attributes:
        columns: heading by field of `Columns`, for those that the table has.
        classes: headings of the columns with the votes of one class each.
        unused: headings that have no part in the data directories.
    """

    columns: dict[str, str]
    classes: list[str]
    unused: list[str]

    def __str__(self) -> str:
        """Return them as one line."""
        named = [role if role == heading else f"{role} ('{heading}')" for role, heading in self.columns.items()]
        parts = [f"columns: {', '.join(named)}"]
        parts += [f"votes: {', '.join(self.classes)}"] if self.classes else []
        parts += [f"not used: {', '.join(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def find_roles(table: Table, columns: Columns, names: LabelNames) -> Roles:
    """Return what the columns of a table are.

    Raises:
        ValueError: a heading that was given is not there, or there is no column of files, or none of labels, votes or
            dimensions; the message has the headings.
    """
    found = {}
    for role in GUESSES:
        heading = _heading(table, role, getattr(columns, role))
        if heading:
            found[role] = heading
    if "file" not in found:
        raise ValueError(f"{table.path}: no column of audio files among {_list(table.headings)}; the first line must "
                         "hold the headings, or name the column with --columns.file")  # fmt: skip
    taken = {*found.values()}
    classes = [_required(table, heading, "classes") for heading in columns.classes]
    if not classes:
        classes = [
            heading for heading in table.headings if heading not in taken and _holds_votes(table, heading, names)
        ]
    if not classes and not {"emotion", *DIMENSIONS} & found.keys():
        raise ValueError(f"{table.path}: no column of emotions among {_list(table.headings)}; name it with "
                         "--columns.emotion, or columns of votes with --columns.classes")  # fmt: skip
    unused = [heading for heading in table.headings if heading not in taken and heading not in classes]
    return Roles(found, classes, unused)


def _heading(table: Table, role: str, given: str | None) -> str | None:
    if given is not None:
        return _required(table, given, role) if given else None
    headings = {re.sub(r"\W+", "_", heading.casefold()): heading for heading in reversed(table.headings)}
    return next((headings[guess] for guess in GUESSES[role].split() if guess in headings), None)


def _required(table: Table, heading: str, role: str) -> str:
    if heading not in table.headings:
        raise ValueError(f"--columns.{role}: {table.path} has no column '{heading}', only {_list(table.headings)}; "
                         "name one of these")  # fmt: skip
    return heading


def _holds_votes(table: Table, heading: str, names: LabelNames) -> bool:
    """Return whether a column is named as an emotion and holds numbers alone."""
    cells = [cell for row in table.rows if not is_missing(cell := row.cells.get(heading, ""))]
    return names.names_class(heading) and bool(cells) and all(number(cell) is not None for cell in cells)


def number(text: str) -> float | None:
    """Return a finite number, with a point or a comma; None for anything else."""
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", text):
        return None
    value = float(text.replace(",", "."))
    return value if math.isfinite(value) else None  # 1e999


def _list(headings: Iterable[str]) -> str:
    return ", ".join(f"'{heading}'" for heading in [*headings][:20])
