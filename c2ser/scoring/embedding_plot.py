"""A picture of where utterances lie among each other: their embeddings as points in a plane."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from c2ser.scoring.config import Projection
from c2ser.scoring.palette import add_legend, class_looks, new_figure, save_figure


def plot_points(
    vectors: Mapping[str, np.ndarray], emotions: Mapping[str, str], projection: Projection, title: str, path: Path
) -> None:
    """Draw utterances as points in a plane, with the colour and the marker of their emotion.

    Args:
        vectors: one vector (dim,) by utterance; each dimension is brought to zero mean and unit variance first.
        emotions: emotion by utterance.
        projection: how vectors become points.
        title: stands above the picture.
        path: the PNG.

    Raises:
        ValueError: fewer than three utterances.
    """
    names = sorted(vectors, key=str.encode)
    if len(names) < 3:
        raise ValueError(f"{path}: {len(names)} utterances give no picture; extract embeddings of more of them")
    points, axis_labels = _project(np.stack([vectors[name] for name in names]), projection)
    figure, axis = new_figure(7.0, 5.6)
    for emotion, look in class_looks(emotions[name] for name in names).items():
        chosen = np.array([emotions[name] == emotion for name in names])
        label = f"{emotion} ({chosen.sum()})"
        size = 60 if look.marker == "*" else 34
        x, y = points[chosen].T
        axis.scatter(x, y, size, look.colour, marker=look.marker, alpha=0.75, label=label, linewidths=0)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(axis_labels[0])
    axis.set_ylabel(axis_labels[1])
    axis.set_title(f"{title}\n{len(names)} utterances, the mean embedding of each", fontsize=11)
    add_legend(axis, title="emotion (utterances)", markerscale=1.3)
    save_figure(figure, path)


def _project(matrix: np.ndarray, projection: Projection) -> tuple[np.ndarray, list[str]]:
    """Return points (utterances, 2) of vectors (utterances, dim), and what the two axes are."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(matrix)
    if projection == "pca":
        pca = PCA(2, random_state=0)
        points = pca.fit_transform(scaled)
        shares = [f"{100 * share:.0f} % of the variance" for share in pca.explained_variance_ratio_]
        return points, [f"principal component {number} ({share})" for number, share in enumerate(shares, 1)]
    perplexity = min(30.0, (len(matrix) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(scaled)
    return points, [f"t-SNE dimension {number} (no unit)" for number in (1, 2)]
