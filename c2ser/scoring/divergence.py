"""How far a model's distribution over classes lies from that of the annotators' votes, by utterance."""

import numpy as np

FLOOR = 1e-12
"""Least probability of a class that counts, so that a divergence stays finite."""


def kl_divergence(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence of probabilities from shares, both (..., classes), in nats, (...)."""
    floored = np.maximum(probabilities, FLOOR)
    return np.where(shares > 0, shares * np.log(np.maximum(shares, FLOOR) / floored), 0.0).sum(axis=-1)


def js_divergence(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence of two distributions, both (..., classes), in bits: 0 to 1, (...)."""
    middle = (shares + probabilities) / 2
    return (kl_divergence(shares, middle) + kl_divergence(probabilities, middle)) / (2 * np.log(2))


def ranked_probability_score(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the ranked probability score of each utterance, 0 to 1, (utterances,); less is better.

    The score wants classes in an order, and emotions have none; here they stand in the order of the utterance's own
    votes. It is the mean square of how far the model's cumulated probability differs from that of the votes after each
    class but the last; classes with equally many votes count together, so that their order does not matter.

    Args:
        shares: of the votes, (utterances, classes).
        probabilities: of the model, (utterances, classes).
    """
    order = np.argsort(-shares, axis=1, kind="stable")
    votes, model = (np.take_along_axis(rows, order, axis=1) for rows in (shares, probabilities))
    ends = np.diff(votes, axis=1) != 0  # after the class the votes fall; (utterances, classes - 1)
    squares = (np.cumsum(votes, axis=1) - np.cumsum(model, axis=1))[:, :-1] ** 2
    return np.divide((squares * ends).sum(axis=1), ends.sum(axis=1), out=np.zeros(len(shares)), where=ends.any(axis=1))
