"""Implicit answers drawn from the votes of annotators, so that C²SER learns their distribution and not the majority.

Whenever an utterance is used, it gets the answer of one class, drawn with the share of the votes for it. The loss is
then, on average, the expected one over the votes; it is least where the answers' probabilities are those shares.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from c2ser.cot.prompts import Request, Style, sentence
from c2ser.data.datasets import Item
from c2ser.label_sets import LabelSet
from c2ser.log import get_logger
from c2ser.ratings import vote_shares

logger = get_logger(__name__)


@dataclass(frozen=True)
class Choices:
    """The implicit answers that an utterance can get.

    Attributes:
        answers: one for each class with votes.
        cumulated: the shares of these and of all before them, (answers,).
    """

    answers: list[str]
    cumulated: np.ndarray


def choices(item: Item, classes: LabelSet) -> Choices | None:
    """Return the answers that the votes of an utterance allow; None without votes for any of the classes.

    The answer of the utterance's own emotion is the one that it has; those of other classes are the example sentence.

    Args:
        item: with an implicit answer.
        classes: those that answers can name; votes for others do not count.
    """
    utterance = item.utterance
    shares = vote_shares(utterance.votes or {}, classes.names)
    if shares is None:
        return None
    chosen = np.flatnonzero(shares)
    names = [classes.names[place] for place in chosen]
    requests = {name: Request(utterance.id, utterance.language, "", name, {}, classes) for name in names}
    given = {utterance.emotion: item.answers["implicit"]}
    answers = [given.get(name) or sentence(request, "implicit") for name, request in requests.items()]
    return Choices(answers, np.cumsum(shares[chosen]))


def all_choices(items: Mapping[str, Item], classes: LabelSet, style: Style) -> dict[str, Choices]:
    """Return the choices of the utterances of a training set that have any.

    Raises:
        ValueError: the answers are explicit, or no utterance has votes.
    """
    if style != "implicit":
        raise ValueError("losses.sample_votes: explicit answers keep the emotion; train the implicit or direct stage")
    known = {name: allowed for name, item in items.items() if (allowed := choices(item, classes))}
    if not known:
        raise ValueError("losses.sample_votes: no training utterance has votes; give the training set utt2votes")
    logger.info("answers of %d of %d training utterances are drawn from votes", len(known), len(items))
    return known


def with_drawn_answer(item: Item, allowed: Choices | None, draw: float) -> Item:
    """Return an item with the implicit answer that a number in [0, 1) draws; itself if it has no choice."""
    if allowed is None:
        return item
    place = min(int(np.searchsorted(allowed.cumulated, draw, side="right")), len(allowed.answers) - 1)
    return dataclasses.replace(item, answers={**item.answers, "implicit": allowed.answers[place]})
