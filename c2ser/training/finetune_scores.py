"""What a head says of data directories, and how good that is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from c2ser.corpus import Utterance, durations, read_data_dir
from c2ser.data.datasets import load_wave
from c2ser.data.prefetch import log_rejected, prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.label_sets import write_label_set
from c2ser.log import get_logger
from c2ser.model.config import DecodeConfig
from c2ser.model.decoding import format_row
from c2ser.model.head_model import HeadModel
from c2ser.ratings import numbers_text
from c2ser.scoring.calibration import calibration
from c2ser.scoring.cross_validation import figures_of_values, figures_with_intervals
from c2ser.scoring.distributions import UTT2PROB
from c2ser.scoring.pictures import plot_confusion
from c2ser.scoring.results_page import NOTHING, cell
from c2ser.scoring.vote_figures import Rows
from c2ser.tables import write_json, write_table

logger = get_logger(__name__)

SHOWN = {
    "UA %": ("ua", 100, 1), "WA %": ("wa", 100, 1), "macro F1 %": ("f1_reference", 100, 1), "ECE": ("ece", 1, 3),
    "votes %": ("votes.vote_share", 100, 1), "KL": ("votes.kl", 1, 3), "JSD": ("votes.jsd", 1, 3),
    "CCC valence": ("dimensions.ccc.valence", 1, 3), "CCC arousal": ("dimensions.ccc.arousal", 1, 3),
    "CCC dominance": ("dimensions.ccc.dominance", 1, 3), "utterances": ("utterances", 1, 0),
}  # fmt: skip
"""Heading, and which figure stands under it: its place, factor, decimals."""


def score_set(model: HeadModel, data: Path, out: Path) -> dict[str, Any]:
    """Write what a model says of a data directory, and its figures.

    Args:
        model: the model.
        data: the data directory; utterances that cannot be used are rejected with the reason, and count as wrong.
        out: gets utt2emo and utt2prob, or utt2vad; scores.json; confusion.png.

    Returns:
        the figures.

    Raises:
        ValueError: no utterance can be used, or none has what is scored.
    """
    utterances = read_data_dir(data)
    rows = {name: dict(zip(model.classes, map(float, row), strict=True)) for name, row in _outputs(model, utterances)}
    if not rows:
        raise ValueError(f"{data}: no utterance has readable audio; mend what the lines above say of each")
    figures = (_score_dimensions if model.target == "dimensions" else _score_classes)(utterances, rows, model, out)
    write_figures(figures, out)
    return figures


def label_figures(
    utterances: Mapping[str, Utterance], labels: Mapping[str, str], rows: Rows | None = None
) -> dict[str, Any]:
    """Return the figures of labels, as `figures_with_intervals`, on those utterances that have an emotion."""
    labelled = {name: utterance for name, utterance in utterances.items() if utterance.emotion}
    return figures_with_intervals(labelled, {i: label for i, label in labels.items() if i in labelled}, rows)


def write_figures(figures: Mapping[str, Any], out: Path) -> None:
    """Write figures as OUT/scores.json and, of labels, OUT/confusion.png; log those that people look at first."""
    if "ua" in figures:
        plot_confusion(figures, f"{out.parent.name}, {out.name.removeprefix('decode_')}", out / "confusion.png")
    write_json(out / "scores.json", figures)
    logger.info("%s: %s", out, ", ".join(f"{name} {value}" for name, value in shown_figures(figures).items()))


def shown_figures(figures: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures that people look at first, as text, with intervals."""
    cells = {heading: cell(figures, *rule) for heading, rule in SHOWN.items()}
    return {heading: text for heading, text in cells.items() if text != NOTHING}


def _outputs(model: HeadModel, utterances: Mapping[str, Utterance]) -> Iterator[tuple[str, np.ndarray]]:
    config, logged = DecodeConfig(), set[str]()
    seconds = dict(durations(utterances, unreadable=0.0))
    batches = by_length(seconds, config.batch_seconds, config.batch_utterances)
    for batch in prefetch_batches(batches, lambda name: load_wave(utterances[name], float("inf"))):
        log_rejected(batch.rejected, logged)
        if batch.items:
            yield from model.outputs(batch.items, config).items()


def _score_dimensions(utterances: Mapping[str, Utterance], rows: Rows, model: HeadModel, out: Path) -> dict[str, Any]:
    write_table(out / "utt2vad", {name: numbers_text(row, model.classes) for name, row in rows.items()})
    return figures_of_values(utterances, rows)


def _score_classes(utterances: Mapping[str, Utterance], rows: Rows, model: HeadModel, out: Path) -> dict[str, Any]:
    labels = {name: max(row, key=lambda label: row[label]) for name, row in rows.items()}
    vectors = {name: [row.get(label, 0.0) for label in model.labels] for name, row in rows.items()}
    table = {name: format_row(vector) for name, vector in vectors.items()}
    write_label_set(out, model.labels)
    write_table(out / "utt2emo", labels)
    write_table(out / UTT2PROB, table)
    reference = {i: one.emotion for i, one in utterances.items() if one.emotion and one.emotion in model.labels}
    believed = calibration(reference, table, model.labels)
    return {**label_figures(utterances, labels, rows), "ece": believed["ece"], "nll": believed["nll"]}
