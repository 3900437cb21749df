"""How sure a figure is: intervals from speakers drawn with replacement.

Utterances of one speaker are alike, so speakers are drawn and not utterances. A draw takes S of the S speakers with
replacement; w_s is how often it took speaker s. Its figure is that of the drawn speakers' pooled utterances, whose
confusion matrix is the sum of w_s times the speaker's own; emotions that none of them has do not count. The
interval reaches from the 2.5 % to the 97.5 % quantile of the figures of all draws (percentile bootstrap). With fewer
than about ten speakers such intervals are too narrow.

Several tables of labels of one system, such as those of several training seeds, stand for their mean: each draw takes
the same speakers from all of them. What another seed would change is not in the interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from c2ser.emotions import UNPARSED, ordered
from c2ser.scoring.metrics import scores

Metric = Literal["ua", "wa", "f1_reference", "f1_union"]
"""The figures of `c2ser.scoring.metrics.scores` that have intervals."""

Labels = Mapping[str, str] | Sequence[Mapping[str, str]]
"""Labels by utterance, or several such tables whose mean figure counts."""

AT_ONCE = 1000
"""Draws that are computed together, so that many speakers need little memory."""


@dataclass(frozen=True)
class Interval:
    """A figure and how sure it is.

    Attributes:
        value: the figure of all utterances.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def interval(
    reference: Mapping[str, str],
    labels: Labels,
    speakers: Mapping[str, str],
    metric: Metric = "ua",
    draws: int = 10000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a figure with its interval.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance, or several such tables; a missing one is wrong.
        speakers: speaker by utterance.
        metric: which figure.
        draws: how many times speakers are drawn.
        confidence: how much of the draws' figures the interval holds.
        seed: decides the draws.

    Raises:
        ValueError: an utterance has no speaker, there is one speaker alone, or as `scores`.
    """
    counts = _counts(reference, _tables(labels), speakers)
    drawn = [_figures(weighted, metric).mean(axis=1) for weighted in _drawn(counts, draws, seed)]
    value = _figures(counts.sum(axis=0)[None], metric).mean()
    return _interval(float(value), np.concatenate(drawn), confidence)


def difference(
    reference: Mapping[str, str],
    labels: Labels,
    baseline: Labels,
    speakers: Mapping[str, str],
    metric: Metric = "ua",
    draws: int = 10000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return by how much a system's figure lies above a baseline's on the same utterances, with its interval.

    Both are computed from the same speakers in each draw, so that what is easy or hard for both cancels out.

    Args:
        reference: true emotion by utterance.
        labels: the system's labels, or several tables of them.
        baseline: the baseline's, likewise; the numbers of tables may differ.
        speakers: speaker by utterance.
        metric: which figure.
        draws: how many times speakers are drawn.
        confidence: how much of the draws' differences the interval holds.
        seed: decides the draws.

    Raises:
        ValueError: as `interval`.
    """
    ours, theirs = _tables(labels), _tables(baseline)
    both, tables = _counts(reference, [*ours, *theirs], speakers), len(ours)

    def gap(counts: np.ndarray) -> np.ndarray:
        figures = _figures(counts, metric)
        return figures[:, :tables].mean(axis=1) - figures[:, tables:].mean(axis=1)

    drawn = np.concatenate([gap(weighted) for weighted in _drawn(both, draws, seed)])
    return _interval(float(gap(both.sum(axis=0)[None])[0]), drawn, confidence)


def _tables(labels: Labels) -> list[Mapping[str, str]]:
    tables = [labels] if isinstance(labels, Mapping) else list(labels)
    if not tables:
        raise ValueError("no table of labels; give at least one")
    return tables


def _counts(
    reference: Mapping[str, str], tables: Sequence[Mapping[str, str]], speakers: Mapping[str, str]
) -> np.ndarray:
    """Return confusion counts, (speakers, tables, emotions, emotions and "unparsed"), of all that any table names."""
    for table in tables:
        scores(reference, table)  # refuses what cannot be compared
    silent = next((utterance for utterance in reference if not speakers.get(utterance)), None)
    if silent is not None:
        raise ValueError(f"{silent}: no speaker; complete utt2spk")
    names = sorted({speakers[utterance] for utterance in reference})
    if len(names) < 2:
        raise ValueError(f"all utterances are of speaker {names[0]}; an interval needs two speakers or more")
    emotions = _emotions(reference, tables)
    place = {label: number for number, label in enumerate([*emotions, UNPARSED])}
    rows = np.array([names.index(speakers[utterance]) for utterance in reference])
    true = np.array([place[emotion] for emotion in reference.values()])
    counts = np.zeros((len(names), len(tables), len(emotions), len(place)))
    for number, table in enumerate(tables):
        said = np.array([place[table.get(utterance, UNPARSED)] for utterance in reference])
        np.add.at(counts, (rows, number, true, said), 1)
    return counts


def _emotions(reference: Mapping[str, str], tables: Sequence[Mapping[str, str]]) -> list[str]:
    return ordered({label for table in (reference, *tables) for label in table.values()} - {UNPARSED})


def _drawn(counts: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the summed counts of so many draws, each (draws at once, tables, emotions, labels)."""
    generator, speakers = np.random.default_rng(seed), len(counts)
    for start in range(0, draws, AT_ONCE):
        number = min(AT_ONCE, draws - start)
        weights = generator.multinomial(speakers, np.full(speakers, 1 / speakers), size=number)
        yield (weights @ counts.reshape(speakers, -1)).reshape(number, *counts.shape[1:])


def _figures(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """Return the figure of each confusion matrix (…, emotions, labels), as `scores` has it."""
    true, said = counts.sum(axis=-1), counts[..., :-1].sum(axis=-2)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    if metric == "wa":
        return right.sum(axis=-1) / true.sum(axis=-1)
    present = true + said > 0 if metric == "f1_union" else true > 0
    values = right / np.maximum(true, 1) if metric == "ua" else 2 * right / np.maximum(true + said, 1)
    return (values * present).sum(axis=-1) / present.sum(axis=-1)


def _interval(value: float, drawn: np.ndarray, confidence: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def intervals(reference: Mapping[str, str], labels: Labels, speakers: Mapping[str, str]) -> dict[str, list[float]]:
    """Return the lower and upper end of every figure's interval; nothing where all utterances are of one speaker."""
    if len({speakers.get(utterance) for utterance in reference}) < 2:
        return {}
    found = {metric: interval(reference, labels, speakers, metric) for metric in get_args(Metric)}
    return {metric: [ends.low, ends.high] for metric, ends in found.items()}


def recall_intervals(
    reference: Mapping[str, str],
    labels: Labels,
    speakers: Mapping[str, str],
    draws: int = 10000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the recall of each of the reference's emotions with its interval.

    A draw whose speakers have no utterance of an emotion does not count for it.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance, or several such tables; a missing one is wrong.
        speakers: speaker by utterance.
        draws: how many times speakers are drawn.
        confidence: how much of the draws' figures the interval holds.
        seed: decides the draws.

    Raises:
        ValueError: as `interval`.
    """
    tables = _tables(labels)
    counts = _counts(reference, tables, speakers)
    emotions = _emotions(reference, tables)
    drawn = np.concatenate([_recalls(weighted).mean(axis=1) for weighted in _drawn(counts, draws, seed)])
    values = _recalls(counts.sum(axis=0)[None]).mean(axis=1)[0]  # (emotions,)
    found = {}
    for place, emotion in enumerate(emotions):
        own = drawn[:, place]
        if not np.isnan(values[place]):
            found[emotion] = _interval(float(values[place]), own[~np.isnan(own)], confidence)
    return found


def _recalls(counts: np.ndarray) -> np.ndarray:
    """Return the recall of each emotion (…, emotions) of confusion matrices; NaN where none was drawn."""
    true = counts.sum(axis=-1)
    return np.divide(np.diagonal(counts, axis1=-2, axis2=-1), true, out=np.full(true.shape, np.nan), where=true > 0)
