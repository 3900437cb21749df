"""Pictures of accuracy by emotion and by duration, and of where utterances lie among each other."""

from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np

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


def plot_accuracies(systems: Mapping[str, Mapping[str, float]], title: str, path: Path) -> None:
    """Draw how much of each emotion each system recognises, as groups of bars (the paper's Figure 6 shows the same).

    Args:
        systems: recall by emotion, by system.
        title: stands above the picture.
        path: the PNG.
    """
    from matplotlib import pyplot

    emotions = ordered(emotion for row in systems.values() for emotion in row)
    width, places = 0.8 / len(systems), np.arange(len(emotions))
    size = max(6.0, 1.2 + 0.45 * len(emotions) * max(2, len(systems)))
    drawing, axis = pyplot.subplots(figsize=(min(size, 16.0), 4.2))
    colours = pyplot.get_cmap("viridis")(np.linspace(0.1, 0.85, len(systems)))
    for number, (system, recalls) in enumerate(systems.items()):
        heights = [100 * recalls.get(emotion, 0.0) for emotion in emotions]
        middles = places + (number - (len(systems) - 1) / 2) * width
        bars = axis.bar(middles, heights, width * 0.95, label=system, color=colours[number])
        if len(systems) <= 4:
            axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
    axis.axhline(100 / len(emotions), color="black", linewidth=0.8, linestyle=":", label="chance")
    axis.set_xticks(places, emotions)
    axis.set_ylim(0, 105)
    axis.set_ylabel("recognised, %")
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


def _save(drawing: "matplotlib.figure.Figure", path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(drawing)
