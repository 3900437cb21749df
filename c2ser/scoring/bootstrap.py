"""How sure a figure is: intervals from speakers drawn with replacement.

Utterances of one speaker are alike, so speakers are drawn and not utterances. A draw takes S of the S speakers with
replacement; w_s is how often it took speaker s. Its figure is that of the drawn speakers' pooled utterances, whose
confusion matrix is the sum of w_s times the speaker's own; emotions that none of them has do not count. The
interval reaches from the 2.5 % to the 97.5 % quantile of the figures of all draws (percentile bootstrap). With fewer
than about ten speakers such intervals are too narrow.

Several tables of labels of one system, such as those of several training seeds, stand for their mean: each draw takes
the same speakers from all of them. What another seed would change is not in the interval.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from c2ser.emotions import UNPARSED, ordered
from c2ser.scoring.metrics import aligned

Metric = Literal["ua", "wa", "f1_reference", "f1_union"]
"""The figures of `c2ser.scoring.metrics.scores` that have intervals."""

METRICS: tuple[Metric, ...] = get_args(Metric)

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


@dataclass(frozen=True)
class Draws:
    """How speakers are drawn.

    Attributes:
        number: how many times.
        confidence: how much of the draws' figures an interval holds.
        seed: decides who is drawn.
    """

    number: int = 10000
    confidence: float = 0.95
    seed: int = 0

    def sums(self, counts: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the drawn speakers' sums, each (draws at once, …), of the counts of all speakers (speakers, …)."""
        generator, speakers = np.random.default_rng(self.seed), len(counts)
        for start in range(0, self.number, AT_ONCE):
            number = min(AT_ONCE, self.number - start)
            drawn = generator.integers(speakers, size=(number, speakers)) + speakers * np.arange(number)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=number * speakers).reshape(number, speakers)
            yield (weights.astype(float) @ counts.reshape(speakers, -1)).reshape(number, *counts.shape[1:])


EVERY = Draws()
"""The draws of all figures that the project writes."""


def drawn_intervals(
    counts: np.ndarray, figures: Callable[[np.ndarray], np.ndarray], draws: Draws = EVERY
) -> list[Interval]:
    """Return figures of summed counts with their intervals, all from the same drawn speakers.

    Args:
        counts: what is counted of each speaker, (speakers, …).
        figures: makes figures (sums, figures) of sums (sums, …); a draw does not count for a figure that is NaN in it.
        draws: how speakers are drawn.
    """
    drawn, values = np.concatenate([figures(sums) for sums in draws.sums(counts)]), figures(counts.sum(axis=0)[None])[0]
    ends = [(1 - draws.confidence) / 2, (1 + draws.confidence) / 2]
    quantiles = [np.quantile(column[~np.isnan(column)], ends) for column in drawn.T]
    return [Interval(float(v), float(low), float(high)) for v, (low, high) in zip(values, quantiles, strict=True)]


def summed_figures(
    values: np.ndarray,
    figures: Callable[[np.ndarray], np.ndarray],
    names: Sequence[str],
    utterances: Sequence[str],
    speakers: Mapping[str, str],
) -> dict[str, Any]:
    """Return figures by name and, where there are several speakers, the ends of their `intervals`.

    Args:
        values: what each utterance adds to the sums that figures are made of, (utterances, …).
        figures: makes figures (sums, names) of sums (sums, …), as in `drawn_intervals`.
        names: of the figures.
        utterances: ids, in the order of the values.
        speakers: speaker by utterance.

    Raises:
        ValueError: an utterance has no speaker, but others have.
    """
    found: dict[str, Any] = dict(zip(names, figures(values.sum(axis=0)[None])[0].tolist(), strict=True))
    if several_speakers(utterances, speakers):
        rows = speaker_places(utterances, speakers)
        counts = np.zeros((rows.max() + 1, *values.shape[1:]))
        np.add.at(counts, rows, values)
        found["intervals"] = ends_by_name(names, drawn_intervals(counts, figures))
    return found


def interval(
    reference: Mapping[str, str],
    labels: Labels,
    speakers: Mapping[str, str],
    metric: Metric = "ua",
    draws: Draws = EVERY,
) -> Interval:
    """Return a figure with its interval.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance, or several such tables; a missing one is wrong.
        speakers: speaker by utterance.
        metric: which figure.
        draws: how speakers are drawn.

    Raises:
        ValueError: an utterance has no speaker, there is one speaker alone, or as `scores`.
    """
    counts = _counts(reference, _tables(labels), speakers)
    return drawn_intervals(counts, lambda sums: _figures(sums, metric).mean(axis=1, keepdims=True), draws)[0]


def difference(
    reference: Mapping[str, str],
    labels: Labels,
    baseline: Labels,
    speakers: Mapping[str, str],
    metric: Metric = "ua",
    draws: Draws = EVERY,
) -> Interval:
    """Return by how much a figure lies above that of a baseline on the same utterances, with its interval.

    Both are computed from the same speakers in each draw, so that what is easy or hard for both cancels out. Arguments
    and errors are those of `interval`; `baseline` is as `labels`, and may hold another number of tables.
    """
    ours, theirs = _tables(labels), _tables(baseline)

    def gap(sums: np.ndarray) -> np.ndarray:
        """Return the mean figure of our tables minus that of the baseline's, (sums, 1)."""
        first, second = np.split(_figures(sums, metric), [len(ours)], axis=1)
        return first.mean(axis=1, keepdims=True) - second.mean(axis=1, keepdims=True)

    return drawn_intervals(_counts(reference, [*ours, *theirs], speakers), gap, draws)[0]


