"""Levels of attributes: low, medium, high by mean and deviation of the training set (section III.C, step 2)."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2ser.attributes.loudness import BLOCK
from c2ser.emotions import ATTRIBUTES, LEVELS
from c2ser.ratings import DIMENSIONS, parse_dimensions
from c2ser.tables import read_table

UNITS = {"pitch": "Hz", "loudness": "LUFS", "rate": "phonemes/s"}

LIMITS = {"loudness": (-70.0, 10.0, "convert it again from its source"), "rate": (0.1, 50.0, "correct its transcript")}
"""Lowest and highest value that speech can have, and the remedy beyond; pitch is within the range of its tracker."""

LARGEST = 1e6
"""No attribute of a table is as large; the squares of larger numbers could overflow."""

OUTLYING = 8.0
"""A value so many robust deviations from the median is named, because it may move mean and deviation."""

FLAG = "utt2flag"
"""The table beside `utt2attr` that marks doubtful values."""

LEAST_VOICED = 0.1
"""If a smaller share of the frames has a pitch, the mean pitch is flagged."""


@dataclass(frozen=True)
class Stats:
    """Sums of one attribute over a set. The sums of two sets add up to the sums of both together.

    Attributes:
        count: utterances.
        total: sum of the values.
        squares: sum of the squared values.
    """

    count: int
    total: float
    squares: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Stats":
        """Return the sums of some values."""
        numbers = list(values)
        return cls(len(numbers), math.fsum(numbers), math.fsum(value * value for value in numbers))

    def __add__(self, other: "Stats") -> "Stats":
        """Return the sums of both sets."""
        return Stats(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """The mean, in the attribute's unit."""
        return self.total / self.count

    @property
    def deviation(self) -> float:
        """The standard deviation of the set itself (divided by n, not n - 1), in the attribute's unit."""
        return math.sqrt(max(0.0, self.squares / self.count - self.mean**2))

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value that are medium."""
        return self.mean - self.deviation, self.mean + self.deviation

    def level(self, value: float) -> str:
        """Return low below mean - deviation, high above mean + deviation, else medium."""
        low, high = self.bounds
        return LEVELS[0] if value < low else LEVELS[2] if value > high else LEVELS[1]


def flags(seconds: float, voiced: float, faults: Sequence[str] = ()) -> str:
    """Return the flags of doubtful attributes, such as `short unvoiced`, or `-`.

    Args:
        seconds: length of the sound without silence at its ends.
        voiced: share of the frames that have a pitch.
        faults: flags of the recording, as `recording.clean` gives them.
    """
    conditions = {"short": seconds <= BLOCK, "unvoiced": voiced < LEAST_VOICED}
    return " ".join([*(name for name, holds in conditions.items() if holds), *faults]) or "-"


def check_limits(values: Sequence[float], utterance: str) -> None:
    """Refuse (pitch, loudness, rate) of an utterance that no speech can have: one of them moves the levels of a set.

    Raises:
        ValueError: a value is beyond the limits; the message names the utterance.
    """
    for name, value in zip(ATTRIBUTES, values, strict=True):
        low, high, remedy = LIMITS.get(name, (0.0, math.inf, ""))
        if not low <= value <= high:
            raise ValueError(
                f"{utterance}: its {name} is {value:.4g} {UNITS[name]}, and speech has {low:g} to {high:g}; {remedy}"
            )


def outliers(attributes: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return the value of each utterance far from the others, by attribute, the farthest first.

    Args:
        attributes: (pitch, loudness, rate) by utterance.
    """
    found, utterances = {}, [*attributes]
    for column, name in enumerate(ATTRIBUTES):
        values = np.array([row[column] for row in attributes.values()])
        distances = np.abs(values - np.median(values))
        spread = 1.4826 * np.median(distances)  # that of a normal distribution is its deviation
        far = [i for i in np.argsort(-distances, kind="stable") if distances[i] > OUTLYING * spread > 0]
        found[name] = {utterances[i]: float(values[i]) for i in far}
    return found


def read_attributes(rows: Mapping[str, str]) -> dict[str, tuple[float, ...]]:
    """Return (pitch, loudness, rate) by utterance from the rows of `utt2attr`.

    Raises:
        ValueError: a row is not three finite numbers of a size that speech has.
    """
    return {utterance: _numbers(utterance, row) for utterance, row in rows.items()}


def _numbers(utterance: str, row: str) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in row.split())
    except ValueError:
        values = ()
    if len(values) != len(ATTRIBUTES) or not all(abs(value) < LARGEST for value in values):
        raise ValueError(f"{utterance}: '{row[:80]}' is not {len(ATTRIBUTES)} numbers of speech; run stage 1 again")
    return values


