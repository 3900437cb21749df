"""Batches whose order is a pure function of a seed, so that training resumes anywhere without replaying the data."""

import bisect
import functools
import threading
from array import array
from collections.abc import Mapping, Sequence

import numpy as np


def rng(*numbers: int) -> np.random.Generator:
    """Return a random generator that depends on the given non-negative numbers and on nothing else."""
    return np.random.default_rng(np.random.SeedSequence(list(numbers)))


class Batches:
    """An endless stream of batches of utterances of similar duration.

    Each epoch goes through the same set of batches in another order. The batches themselves also
    change from epoch to epoch: utterances are sorted by duration with a little noise and cut into batches, and the
    batches are shuffled.

    Args:
        durations: seconds by utterance.
        max_seconds: padded audio in one batch, at most: utterances times the longest of them.
        max_utterances: utterances in one batch, at most.
        tokens: length of each utterance's sequence in the language model; None for no such limit.
        max_tokens: padded tokens in one batch, at most: utterances times the longest sequence.
        seed: decides every order.
        noise: largest relative change of the durations for sorting; 0 makes the same batches in every epoch.
        classes: class by utterance, None or absent if unknown. Utterances of a class with similar durations stay
            together, so that each has another of its class in its batch.
    """

    def __init__(
        self,
        durations: Mapping[str, float],
        max_seconds: float,
        max_utterances: int = 1_000_000,
        seed: int = 777,
        noise: float = 0.01,
        classes: Mapping[str, str | None] | None = None,
        tokens: Mapping[str, int] | None = None,
        max_tokens: int = 0,
    ) -> None:
        if not durations:
            raise ValueError("wav.scp: no utterance is left to make batches of; see the rejected ones above")
        self.names = sorted(durations, key=str.encode)
        self.seconds = np.array([durations[name] for name in self.names])
        self.limits = [float(max_seconds)]
        self.costs: list[Sequence[float]] = [array("d", self.seconds)]  # 8 bytes a number; a list takes 32
        _check(self.names, self.costs[0], max_seconds, "s", "seconds")
        if tokens is not None:
            self.limits.append(max_tokens)
            self.costs.append(array("q", [tokens[name] for name in self.names]))
            _check(self.names, self.costs[1], max_tokens, "tokens", "tokens")
        self.max_utterances = max_utterances
        self.seed, self.noise = seed, noise
        self.classes = [classes.get(name) for name in self.names] if classes else [None] * len(self.names)
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)
        self._ends = [len(self._epoch(0))]
        self._lock = threading.RLock()

    def at(self, index: int) -> list[str]:
        """Return the utterances of the index-th batch of the stream; several threads may call it."""
        with self._lock:
            while index >= self._ends[-1]:
                self.num_batches(len(self._ends) + 1)
            epoch = bisect.bisect_right(self._ends, index)
            return self._epoch(epoch)[index - (self._ends[epoch - 1] if epoch else 0)]

    @property
    def per_epoch(self) -> int:
        """Batches in the first epoch; later ones differ by a few."""
        return self._ends[0]

    def num_batches(self, epochs: int) -> int:
        """Return the number of batches in the first N epochs."""
        with self._lock:
            while len(self._ends) < epochs:
                self._ends.append(self._ends[-1] + len(self._epoch(len(self._ends))))
        return self._ends[epochs - 1] if epochs else 0

    def _make_epoch(self, epoch: int) -> list[list[str]]:
        batches = self._cut(epoch)
        order = rng(self.seed, epoch, 1).permutation(len(batches))
        return [[self.names[i] for i in batches[number]] for number in order]

    def _cut(self, epoch: int) -> list[list[int]]:
        factors = 1 + self.noise * rng(self.seed, epoch, 0).uniform(-1, 1, len(self.names))
        batches: list[list[int]] = []
        batch: list[int] = []
        longest = [0.0] * len(self.costs)
        for unit in self._units(np.argsort(self.seconds * factors, kind="stable")):
            longest = self._longest(unit, longest)
            if batch and not self._fits(longest, len(batch) + len(unit)):
                batches.append(batch)
                batch, longest = [], self._longest(unit)
            batch = batch + unit
        return [*batches, batch]

    def _longest(self, unit: list[int], before: list[float] | None = None) -> list[float]:
        """Return the maximum of seconds, and of tokens, over some utterances and `before`."""
        longest = [max(cost[i] for i in unit) for cost in self.costs]
        return longest if before is None else list(map(max, longest, before))

    def _fits(self, longest: list[float], utterances: int) -> bool:
        padded = (most * utterances <= limit for most, limit in zip(longest, self.limits, strict=True))
        return utterances <= self.max_utterances and all(padded)

    def _units(self, order: np.ndarray) -> list[list[int]]:
        """Return groups to keep together: pairs of a class, a last single one with the pair before it, others alone."""
        units: list[list[int]] = []
        waiting: dict[str, int] = {}
        pairs: dict[str, list[int]] = {}
        for i in map(int, order):
            kind = self.classes[i]
            if kind is None:
                units.append([i])
            elif kind in waiting and self._fits(self._longest([waiting[kind], i]), 2):
                pairs[kind] = [waiting.pop(kind), i]
                units.append(pairs[kind])
            else:
                if kind in waiting:
                    units.append([waiting[kind]])
                waiting[kind] = i
        for kind, i in waiting.items():
            if kind in pairs and self._fits(self._longest([*pairs[kind], i]), 3):
                pairs[kind].append(i)
            else:
                units.append([i])
        return units


def _check(names: list[str], costs: Sequence[float], limit: float, unit: str, setting: str) -> None:
    """Refuse an utterance that fits into no batch."""
    most = max(costs)
    if most > limit:
        shown = f"{most:.1f}" if isinstance(most, float) else f"{most}"
        longest = names[costs.index(most)]
        raise ValueError(f"{longest}: {shown} {unit}, over a batch's {limit} {unit}; raise batches.{setting}")


def by_length(
    durations: Mapping[str, float], seconds: float, utterances: int, max_length_ratio: float = float("inf")
) -> list[list[str]]:
    """Group utterances into batches of similar duration, always the same ones.

    Args:
        durations: seconds by utterance.
        seconds: padded audio in one batch, at most; a longer utterance is a batch of its own.
        utterances: utterances in one batch, at most.
        max_length_ratio: longest utterance of a batch divided by its shortest, at most.
    """
    batches: list[list[str]] = []
    for name in sorted(durations, key=lambda name: (durations[name], name)):
        full = not batches or len(batches[-1]) == utterances or durations[name] * (len(batches[-1]) + 1) > seconds
        if full or durations[name] > max_length_ratio * durations[batches[-1][0]]:
            batches.append([])
        batches[-1].append(name)
    return batches


def balanced_subset(emotions: Mapping[str, str | None], number: int, seed: int) -> list[str]:
    """Choose at most `number` utterances with the emotions balanced, always the same ones for a seed.

    Args:
        emotions: emotion by utterance.
        number: size of the subset.
        seed: decides the choice.
    """
    ordered = sorted(emotions, key=str.encode)
    shuffled = [ordered[i] for i in rng(seed, 3).permutation(len(ordered))]
    counts: dict[str | None, int] = {}
    ranks = []
    for name in shuffled:
        ranks.append(counts.get(emotions[name], 0))
        counts[emotions[name]] = ranks[-1] + 1
    order = sorted(range(len(shuffled)), key=lambda i: ranks[i])
    return [shuffled[i] for i in order[:number]]
