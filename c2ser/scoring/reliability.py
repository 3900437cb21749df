"""How well annotators agree: Krippendorff's alpha, and how often two of them choose the same class.

Alpha is 1 minus the observed disagreement over the one that chance would give; 1 is perfect agreement, 0 chance. Units
may have different numbers of annotators; those with one alone do not count (Krippendorff 2011).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from c2ser.emotions import ordered
from c2ser.ratings import DIMENSIONS
from c2ser.scoring.bootstrap import summed_figures


def annotator_agreement(votes: Mapping[str, Mapping[str, float]], speakers: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the agreement of the annotators who gave votes.

    Args:
        votes: how many annotators chose each class, by utterance.
        speakers: speaker by utterance; with fewer than two there are no intervals.

    Returns:
        `alpha`, nominal; `vote_share`, how often another annotator of the same utterance chose the same class: what a
        model's `vote_share` is, if it answers as a human would; `utterances` with two annotators or more; `intervals`.
        Utterances with shares in place of counts do not count; None where none is left.
    """
    counted = {name: row for name, row in votes.items() if all(number == int(number) for number in row.values())}
    rated = {name: row for name, row in counted.items() if sum(row.values()) > 1}
    if not rated:
        return None
    classes = ordered(name for row in rated.values() for name in row)
    values = np.stack([_pairs(np.array([row.get(name, 0.0) for name in classes])) for row in rated.values()])
    return {"utterances": len(rated), **summed_figures(values, _nominal, ["alpha", "vote_share"], [*rated], speakers)}


def rating_agreement(
    ratings: Mapping[str, Mapping[str, Sequence[float]]], speakers: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return Krippendorff's alpha (interval scale) by dimension, with `intervals` where there are several speakers.

    Args:
        ratings: each annotator's value by dimension, by utterance; those with fewer than two do not count.
        speakers: speaker by utterance.

    Returns:
        alpha by dimension, of those that two annotators rated; None where there is none.
    """
    names = [d for d in DIMENSIONS if any(len(row.get(d, ())) > 1 for row in ratings.values())]
    if not names:
        return None
    values = np.stack([[_spread(np.array(row.get(d, ()))) for d in names] for row in ratings.values()])
    return summed_figures(values, _interval, names, [*ratings], speakers)


def _pairs(counts: np.ndarray) -> np.ndarray:
    """Return what a unit adds, (classes² + 2,): its coincidences, 1, and the share of its pairs that agree.

    Coincidences are ordered pairs of annotators by the classes that they chose; each pair counts 1 / (annotators - 1),
    so that their sum is the number of annotators.
    """
    coincidences = (np.outer(counts, counts) - np.diag(counts)) / (counts.sum() - 1)
    return np.concatenate([coincidences.ravel(), [1.0, np.trace(coincidences) / counts.sum()]])


def _nominal(sums: np.ndarray) -> np.ndarray:
    """Return alpha (1 of one class alone) and the mean share of agreeing pairs, (sums, 2), of summed `_pairs`."""
    size = round((sums.shape[1] - 2) ** 0.5)
    coincidences = sums[:, :-2].reshape(-1, size, size)
    number, by_class = coincidences.sum(axis=(1, 2)), coincidences.sum(axis=1)
    agreed = np.trace(coincidences, axis1=1, axis2=2) / number
    chance = (by_class * (by_class - 1)).sum(axis=1) / (number * (number - 1))
    alpha = np.divide(agreed - chance, 1 - chance, out=np.ones(len(number)), where=chance < 1 - 1e-12)
    return np.column_stack([alpha, sums[:, -1] / sums[:, -2]])


def _spread(values: np.ndarray) -> np.ndarray:
    """Return what a unit adds: number, sum and squares of its values, and their squared differences in pairs, (4,)."""
    if len(values) < 2:
        return np.zeros(4)
    number, total, squares = len(values), values.sum(), (values**2).sum()
    return np.array([number, total, squares, (2 * number * squares - 2 * total**2) / (number - 1)])


def _interval(sums: np.ndarray) -> np.ndarray:
    """Return alpha (sums, dimensions) of summed `_spread` (sums, dimensions, 4); 1 where all values are the same."""
    number, total, squares, within = np.moveaxis(sums, -1, 0)
    expected = (2 * number * squares - 2 * total**2) / np.maximum(number - 1, 1)
    return 1 - np.divide(within, expected, out=np.zeros(number.shape), where=expected > 1e-12)
