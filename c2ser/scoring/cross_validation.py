"""Figures of a cross-validation: all folds pooled, each fold, and the mean over the folds that EmoBox reports."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from c2ser.corpus import Utterance, emotions_of
from c2ser.scoring.bootstrap import Metric, intervals
from c2ser.scoring.concordance import dimension_figures
from c2ser.scoring.metrics import scores
from c2ser.scoring.reliability import rating_agreement
from c2ser.scoring.vote_figures import Rows, vote_figures


def figures_with_intervals(
    utterances: Mapping[str, Utterance], labels: Mapping[str, str], probabilities: Rows | None = None
) -> dict[str, Any]:
    """Return the figures of labels, the number of `speakers`, and `intervals`, lower and upper end by figure.

    Args:
        utterances: by id, with emotions and speakers; those with votes are also scored by them, under `votes`.
        labels: emotion by utterance; a missing one is wrong.
        probabilities: of the classes, by utterance, for the figures of votes.
    """
    reference = emotions_of(utterances)
    speakers = {name: utterance.speaker for name, utterance in utterances.items()}
    figures = {**scores(reference, labels), "speakers": len(set(speakers.values()))}
    figures["intervals"] = intervals(reference, labels, speakers)
    if votes := {name: utterance.votes for name, utterance in utterances.items() if utterance.votes}:
        figures["votes"] = vote_figures(votes, labels, speakers, probabilities)
    return figures


def figures_of_values(utterances: Mapping[str, Utterance], values: Rows) -> dict[str, Any]:
    """Return the figures of values on dimensions under `dimensions`, and the numbers of `utterances` and `speakers`.

    Where annotators' own values are known, their agreement (Krippendorff's alpha) stands under `dimensions.humans`.

    Args:
        utterances: by id, with dimensions and speakers; those without dimensions are not scored.
        values: value by dimension, by utterance.
    """
    reference = {name: utterance.dimensions for name, utterance in utterances.items() if utterance.dimensions}
    speakers = {name: utterances[name].speaker for name in reference}
    figures = dimension_figures(reference, values, speakers)
    ratings = {name: given for name in reference if (given := utterances[name].ratings)}
    if humans := rating_agreement(ratings, speakers):
        figures["humans"] = humans
    return {"utterances": len(reference), "speakers": len(set(speakers.values())), "dimensions": figures}


def by_fold(
    utterances: Mapping[str, Utterance], figures: Callable[[Mapping[str, Utterance]], dict[str, Any]]
) -> dict[str, Any]:
    """Return the figures of all utterances, and under `folds` those of each fold, in the order of their numbers.

    Args:
        utterances: by id, with folds.
        figures: makes the figures of some of them.
    """
    folds: dict[str, dict[str, Utterance]] = {}
    for name, utterance in utterances.items():
        folds.setdefault(str(utterance.fold), {})[name] = utterance
    ordered = sorted(folds.items(), key=lambda item: (len(item[0]), item[0]))
    return {**figures(utterances), "folds": {fold: figures(members) for fold, members in ordered}}


def figures_of_folds(
    utterances: Mapping[str, Utterance], labels: Mapping[str, str], probabilities: Rows | None = None
) -> dict[str, Any]:
    """Return the figures of all labels, those of each fold under `folds`, and under `mean` the mean over the folds.

    Args:
        utterances: by id, with emotions, speakers and folds.
        labels: emotion by utterance; a missing one is wrong.
        probabilities: of the classes, by utterance, for the figures of votes.
    """

    def figures(members: Mapping[str, Utterance]) -> dict[str, Any]:
        """Return the figures of some of the utterances."""
        said = {name: labels[name] for name in members if name in labels}
        sure = {name: probabilities[name] for name in members if name in probabilities} if probabilities else None
        return figures_with_intervals(members, said, sure)

    pooled = by_fold(utterances, figures)
    folds = pooled["folds"].values()
    return {**pooled, "mean": {metric: sum(row[metric] for row in folds) / len(folds) for metric in get_args(Metric)}}