def intervals(
    reference: Mapping[str, str],
    labels: Labels,
    speakers: Mapping[str, str],
    metrics: Sequence[Metric] = METRICS,
) -> dict[str, list[float]]:
    """Return the lower and upper end of each figure's interval; nothing where all utterances are of one speaker.

    Arguments and errors are those of `interval`.
    """
    if not several_speakers(reference, speakers):
        return {}
    counts = _counts(reference, _tables(labels), speakers)

    def figures(sums: np.ndarray) -> np.ndarray:
        """Return all figures, (sums, metrics)."""
        return np.stack([_figures(sums, metric).mean(axis=1) for metric in metrics], axis=1)

    return ends_by_name(metrics, drawn_intervals(counts, figures))


def recall_intervals(
    reference: Mapping[str, str], labels: Labels, speakers: Mapping[str, str], draws: Draws = EVERY
) -> dict[str, Interval]:
    """Return the recall of each of the reference's emotions with its interval.

    A draw whose speakers have no utterance of an emotion does not count for it. Arguments and errors are those of
    `interval`.
    """
    tables, true = _tables(labels), set(reference.values())
    counts = _counts(reference, tables, speakers)
    places = {emotion: place for place, emotion in enumerate(_emotions(reference, tables)) if emotion in true}

    def recalls(sums: np.ndarray) -> np.ndarray:
        """Return the mean recall of each emotion, (sums, emotions); NaN where none was drawn."""
        counted = sums[:, :, [*places.values()]]
        right = np.stack([counted[:, :, row, place] for row, place in enumerate(places.values())], axis=2)
        total = counted.sum(axis=-1)  # (sums, tables, emotions)
        return np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0).mean(axis=1)

    return dict(zip(places, drawn_intervals(counts, recalls, draws), strict=True))


def ends_by_name(names: Sequence[str], values: Sequence[Interval]) -> dict[str, list[float]]:
    """Return intervals as JSON files hold them: lower and upper end by the figure's name."""
    return {name: [value.low, value.high] for name, value in zip(names, values, strict=True)}


def _tables(labels: Labels) -> list[Mapping[str, str]]:
    tables = [labels] if isinstance(labels, Mapping) else list(labels)
    if not tables:
        raise ValueError("no table of labels; give at least one")
    return tables


def several_speakers(utterances: Iterable[str], speakers: Mapping[str, str]) -> bool:
    """Return whether utterances are of two speakers or more, as intervals need."""
    return len({speakers.get(utterance) for utterance in utterances}) > 1


def speaker_places(utterances: Sequence[str], speakers: Mapping[str, str]) -> np.ndarray:
    """Return the number of each utterance's speaker, (utterances,), from 0.

    Args:
        utterances: ids.
        speakers: speaker by utterance.

    Raises:
        ValueError: an utterance has no speaker, or there is one speaker alone.
    """
    silent = next((utterance for utterance in utterances if not speakers.get(utterance)), None)
    if silent is not None:
        raise ValueError(f"{silent}: no speaker; complete utt2spk")
    names, places = np.unique([speakers[utterance] for utterance in utterances], return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"all utterances are of speaker {names[0]}; an interval needs two speakers or more")
    return places


def count_pairs(rows: np.ndarray, first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """Return how often each speaker has each pair of labels, (speakers, size, size).

    Args:
        rows: the speaker of each utterance, (utterances,).
        first: the label of each, below `size`, (utterances,).
        second: the other label, likewise.
        size: number of labels.
    """
    shape = (int(rows.max()) + 1, size, size)
    places = np.ravel_multi_index((rows, first, second), shape)
    return np.bincount(places, minlength=int(np.prod(shape))).reshape(shape).astype(float)


def _counts(
    reference: Mapping[str, str], tables: Sequence[Mapping[str, str]], speakers: Mapping[str, str]
) -> np.ndarray:
    """Return confusion counts, (speakers, tables, emotions, emotions and "unparsed"), of all that any table names."""
    pairs = [aligned(reference, table) for table in tables]
    rows = speaker_places([*reference], speakers)
    names = [*_emotions(reference, tables), UNPARSED]
    place = {label: number for number, label in enumerate(names)}
    columns = [[np.array([place[label] for label in side]) for side in pair] for pair in pairs]
    counts = np.stack([count_pairs(rows, true, predicted, len(names)) for true, predicted in columns], axis=1)
    return counts[:, :, :-1]  # no utterance is truly unparsed


def _emotions(reference: Mapping[str, str], tables: Sequence[Mapping[str, str]]) -> list[str]:
    return ordered({label for table in (reference, *tables) for label in table.values()} - {UNPARSED})


def _figures(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """Return the figure of each confusion matrix (…, emotions, labels), as `scores` has it."""
    true, predicted = counts.sum(axis=-1), counts[..., :-1].sum(axis=-2)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    if metric == "wa":
        return right.sum(axis=-1) / true.sum(axis=-1)
    present = true + predicted > 0 if metric == "f1_union" else true > 0
    values = right / np.maximum(true, 1) if metric == "ua" else 2 * right / np.maximum(true + predicted, 1)
    return (values * present).sum(axis=-1) / present.sum(axis=-1)
