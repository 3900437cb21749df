"""Probabilities of the classes: reading them, the most probable one, the temperature that fits them best."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from c2ser.label_sets import SEVEN, LabelSet


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


def argmax_labels(rows: Mapping[str, str], labels: LabelSet = SEVEN) -> dict[str, str]:
    """Return the class of the greatest probability by utterance; the first in the order of classes among equals.

    Raises:
        ValueError: as `read_vectors`.
    """
    return {utterance: labels.names[int(vector.argmax())] for utterance, vector in read_vectors(rows, labels).items()}


def fit_temperature(
    scores: Mapping[str, str], reference: Mapping[str, str], labels: LabelSet = SEVEN
) -> dict[str, Any]:
    """Find the temperature T for which softmax(scores / T) gives the true emotions the greatest likelihood.

    Where a model errs nowhere, that would be the lowest T there is, and the model sure of everything. As in Platt's
    calibration (1999), each of n labels therefore counts as wrong by 1 / (n + 2), for the most probable other emotion.

    Args:
        scores: log-probabilities of the classes by utterance.
        reference: true emotion by utterance.
        labels: the classes.

    Returns:
        `temperature`, between 0.05 and 20; `nll_before` and `nll_after`, the mean negative log-likelihood (nats) with
        T = 1 and with that temperature; `utterances`, how many counted.

    Raises:
        ValueError: no utterance has both scores and an emotion, or an emotion is no class.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    vectors = read_vectors(scores, labels)
    common = sorted(set(vectors) & set(reference))
    if not common:
        raise ValueError("no utterance has both label scores and an emotion; check the validation set")
    true = np.array([labels.index(labels.check(reference[name], name)) for name in common])
    stacked = np.stack([vectors[name] for name in common])
    others = stacked.copy()
    others[np.arange(len(true)), true] = -np.inf
    doubt = 1 / (len(true) + 2)

    def loss(log_temperature: float) -> float:
        """Return the mean negative log-probability (nats) of the true emotions at a temperature."""
        scaled = stacked / np.exp(log_temperature)
        highest = scaled.max(axis=1)
        normalisers = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
        return float(np.mean(normalisers - scaled[np.arange(len(true)), true]))

    def doubtful_loss(log_temperature: float) -> float:
        """Return it with a little doubt about each label."""
        gaps = (stacked[np.arange(len(true)), true] - others.max(axis=1)) / np.exp(log_temperature)
        return loss(log_temperature) + doubt * float(gaps.mean())

    best = minimize_scalar(
        doubtful_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-6}
    )
    return {
        "temperature": float(np.exp(best.x)),
        "nll_before": loss(0.0),
        "nll_after": loss(best.x),
        "utterances": len(common),
    }
