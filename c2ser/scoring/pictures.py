"""Pictures of scores: confusion, the recall of each emotion, UA and WA by duration, the parts of a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2ser.emotions import UNPARSED, ordered
from c2ser.scoring.palette import CHANCE, SERIES, add_legend, class_title, new_figure, save_figure

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect

Ranges = Mapping[str, Mapping[str, Sequence[float]]]
"""Lower and upper end by emotion, by system."""


def plot_confusion(figures: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw a confusion matrix: counts, and the percentage of the true emotion, which colours the cell.

    Args:
        figures: what `c2ser.scoring.metrics.scores` returned.
        title: stands above the picture.
        path: the PNG.
    """
    confusion = figures["confusion"]
    rows, predicted = ordered(confusion), {label for row in confusion.values() for label in row}
    columns = ordered({*rows, *predicted} - {UNPARSED}) + [UNPARSED] * (UNPARSED in predicted)
    counts = np.array([[confusion[row].get(column, 0) for column in columns] for row in rows])
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure, axis = new_figure(2.2 + 0.85 * len(columns), 1.4 + 0.62 * len(rows))
    image = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]}\n{100 * shares[row, column]:.0f} %" if counts[row, column] else "0"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(len(columns)), map(class_title, columns), rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xlabel("predicted emotion")
    axis.set_ylabel("true emotion")
    axis.set_title(f"{title}\nUA {100 * figures['ua']:.1f} %, WA {100 * figures['wa']:.1f} %", fontsize=11)
    figure.colorbar(image, label="of the utterances with this true emotion, %")
    save_figure(figure, path)


def plot_accuracies(
    systems: Mapping[str, Mapping[str, float]],
    title: str,
    path: Path,
    intervals: Ranges | None = None,
    stated_ranges: Ranges | None = None,
) -> None:
    """Draw how much of each emotion each system recognises, as groups of bars, like the paper's Figures 6 and 7.

    Args:
        systems: recall by emotion, by system.
        title: stands above the picture.
        path: the PNG.
        intervals: of the recalls, as fractions.
        stated_ranges: what the paper's text says about a system, in percent: dashed frames.
    """
    emotions = ordered(emotion for row in systems.values() for emotion in row)
    width, places = 0.8 / len(systems), np.arange(len(emotions))
    figure, axis = new_figure(min(16.0, max(6.0, 1.2 + 0.45 * len(emotions) * max(2, len(systems)))), 4.2)
    for number, ((system, recalls), colour) in enumerate(zip(systems.items(), cycle(SERIES), strict=False)):
        heights = np.array([100 * recalls.get(emotion, 0.0) for emotion in emotions])
        middles = places + (number - (len(systems) - 1) / 2) * width
        hatch = "///" if number >= len(SERIES) else None
        axis.bar(middles, heights, width * 0.95, label=system, color=colour, hatch=hatch, edgecolor="white")
        ends = (intervals or {}).get(system, {})
        _draw_intervals(axis, middles, emotions, ends)
        _draw_frames(axis, middles, width, emotions, (stated_ranges or {}).get(system, {}))
        if len(systems) <= 4:
            _write_heights(axis, middles, heights, at_foot=bool(ends))
    axis.axhline(100 / len(emotions), label=f"chance, {100 / len(emotions):.1f} %", **CHANCE)
    if stated_ranges:
        axis.bar([0], [0], 0, fill=False, linestyle="--", edgecolor="black", label="the paper's text")
    axis.set_xticks(places, emotions)
    axis.set_ylim(0, 110)
    axis.set_yticks(range(0, 101, 20))
    axis.set_xlabel("true emotion")
    axis.set_ylabel("recall, %")
    axis.set_title(title, fontsize=11)
    add_legend(axis)
    save_figure(figure, path)


