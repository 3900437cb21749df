"""Whether the probabilities of labels can be believed: calibration errors, what confidence is worth, a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from c2ser.label_sets import SEVEN, LabelSet
from c2ser.scoring.palette import BLACK, BLUE, CHANCE, VERMILLION, save_figure
from c2ser.scoring.probabilities import read_vectors

BINS = 15
"""Groups of equal size, by confidence."""


def calibration(reference: Mapping[str, str], rows: Mapping[str, str], labels: LabelSet = SEVEN) -> dict[str, Any]:
    """Compare probabilities with what was true; `docs/metrics.md` has the formulas.

    Args:
        reference: true emotion by utterance.
        rows: probabilities of the classes by utterance, `utt2prob`.
        labels: the classes.

    Returns:
        `utterances` that have both; `accuracy` of the most probable emotion; `ece`, `brier`, `nll` (nats), `aurc`;
        `coverage_at_90`, the share of utterances, the surest first, of which 90 % are right; `bins`, for each group of
        utterances its `confidence`, `accuracy` and `utterances`; `classes`, their number, where they are not the seven.

    Raises:
        ValueError: a row is no distribution over the classes, or no utterance has both.
    """
    vectors = {name: vector for name, vector in read_vectors(rows, labels).items() if name in reference}
    if not vectors:
        raise ValueError("no utterance has both probabilities and an emotion; check utt2prob against the set decoded")
    for name, vector in vectors.items():
        if vector.min() < 0 or abs(vector.sum() - 1) > 0.01:
            raise ValueError(f"{name}: '{rows[name]}' are no probabilities that sum to 1; decode again")
    names = sorted(vectors)
    matrix = np.stack([vectors[name] / vectors[name].sum() for name in names])
    true = np.array([labels.index(reference[name]) for name in names])
    confidence, right = matrix.max(axis=1), matrix.argmax(axis=1) == true
    bins = reliability(confidence, right)
    own = {} if labels == SEVEN else {"classes": len(labels)}
    truth = np.eye(len(labels))[true]
    return {
        "utterances": len(names),
        "accuracy": float(right.mean()),
        "ece": sum(b["utterances"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / len(names),
        "brier": float(((matrix - truth) ** 2).sum(axis=1).mean()),
        "nll": float(-np.log(np.maximum(matrix[np.arange(len(true)), true], 1e-12)).mean()),
        **selective(confidence, right),
        **own,
        "bins": bins,
    }


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Return mean confidence and accuracy of utterances grouped by confidence.

    Args:
        confidence: probability of the most probable emotion, (utterances,).
        right: whether it was true, (utterances,).
        bins: number of groups, as equal in size as they can be; fewer where there are fewer utterances.
    """
    order = np.argsort(confidence, kind="stable")
    groups = np.array_split(order, min(bins, len(order)))
    return [
        {
            "confidence": float(confidence[group].mean()),
            "accuracy": float(right[group].mean()),
            "utterances": len(group),
        }
        for group in groups
    ]


def selective(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return what is gained by leaving unsure utterances out: `aurc` and `coverage_at_90`.

    Among utterances of equal confidence no order is better than another; each counts as their mean.

    Args:
        confidence: probability of the most probable emotion, (utterances,).
        right: whether it was true, (utterances,).
    """
    values, group = np.unique(-confidence, return_inverse=True)
    means = np.bincount(group, weights=right) / np.bincount(group)
    kept = np.arange(1, len(right) + 1)
    accuracy = np.cumsum(means[np.sort(group)]) / kept  # of the surest 1, 2, ... utterances
    good = kept[accuracy >= 0.9 - 1e-12]
    return {
        "aurc": float((1 - accuracy).mean()),
        "coverage_at_90": float(good.max() / len(right)) if len(good) else 0.0,
    }


def plot_reliability(models: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw accuracy over confidence, one panel for each model.

    Args:
        models: what `calibration` returned, by model.
        title: stands above the picture.
        path: the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 3.6 * len(models), 4.6), layout="constrained")
    axes = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for axis, (model, figures) in zip(axes, models.items(), strict=True):
        confidence, accuracy = ([100 * b[name] for b in figures["bins"]] for name in ("confidence", "accuracy"))
        axis.plot([0, 100], [0, 100], color=BLACK, linewidth=0.8, label="perfect calibration")
        chance = 100 / figures.get("classes", len(SEVEN))
        axis.axhline(chance, label=f"chance, {chance:.1f} %", **CHANCE)
        axis.vlines(confidence, confidence, accuracy, color=VERMILLION, alpha=0.5, linewidth=3, label="error")
        axis.plot(confidence, accuracy, marker="o", markersize=4, color=BLUE, label="groups of utterances")
        axis.set_title(f"{model}\nECE {figures['ece']:.3f}, AURC {figures['aurc']:.3f}", fontsize=10)
        axis.set_xlabel("confidence, %")
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        axis.set_aspect("equal")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)