def compute_stats(attributes: Mapping[str, Sequence[float]]) -> dict[str, Stats]:
    """Return the sums of each attribute.

    Raises:
        ValueError: there are no utterances.
    """
    if not attributes:
        raise ValueError("utt2attr: holds no utterance; run stage 1 again, and see utt2attr.rejected")
    return {name: Stats.of(row[i] for row in attributes.values()) for i, name in enumerate(ATTRIBUTES)}


def add_stats(parts: Sequence[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Return the sums of several sets together, by attribute."""
    return {name: sum((part[name] for part in parts), Stats(0, 0.0, 0.0)) for name in ATTRIBUTES}


def dimension_levels(training: Path, table: Path) -> dict[str, dict[str, str]]:
    """Return the level of each dimension, by utterance of a table `utt2vad`.

    Args:
        training: `utt2vad` of the training set, whose mean and deviation decide.
        table: the table; dimensions that nobody rated in the training set have no level.

    Raises:
        ValueError: a table cannot be read; the message names it.
    """
    known, asked = (
        {i: parse_dimensions(i, row, path) for i, row in read_table(path).items()} for path in (training, table)
    )
    stats = {d: Stats.of(row[d] for row in known.values() if d in row) for d in DIMENSIONS}
    return {
        i: {d: stats[d].level(row[d]) for d in DIMENSIONS if d in row and stats[d].count} for i, row in asked.items()
    }


@dataclass(frozen=True)
class FlagCounts:
    """How many utterances of a table of attributes are flagged or rejected.

    Attributes:
        flagged: number of utterances by flag.
        rejected: number of utterances without attributes.
    """

    flagged: Mapping[str, int]
    rejected: int

    @classmethod
    def read(cls, table: Path) -> "FlagCounts":
        """Count the flags and the rejected utterances in the files beside a table `utt2attr`."""
        flag, rejected = table.with_name(FLAG), table.with_name(f"{table.name}.rejected")
        words = Counter(word for row in (read_table(flag) if flag.exists() else {}).values() for word in row.split())
        return cls({name: words[name] for name in sorted(words) if name != "-"},
                   len(read_table(rejected)) if rejected.exists() else 0)  # fmt: skip

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FlagCounts":
        """Return the counts of `attr_stats.json`."""
        return cls(content.get("flagged", {}), content.get("rejected", 0))

    def to_json(self) -> dict[str, Any]:
        """Return counts for `attr_stats.json`."""
        return {"flagged": dict(self.flagged), "rejected": self.rejected}

    def __add__(self, other: "FlagCounts") -> "FlagCounts":
        """Return the counts of both sets."""
        return FlagCounts(dict(Counter(self.flagged) + Counter(other.flagged)), self.rejected + other.rejected)

    def __str__(self) -> str:
        """Return the counts in one line."""
        flags = ", ".join(f"{number} {name}" for name, number in self.flagged.items()) or "none"
        return f"utterances flagged: {flags}; without attributes: {self.rejected}"


def stats_to_json(stats: Mapping[str, Stats]) -> dict[str, dict[str, float]]:
    """Return the content of `attr_stats.json`: the sums, and mean and deviation for people."""
    return {name: {**vars(sums), "mean": sums.mean, "deviation": sums.deviation} for name, sums in stats.items()}


def stats_from_json(values: Mapping[str, Mapping[str, float]], path: Path) -> dict[str, Stats]:
    """Return the sums that `attr_stats.json` holds.

    Args:
        values: its content.
        path: the file, for messages.

    Raises:
        ValueError: an attribute is missing or empty.
    """
    try:
        keys = ("total", "squares")
        stats = {n: Stats(int(values[n]["count"]), *(float(values[n][key]) for key in keys)) for n in ATTRIBUTES}
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: lacks count, total and squares of an attribute; run stage 2 again") from None
    if not all(sums.count > 0 for sums in stats.values()):
        raise ValueError(f"{path}: counts no utterance; run stage 2 again")
    return stats


def plot_stats(attributes: Mapping[str, Sequence[float]], stats: Mapping[str, Stats], path: Path) -> None:
    """Draw the distribution of each attribute with the bounds between its levels."""
    from matplotlib.figure import Figure

    from c2ser.scoring.palette import save_figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for column, (name, axes) in enumerate(zip(ATTRIBUTES, figure.subplots(1, len(ATTRIBUTES)), strict=True)):
        values = np.array([row[column] for row in attributes.values()])
        low, high = stats[name].bounds
        axes.hist(values, bins=40, color="tab:blue")
        axes.axvspan(low, high, color="tab:orange", alpha=0.2, label=LEVELS[1])
        counts = [int((values < low).sum()), 0, int((values > high).sum())]
        counts[1] = len(values) - sum(counts)
        axes.set_title(", ".join(f"{level} {count}" for level, count in zip(LEVELS, counts, strict=True)))
        axes.set_xlabel(f"{name} ({UNITS[name]})")
        axes.set_ylabel("utterances")
    save_figure(figure, path)
