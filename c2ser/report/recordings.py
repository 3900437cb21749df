"""The recordings behind the cells of confusion matrices: which are named, which can be heard, and their sound."""

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import soundfile

from c2ser.audio import SAMPLE_RATE
from c2ser.corpus import Utterance, wave
from c2ser.emotions import UNPARSED
from c2ser.label_sets import read_label_set
from c2ser.log import one_line, progress
from c2ser.scoring.probabilities import read_vectors
from c2ser.scoring.results_page import LABEL_SCORE
from c2ser.tables import read_table

SHOWN = 40
"""How many recordings a cell names, at most: the surest first."""

LONGEST = 60.0
"""Seconds; longer recordings are named and cannot be heard."""

NO_ROOM = "not in this page, which has no more room for sound"
"""Why a recording cannot be heard that would have made the page larger than it may be."""


@dataclass(frozen=True)
class Row:
    """A recording in a cell.

    Attributes:
        utterance: its id.
        probability: of the label, or None where there are no probabilities.
        answer: what the model answered; "" where it did not answer in words.
    """

    utterance: str
    probability: float | None
    answer: str


Cells = Mapping[tuple[str, str], list[Row]]
"""The recordings by true emotion and label, the surest first."""


def read_cells(exp: Path, model: str, name: str, reference: Mapping[str, str]) -> Cells:
    """Return the recordings of each cell of a model's confusion matrix.

    Args:
        exp: folder of the results.
        model: folder of the model in it.
        name: of the set.
        reference: true emotion by utterance.

    Raises:
        ValueError: a row of utt2prob has not a number for each class.
        OSError: the model has no table of labels.
    """
    labels = read_table(exp / model / f"decode_{name}/utt2emo")
    asked = exp / model.removesuffix(LABEL_SCORE) / f"decode_{name}"
    classes = read_label_set(asked)
    vectors = read_vectors(_table(asked / "utt2prob"), classes)
    answers = _table(exp / model / f"decode_{name}/answer")
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for utterance, emotion in reference.items():
        label = labels.get(utterance, UNPARSED)
        known = utterance in vectors and label in classes
        probability = float(vectors[utterance][classes.index(label)]) if known else None
        cells[emotion, label].append(Row(utterance, probability, answers.get(utterance, "")))
    for rows in cells.values():
        rows.sort(key=lambda row: (-(row.probability or 0.0), row.utterance))
    return dict(cells)


def _table(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def same_counts(cells: Cells, confusion: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether the cells hold as many recordings as the confusion matrix of scores.json counts."""
    scored = {(true, label): count for true, row in confusion.items() for label, count in row.items()}
    return {place: len(rows) for place, rows in cells.items()} == scored


def take_turns(lists: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """Yield the first of each list, then the second of each, and so on; nothing twice."""
    turns = (item for turn in zip_longest(*lists) for item in turn if item is not None)
    yield from dict.fromkeys(turns)


@dataclass
class Sounds:
    """Compressed recordings that fit into a page.

    Attributes:
        room: how many characters they may take together.
        encoded: MP3 in base64, by set and utterance.
        silent: why a recording cannot be heard, by set and utterance.
        seconds: how long they last together.
    """

    room: int
    encoded: dict[tuple[str, str], str] = field(default_factory=dict)
    silent: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def size(self) -> int:
        """How many characters they take together."""
        return sum(map(len, self.encoded.values()))

    def fill(self, wanted: Mapping[tuple[str, str], Utterance]) -> None:
        """Take recordings, by set and utterance, in the order given, as long as there is room."""
        left = self.room
        for key, utterance in progress([*wanted.items()] if self.room else [], "recordings"):
            try:
                sound, seconds = compressed(utterance)
            except ValueError as error:
                self.silent[key] = one_line(error).removeprefix(f"{utterance.id}: ")
                continue
            if len(sound) > left:
                break  # what comes later is less wanted, even if it is shorter
            self.encoded[key], left = sound, left - len(sound)
            self.seconds += seconds


def compressed(utterance: Utterance) -> tuple[str, float]:
    """Return a recording as MP3 in base64, which all browsers play, and its length in seconds.

    Raises:
        ValueError: it is longer than `LONGEST`, or as `c2ser.audio.load`.
    """
    if utterance.duration and utterance.duration > LONGEST:
        raise ValueError(f"longer than {LONGEST:g} s; listen to its file")
    samples, content = wave(utterance), io.BytesIO()
    if len(samples) > LONGEST * SAMPLE_RATE:
        raise ValueError(f"longer than {LONGEST:g} s; listen to its file")
    soundfile.write(
        content, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.7,
        bitrate_mode="VARIABLE",
    )  # fmt: skip
    return base64.b64encode(content.getvalue()).decode("ascii"), len(samples) / SAMPLE_RATE
