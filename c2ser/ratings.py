"""What annotators said: votes (`utt2votes`), means on dimensions (`utt2vad`) and each one's values (`utt2ratings`)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from c2ser.tables import read_table

DIMENSIONS = ("valence", "arousal", "dominance")
"""The order of the numbers in `utt2vad`."""

Target = Literal["emotion", "votes", "dimensions"]
"""What a classifier learns: one emotion, the distribution of the annotators' votes, or numbers on dimensions."""


def numbers_text(numbers: Mapping[str, float], order: Iterable[str]) -> str:
    """Return numbers by name, in an order of the names, as a table holds them: "anger:3 sadness:1"."""
    return " ".join(f"{name}:{numbers[name]:g}" for name in order if name in numbers)


def ratings_text(ratings: Mapping[str, Sequence[float]]) -> str:
    """Return each annotator's values as a table holds them: "valence:3,2 arousal:4,5"."""
    return " ".join(f"{d}:{','.join(f'{value:g}' for value in ratings[d])}" for d in DIMENSIONS if d in ratings)


def parse_votes(utterance: str, text: str, path: str | Path) -> dict[str, float]:
    """Read a row of `utt2votes` or of a table of probabilities.

    Args:
        utterance: its id, for messages.
        text: how many annotators chose each class, or probabilities, such as "anger:3 sadness:1".
        path: the table, for messages.

    Raises:
        ValueError: it is not of this form, names a class twice, or a number is negative or not finite, or all are 0.
    """
    votes = _parse_numbers(utterance, text, path)
    negative = next((name for name, number in votes.items() if number < 0), None)
    if negative is not None:
        raise ValueError(f"{utterance}: {votes[negative]:g} votes for {negative} in {path}; votes are 0 or more")
    if not any(votes.values()):
        raise ValueError(f"{utterance}: no class has a vote in {path}; take the line out, or write its votes")
    return votes


def parse_dimensions(utterance: str, text: str, path: str | Path) -> dict[str, float]:
    """Read a row of `utt2vad`, such as "valence:2.5 arousal:4"; it may lack dimensions.

    Args:
        utterance: its id, for messages.
        text: the row.
        path: the table, for messages.

    Raises:
        ValueError: it is not of this form, a dimension is unknown or stands there twice, or a number is not finite.
    """
    values = _parse_numbers(utterance, text, path)
    unknown = next((name for name in values if name not in DIMENSIONS), None)
    if unknown is not None:
        raise ValueError(f"{utterance}: unknown dimension '{unknown}' in {path}; name {', '.join(DIMENSIONS)}")
    return values


def parse_ratings(utterance: str, text: str, path: str | Path) -> dict[str, list[float]]:
    """Read a row of `utt2ratings`, such as "valence:3,2 arousal:4,5"; arguments and errors as of `parse_dimensions`."""
    ratings: dict[str, list[float]] = {}
    for word in text.split():
        name, _, values = word.rpartition(":")
        for value in values.split(","):
            ratings.setdefault(name, []).append(parse_dimensions(utterance, f"{name}:{value}", path)[name])
    return ratings


def read_votes(path: str | Path) -> dict[str, dict[str, float]]:
    """Read `utt2votes`; errors are those of `read_table` and `parse_votes`."""
    return {utterance: parse_votes(utterance, text, path) for utterance, text in read_table(path).items()}


def check_scale(utterance: str, values: Mapping[str, float], scale: Sequence[float]) -> None:
    """Refuse a value outside a scale, both of whose ends belong to it.

    Raises:
        ValueError: a value lies outside; the message names utterance and dimension.
    """
    low, high = scale
    outside = next((name for name, value in values.items() if not low <= value <= high), None)
    if outside is not None:
        raise ValueError(f"{utterance}: {outside} {values[outside]:g} is outside the scale, {low:g} to {high:g}; "
                         "correct one of them")  # fmt: skip


def vote_shares(votes: Mapping[str, float], classes: Sequence[str]) -> np.ndarray | None:
    """Return the share of each class in the votes for these classes, (classes,); None if none of them has a vote."""
    counts = np.array([votes.get(name, 0.0) for name in classes], dtype=float)
    return counts / counts.sum() if counts.sum() > 0 else None


def _parse_numbers(utterance: str, text: str, path: str | Path) -> dict[str, float]:
    """Return what `numbers_text` wrote."""
    try:
        pairs = [(name, float(number)) for name, number in (word.rsplit(":", 1) for word in text.split())]
    except ValueError:
        pairs = []
    if not pairs or not all(name for name, _ in pairs):
        raise ValueError(f"{utterance}: '{text}' in {path} is not of the form anger:3 sadness:1; write it anew")
    numbers = dict(pairs)
    if len(numbers) < len(pairs):
        raise ValueError(f"{utterance}: '{text}' in {path} gives a name twice; write it once")
    odd = next((name for name, number in pairs if not math.isfinite(number)), None)
    if odd is not None:
        raise ValueError(f"{utterance}: {odd}:{numbers[odd]:g} in {path} is no finite number; correct it")
    return numbers