def _halo() -> list[AbstractPathEffect]:
    """Return what keeps lines and numbers readable on bars of any colour."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=2.5, foreground="white")]


def _draw_intervals(
    axis: Axes, middles: np.ndarray, emotions: Sequence[str], intervals: Mapping[str, Sequence[float]]
) -> None:
    for middle, emotion in zip(middles, emotions, strict=True):
        if emotion in intervals:
            ends = [100 * end for end in intervals[emotion]]
            axis.plot([middle, middle], ends, color="black", linewidth=1.2, path_effects=_halo())


def _write_heights(axis: Axes, middles: np.ndarray, heights: np.ndarray, at_foot: bool) -> None:
    """Write the height of each bar above it, or at its foot, where no interval is in the way."""
    for middle, height in zip(middles, heights, strict=True):
        place = middle, 0 if at_foot else height
        axis.annotate(
            f"{height:.0f}", place, (0, 2), textcoords="offset points", ha="center", fontsize=8, path_effects=_halo()
        )


def _draw_frames(
    axis: Axes, middles: np.ndarray, width: float, emotions: Sequence[str], ranges: Mapping[str, Sequence[float]]
) -> None:
    for middle, emotion in zip(middles, emotions, strict=True):
        if emotion in ranges:
            low, high = ranges[emotion]
            axis.bar(middle, high - low, width, low, fill=False, linestyle="--", edgecolor="black")


def plot_shares(counts: Mapping[str, Mapping[str, int]], title: str, path: Path) -> None:
    """Draw what a whole consists of: a bar for each class, made of parts, with its share and number.

    Args:
        counts: number by part, by class; classes and parts appear in their order.
        title: stands above the picture.
        path: the PNG.
    """
    totals = {kind: sum(row.values()) for kind, row in counts.items()}
    whole, parts = sum(totals.values()), list(dict.fromkeys(part for row in counts.values() for part in row))
    figure, axis = new_figure(8.2, 1.4 + 0.42 * len(counts))
    left = np.zeros(len(counts))
    for part, colour in zip(parts, cycle(SERIES), strict=False):
        lengths = np.array([100 * row.get(part, 0) / whole for row in counts.values()])
        axis.barh(list(counts), lengths, 0.7, left, label=part, color=colour, edgecolor="white", linewidth=0.5)
        left += lengths
    for place, total in enumerate(totals.values()):
        text = f"{100 * total / whole:.1f} % ({total:,})"
        axis.annotate(text, (left[place], place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.28 * max(left))
    axis.set_xlabel(f"share of {whole:,} utterances, %")
    axis.set_title(title, fontsize=11)
    add_legend(axis)
    save_figure(figure, path)


def plot_durations(groups: Mapping[str, Mapping[str, Any]], chance: float, title: str, path: Path) -> None:
    """Draw UA and WA of utterances of different duration, with their intervals.

    Args:
        groups: by group of durations, as `c2ser.scoring.groups.slices` gives them.
        chance: UA of guessing, a fraction.
        title: stands above the picture.
        path: the PNG.
    """
    figure, axis = new_figure(1.8 + 1.3 * len(groups), 3.8)
    for number, (metric, name) in enumerate({"ua": "UA", "wa": "WA"}.items()):
        places = np.arange(len(groups)) + 0.16 * (number - 0.5)
        heights = np.array([100 * row[metric] for row in groups.values()])
        style: dict[str, Any] = {"fmt": "os"[number], "color": SERIES[number], "capsize": 3}
        axis.errorbar(places, heights, yerr=reach(groups.values(), metric), label=f"{name}, 95 % interval", **style)
    axis.axhline(100 * chance, label=f"chance (UA), {100 * chance:.1f} %", **CHANCE)
    axis.set_xticks(range(len(groups)), [f"{name}\n{row['utterances']} utterances" for name, row in groups.items()])
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.set_ylim(0, 105)
    axis.set_xlabel("duration of the utterance")
    axis.set_ylabel("UA and WA, %")
    axis.set_title(f"{title}: by duration", fontsize=11)
    axis.grid(axis="y", linewidth=0.4, alpha=0.5)
    add_legend(axis)
    save_figure(figure, path)


def reach(rows: Iterable[Mapping[str, Any]], metric: str) -> np.ndarray:
    """Return how far a metric's intervals reach below and above it, in percent, (2, rows); 0 where there is none."""
    ends = [[row[metric], *row.get("intervals", {}).get(metric, [row[metric]] * 2)] for row in rows]
    value, low, high = 100 * np.array(ends).T
    return np.stack([value - low, high - value]).clip(min=0)
