"""Pictures of accuracy by emotion and by duration, and of where utterances lie among each other."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from c2ser.emotions import ordered

matplotlib.use("Agg")

Projection = Literal["tsne", "pca"]
"""How embeddings become points: t-SNE keeps neighbours together, PCA keeps the largest spread."""

COLOURS = {
    "anger": "#d62728", "happiness": "#e6a700", "neutral": "#7f7f7f", "sadness": "#1f77b4", "surprise": "#e377c2",
    "disgust": "#2ca02c", "fear": "#9467bd",
}  # fmt: skip
"""The colour of each emotion."""

MORE_COLOURS = ("#8c564b", "#17becf", "#000000", "#bcbd22", "#98df8a", "#aec7e8", "#ffbb78", "#c49c94")
"""The colours of a corpus' own classes, in their order; then they begin again."""


PARTS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Colours that the colour-blind tell apart (Okabe and Ito), for the parts of a whole; then they begin again."""

Ranges = Mapping[str, Mapping[str, Sequence[float]]]
"""Lower and upper end by emotion, by system."""


def plot_accuracies(
    systems: Mapping[str, Mapping[str, float]],
    title: str,
    path: Path,
    intervals: Ranges | None = None,
    said: Ranges | None = None,
) -> None:
    """Draw how much of each emotion each system recognises, as groups of bars, like the paper's Figures 6 and 7.

    Args:
        systems: recall by emotion, by system.
        title: stands above the picture.
        path: the PNG.
        intervals: of the recalls, as fractions.
        said: what the paper's text says of a system, in percent: dashed frames.
    """
    from matplotlib import pyplot

    emotions = ordered(emotion for row in systems.values() for emotion in row)
    width, places = 0.8 / len(systems), np.arange(len(emotions))
    size = max(6.0, 1.2 + 0.45 * len(emotions) * max(2, len(systems)))
    drawing, axis = pyplot.subplots(figsize=(min(size, 16.0), 4.2))
    colours = pyplot.get_cmap("viridis")(np.linspace(0.1, 0.85, len(systems)))
    for number, (system, recalls) in enumerate(systems.items()):
        heights = np.array([100 * recalls.get(emotion, 0.0) for emotion in emotions])
        middles = places + (number - (len(systems) - 1) / 2) * width
        axis.bar(middles, heights, width * 0.95, label=system, color=colours[number])
        ends = (intervals or {}).get(system, {})
        _whiskers(axis, middles, emotions, ends)
        _frames(axis, middles, width, emotions, (said or {}).get(system, {}))
        if len(systems) <= 4:
            _numbers(axis, middles, heights, at_foot=bool(ends))
    axis.axhline(100 / len(emotions), color="black", linewidth=0.8, linestyle=":", label="chance")
    if said:
        axis.bar([0], [0], 0, fill=False, linestyle="--", edgecolor="black", label="the paper's text")
    axis.set_xticks(places, emotions)
    axis.set_ylim(0, 110)
    axis.set_yticks(range(0, 101, 20))
    axis.set_ylabel("recognised, %")
    axis.set_title(title, fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(drawing, path)


HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]
"""What keeps lines and numbers readable on bars of any colour."""


def _whiskers(
    axis: Axes, middles: np.ndarray, emotions: Sequence[str], intervals: Mapping[str, Sequence[float]]
) -> None:
    for middle, emotion in zip(middles, emotions, strict=True):
        if emotion in intervals:
            ends = [100 * end for end in intervals[emotion]]
            axis.plot([middle, middle], ends, color="black", linewidth=1.2, path_effects=HALO)


def _numbers(axis: Axes, middles: np.ndarray, heights: np.ndarray, at_foot: bool) -> None:
    """Write the height of each bar above it, or at its foot, where no interval is in the way."""
    for middle, height in zip(middles, heights, strict=True):
        place = middle, 0 if at_foot else height
        axis.annotate(
            f"{height:.0f}", place, (0, 2), textcoords="offset points", ha="center", fontsize=8, path_effects=HALO
        )


def _frames(
    axis: Axes, middles: np.ndarray, width: float, emotions: Sequence[str], said: Mapping[str, Sequence[float]]
) -> None:
    for middle, emotion in zip(middles, emotions, strict=True):
        if emotion in said:
            low, high = said[emotion]
            axis.bar(middle, high - low, width, low, fill=False, linestyle="--", edgecolor="black")


def plot_shares(counts: Mapping[str, Mapping[str, int]], title: str, path: Path) -> None:
    """Draw what a whole consists of: a bar for each class, made of parts, with its share and number.

    Args:
        counts: number by part, by class; classes and parts appear in their order.
        title: stands above the picture.
        path: the PNG.
    """
    from matplotlib import pyplot

    totals = {kind: sum(row.values()) for kind, row in counts.items()}
    whole, parts = sum(totals.values()), list(dict.fromkeys(part for row in counts.values() for part in row))
    drawing, axis = pyplot.subplots(figsize=(8.2, 1.4 + 0.42 * len(counts)))
    left = np.zeros(len(counts))
    for part, colour in zip(parts, cycle(PARTS), strict=False):
        lengths = np.array([100 * row.get(part, 0) / whole for row in counts.values()])
        axis.barh(list(counts), lengths, 0.7, left, label=part, color=colour, edgecolor="white", linewidth=0.5)
        left += lengths
    for place, total in enumerate(totals.values()):
        words = f"{100 * total / whole:.1f} % ({total:,})"
        axis.annotate(words, (left[place], place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.28 * max(left))
    axis.set_xlabel(f"share of {whole:,} utterances, %")
    axis.set_title(title, fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(drawing, path)


def plot_points(
    vectors: Mapping[str, np.ndarray], emotions: Mapping[str, str], projection: Projection, title: str, path: Path
) -> None:
    """Draw utterances as points in a plane, coloured by emotion.

    Args:
        vectors: one vector (dim,) by utterance; each dimension is brought to zero mean and unit variance first.
        emotions: emotion by utterance.
        projection: how vectors become points.
        title: stands above the picture.
        path: the PNG.

    Raises:
        ValueError: fewer than three utterances.
    """
    from matplotlib import pyplot

    names = sorted(vectors, key=str.encode)
    if len(names) < 3:
        raise ValueError(f"{path}: {len(names)} utterances give no picture; extract embeddings of more of them")
    points = _project(np.stack([vectors[name] for name in names]), projection)
    drawing, axis = pyplot.subplots(figsize=(7.4, 5.6))
    for emotion, colour in colours(emotions[name] for name in names).items():
        chosen = np.array([emotions[name] == emotion for name in names])
        axis.scatter(*points[chosen].T, s=14, alpha=0.75, linewidths=0, color=colour, label=emotion)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"{title} ({ {'tsne': 't-SNE', 'pca': 'PCA'}[projection] }, {len(names)} utterances)", fontsize=11)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=1.8)
    _save(drawing, path)


def plot_durations(groups: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw UA and WA of utterances of different duration, with their intervals.

    Args:
        groups: by group of durations, as `c2ser.scoring.groups.slices` gives them.
        title: stands above the picture.
        path: the PNG.
    """
    from matplotlib import pyplot

    drawing, axis = pyplot.subplots(figsize=(1.8 + 1.3 * len(groups), 3.8))
    for number, (figure, name) in enumerate({"ua": "UA", "wa": "WA"}.items()):
        places = np.arange(len(groups)) + 0.16 * (number - 0.5)
        heights = np.array([100 * row[figure] for row in groups.values()])
        ends = reach(groups.values(), figure)
        axis.errorbar(places, heights, yerr=ends, fmt="os"[number], capsize=3, label=f"{name}, 95 % interval")
    axis.set_xticks(range(len(groups)), [f"{name}\n{row['utterances']} utterances" for name, row in groups.items()])
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.set_ylim(0, 105)
    axis.set_ylabel("recognised, %")
    axis.set_title(f"{title}: by duration", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", linewidth=0.4, alpha=0.5)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(drawing, path)


def reach(rows: Iterable[Mapping[str, Any]], figure: str) -> np.ndarray:
    """Return how far a figure's intervals reach below and above it, in percent, (2, rows); 0 where there is none."""
    ends = [[row[figure], *row.get("intervals", {}).get(figure, [row[figure]] * 2)] for row in rows]
    value, low, high = 100 * np.array(ends).T
    return np.stack([value - low, high - value]).clip(min=0)


def colours(classes: Iterable[str]) -> dict[str, str]:
    """Return the colour of each class, in the order of tables."""
    more = cycle(MORE_COLOURS)
    return {name: COLOURS.get(name) or next(more) for name in ordered(classes)}


def _project(matrix: np.ndarray, projection: Projection) -> np.ndarray:
    """Return points (utterances, 2) of vectors (utterances, dim)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(matrix)
    if projection == "pca":
        return PCA(2, random_state=0).fit_transform(scaled)
    neighbours = min(30.0, (len(matrix) - 1) / 3)
    return TSNE(2, perplexity=neighbours, init="pca", random_state=0).fit_transform(scaled)


def _save(drawing: Figure, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(drawing)
