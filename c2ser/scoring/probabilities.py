"""Probabilities of the classes: reading them, the most probable one, the temperature that fits them best."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from c2ser.label_sets import SEVEN, LabelSet, chosen_classes


def read_vectors(rows: Mapping[str, str], labels: LabelSet = SEVEN) -> dict[str, np.ndarray]:
    """Return the numbers of each row, one for each class, in their order.

    Raises:
        ValueError: a row has not so many numbers; the message names the utterance.
    """
    vectors = {}
    for utterance, row in rows.items():
        try:
            vectors[utterance] = np.array([float(number) for number in row.split()])
        except ValueError:
            vectors[utterance] = np.array([])
        if len(vectors[utterance]) != len(labels) or not np.isfinite(vectors[utterance]).all():
            raise ValueError(f"{utterance}: '{row}' is not {len(labels)} numbers; decode again")
    return vectors


def argmax_labels(
    rows: Mapping[str, str], labels: LabelSet = SEVEN, among: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the class of the greatest probability by utterance; the first in the order of classes among equals.

    Args:
        rows: a number for each class by utterance.
        labels: the classes.
        among: the classes to choose from; all without it.

    Raises:
        ValueError: as `read_vectors`, or `among` names what is no class, or nothing.
    """
    chosen = chosen_classes(labels.names, among)
    places = [labels.index(name) for name in chosen]
    vectors = read_vectors(rows, labels)
    return {utterance: chosen[int(vector[places].argmax())] for utterance, vector in vectors.items()}


def fit_temperature(
    scores: Mapping[str, str], reference: Mapping[str, str], labels: LabelSet = SEVEN
) -> dict[str, Any]:
    """Find the temperature T for which softmax(scores / T) gives the true emotions the greatest likelihood.

    Args:
        scores: log-probabilities of the classes by utterance.
        reference: true emotion by utterance.
        labels: the classes.

    Returns:
        as `fit_to_shares`.

    Raises:
        ValueError: no utterance has both scores and an emotion, or an emotion is no class.
    """
    vectors = read_vectors(scores, labels)
    common = sorted(set(vectors) & set(reference))
    if not common:
        raise ValueError("no utterance has both label scores and an emotion; check the validation set")
    true = [labels.index(labels.check(reference[name], name)) for name in common]
    return fit_to_shares(np.stack([vectors[name] for name in common]), np.eye(len(labels))[true])


def fit_to_shares(scores: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    """Find the temperature T for which the cross-entropy of softmax(scores / T) with shares of classes is least.

    Where a model errs nowhere, that would be the lowest T there is, and the model sure of everything. As in Platt's
    calibration (1999), each of n utterances therefore counts as wrong by 1 / (n + 2), for the most probable class other
    than that of the greatest share.

    Args:
        scores: log-probabilities or logits of the classes, (utterances, classes).
        shares: what they should be: 1 for the true class, or shares of votes; rows sum to 1.

    Returns:
        `temperature`, between 0.05 and 20; `nll_before` and `nll_after`, the mean cross-entropy (nats) with T = 1 and
        with that temperature; `utterances`, how many counted.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    expected = (scores * shares).sum(axis=1)
    others = np.where(np.eye(scores.shape[1], dtype=bool)[shares.argmax(axis=1)], -np.inf, scores).max(axis=1)
    doubt = 1 / (len(scores) + 2)

    def loss(log_temperature: float) -> float:
        """Return the mean cross-entropy (nats) at a temperature."""
        temperature = np.exp(log_temperature)
        scaled = scores / temperature
        highest = scaled.max(axis=1)
        normalisers = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
        return float(np.mean(normalisers - expected / temperature))

    def doubtful_loss(log_temperature: float) -> float:
        """Return it with a little doubt about each utterance."""
        return loss(log_temperature) + doubt * float((expected - others).mean() / np.exp(log_temperature))

    best = minimize_scalar(
        doubtful_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-6}
    )
    return {
        "temperature": float(np.exp(best.x)),
        "nll_before": loss(0.0),
        "nll_after": loss(best.x),
        "utterances": len(scores),
    }
