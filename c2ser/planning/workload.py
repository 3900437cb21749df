"""The micro-batches that a plan is made for: of the user's data, or of made-up utterances of usual lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from c2ser.corpus import Utterance
from c2ser.cot.prompts import Request, Style, sentence
from c2ser.data.datasets import Item
from c2ser.data.sampler import Batches
from c2ser.emotions import ATTRIBUTES, EMOTIONS

MEDIAN, SPREAD = 5.0, 0.6
"""Of the made-up durations in seconds, which are log-normal: their mean is 6.0 s."""

SHORTEST, LONGEST = 0.6, 20.0
"""Bounds of the made-up durations in seconds."""

TEXT = "I never thought that I would see all of you here again"


@dataclass
class Padding:
    """What an epoch of micro-batches computes for nothing.

    Attributes:
        batches: micro-batches.
        utterances: utterances.
        seconds: speech.
        seconds_wasted: share of the padded audio that is padding, 0 to 1.
        tokens_wasted: the same of the language model's sequences; None without one.
    """

    batches: int
    utterances: int
    seconds: float
    seconds_wasted: float
    tokens_wasted: float | None


def usual_items(number: int, styles: Sequence[Style]) -> dict[str, Item]:
    """Return made-up utterances with answers of usual lengths, always the same ones."""
    items = {}
    for place in range(number):
        emotion = EMOTIONS[place % len(EMOTIONS)]
        name = f"{place:05d}"
        answers: dict[str, str] = {style: sentence(_request(emotion, style), style) for style in styles}
        utterance = Utterance("train", "usual", name, Path("silence"), emotion, "en", TEXT)
        items[utterance.id] = Item(utterance, usual_seconds(place, number), answers)
    return items


def usual_seconds(place: int, number: int) -> float:
    """Return the duration of one of so many utterances; together they have the usual distribution."""
    quantile = NormalDist().inv_cdf((place + 0.5) / number)
    return min(max(MEDIAN * 2.718281828 ** (SPREAD * quantile), SHORTEST), LONGEST)


def _request(emotion: str, style: Style) -> Request:
    levels = dict.fromkeys(ATTRIBUTES, "medium") if style == "explicit" else {}
    return Request("", "en", TEXT, emotion, levels)


def waste(batches: Batches) -> Padding:
    """Return the padding of the first epoch."""
    places = {name: place for place, name in enumerate(batches.names)}
    real, padded = [0.0] * len(batches.costs), [0.0] * len(batches.costs)
    for number in range(batches.per_epoch):
        names = batches.at(number)
        for kind, costs in enumerate(batches.costs):
            lengths = [costs[places[name]] for name in names]
            real[kind] += sum(lengths)
            padded[kind] += max(lengths) * len(names)
    wasted = [1 - one / other for one, other in zip(real, padded, strict=True)]
    tokens = wasted[1] if len(wasted) > 1 else None
    return Padding(batches.per_epoch, len(batches.names), real[0], wasted[0], tokens)


def fullest_and_typical(batches: Batches) -> tuple[int, int]:
    """Return the numbers of the micro-batch of the first epoch that needs most memory, and of one like their mean.

    The sequence of the language model decides, or the padded audio where there is none.
    """
    places = {name: place for place, name in enumerate(batches.names)}
    costs = batches.costs[-1]
    sizes = []
    for number in range(batches.per_epoch):
        names = batches.at(number)
        sizes.append(max(costs[places[name]] for name in names) * len(names))
    mean = sum(sizes) / len(sizes)
    numbers = range(len(sizes))
    return max(numbers, key=sizes.__getitem__), min(numbers, key=lambda number: abs(sizes[number] - mean))
