"""Figures of a cross-validation: all folds pooled, each fold, and the mean over the folds that EmoBox reports."""

from collections.abc import Mapping
from typing import Any, get_args

from c2ser.corpus import Utterance, emotions_of
from c2ser.scoring.bootstrap import Metric, intervals
from c2ser.scoring.metrics import scores


def figures_with_intervals(utterances: Mapping[str, Utterance], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of labels, the number of `speakers`, and `intervals`, lower and upper end by figure.

    Args:
        utterances: by id, with emotions and speakers.
        labels: emotion by utterance; a missing one is wrong.
    """
    reference = emotions_of(utterances)
    speakers = {name: utterance.speaker for name, utterance in utterances.items()}
    figures = {**scores(reference, labels), "speakers": len(set(speakers.values()))}
    return {**figures, "intervals": intervals(reference, labels, speakers)}


def figures_of_folds(utterances: Mapping[str, Utterance], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of all labels, those of each fold under `folds`, and under `mean` the mean over the folds.

    Args:
        utterances: by id, with emotions, speakers and folds.
        labels: emotion by utterance; a missing one is wrong.
    """
    folds: dict[str, dict[str, Utterance]] = {}
    for name, utterance in utterances.items():
        folds.setdefault(str(utterance.fold), {})[name] = utterance
    figures = {
        fold: figures_with_intervals(members, {name: labels[name] for name in members if name in labels})
        for fold, members in sorted(folds.items(), key=lambda item: (len(item[0]), item[0]))
    }
    mean = {metric: sum(row[metric] for row in figures.values()) / len(figures) for metric in get_args(Metric)}
    return {**figures_with_intervals(utterances, labels), "folds": figures, "mean": mean}
