"""What a classifier learns of each utterance: a distribution over classes, or numbers on dimensions."""

from collections.abc import Mapping, Sequence

import numpy as np

from c2ser.corpus import Utterance, emotions_of
from c2ser.emotions import ordered
from c2ser.log import get_logger
from c2ser.ratings import DIMENSIONS, Target, check_scale, vote_shares
from c2ser.scoring.concordance import concordance
from c2ser.scoring.divergence import kl_divergence

logger = get_logger(__name__)


def target_names(utterances: Mapping[str, Utterance], target: Target) -> list[str]:
    """Return the classes or dimensions that utterances have, in the order of tables; the outputs of a classifier.

    Args:
        utterances: those that it learns from.
        target: what it learns of them.

    Raises:
        ValueError: an utterance has no emotion, votes or dimensions.
    """
    if target == "emotion":
        return ordered(emotions_of(utterances).values())
    ratings = ratings_of(utterances, target)
    if target == "dimensions":
        return [name for name in DIMENSIONS if any(name in values for values in ratings.values())]
    return ordered(name for votes in ratings.values() for name, number in votes.items() if number > 0)


def target_rows(
    utterances: Mapping[str, Utterance], target: Target, names: Sequence[str], scale: Sequence[float] | None = None
) -> dict[str, np.ndarray]:
    """Return what a classifier should say of each utterance.

    Args:
        utterances: by id.
        target: what is asked of them.
        names: classes or dimensions, the outputs of the classifier.
        scale: lowest and highest value of a dimension; None does not check them.

    Returns:
        float32 (names,) by utterance: 1 for its emotion, or nothing but 0 where no class is it; or the shares of the
        votes for these classes, without utterances for which nobody chose one of them, whose number is logged; or
        values, NaN where a dimension was not rated.

    Raises:
        ValueError: an utterance has no emotion, votes or dimensions, a value is outside the scale, or no utterance has
            votes for these classes.
    """
    if target == "emotion":
        emotions = emotions_of(utterances)
        return {name: np.array([emotion == c for c in names], dtype=np.float32) for name, emotion in emotions.items()}
    ratings = ratings_of(utterances, target)
    if target == "dimensions":
        for name, values in ratings.items():
            if scale:
                check_scale(name, values, scale)
        return {name: np.array([v.get(d, np.nan) for d in names], np.float32) for name, v in ratings.items()}
    shares = {name: vote_shares(votes, names) for name, votes in ratings.items()}
    known = {name: row.astype(np.float32) for name, row in shares.items() if row is not None}
    if utterances and not known:
        raise ValueError(f"{next(iter(utterances))}: like all others without a vote for {', '.join(names)}; "
                         "give votes for the classes of the training set")  # fmt: skip
    if len(known) < len(shares):
        logger.warning("%d of %d utterances have votes for other classes alone: not used",
                       len(shares) - len(known), len(shares))  # fmt: skip
    return known


def ratings_of(utterances: Mapping[str, Utterance], target: Target) -> dict[str, Mapping[str, float]]:
    """Return votes or dimensions by utterance.

    Raises:
        ValueError: an utterance has none.
    """
    given = {i: one.votes if target == "votes" else one.dimensions for i, one in utterances.items()}
    ratings = {i: numbers for i, numbers in given.items() if numbers}
    unrated = next((i for i in given if i not in ratings), None)
    if unrated is not None:
        table = "utt2votes" if target == "votes" else "utt2vad"
        raise ValueError(f"{unrated}: no {target} in {utterances[unrated].set}/{table}; complete it "
                         f"({len(given) - len(ratings)} such utterances)")  # fmt: skip
    return ratings


def quality(target: Target, outputs: np.ndarray, rows: np.ndarray) -> float:
    """Return how well outputs fit the targets, by the measure that chooses between epochs; more is better.

    Args:
        target: what was learnt.
        outputs: probabilities of the classes, or values of the dimensions, (utterances, names).
        rows: what should be there, as `target_rows` has it, (utterances, names).

    Returns:
        of emotions the accuracy; of votes minus the mean Kullback-Leibler divergence (nats) of the outputs from them;
        of dimensions the mean concordance (CCC) over dimensions.
    """
    outputs, rows = outputs.astype(float), rows.astype(float)
    if target == "emotion":
        return float(rows[np.arange(len(rows)), outputs.argmax(axis=1)].mean())
    if target == "votes":
        return -float(kl_divergence(rows, outputs).mean())
    return float(np.mean([concordance(rows[:, d], outputs[:, d]) for d in range(rows.shape[1])]))
