"""What a head says of data directories, and how good that is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from c2ser.corpus import Utterance, durations, read_data_dir
from c2ser.data.datasets import load_wave
from c2ser.data.prefetch import log_rejected, prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.data.targets import ratings_of
from c2ser.label_sets import write_label_set
from c2ser.log import get_logger
from c2ser.model.config import DecodeConfig
from c2ser.model.decoding import format_row
from c2ser.model.head_model import HeadModel
from c2ser.ratings import numbers_text, vote_shares
from c2ser.scoring.calibration import calibration
from c2ser.scoring.concordance import dimension_figures
from c2ser.scoring.cross_validation import figures_with_intervals
from c2ser.scoring.divergence import js_divergence, kl_divergence
from c2ser.scoring.pictures import plot_confusion
from c2ser.scoring.results_page import cell
from c2ser.tables import write_json, write_table

logger = get_logger(__name__)

Outputs = Mapping[str, np.ndarray]

SHOWN = {
    "UA %": ("ua", 100, 1), "WA %": ("wa", 100, 1), "macro F1 %": ("f1_reference", 100, 1), "ECE": ("ece", 1, 3),
    "KL": ("kl", 1, 3), "JSD": ("jsd", 1, 3), "CCC valence": ("dimensions.valence.ccc", 1, 3),
    "CCC arousal": ("dimensions.arousal.ccc", 1, 3), "CCC dominance": ("dimensions.dominance.ccc", 1, 3),
    "utterances": ("utterances", 1, 0),
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
    outputs = dict(_outputs(model, utterances))
    if not outputs:
        raise ValueError(f"{data}: no utterance has readable audio; check the paths in wav.scp")
    if model.target == "dimensions":
        figures = _score_dimensions(model, utterances, outputs, out)
    else:
        figures = _score_classes(model, utterances, outputs, out)
    write_json(out / "scores.json", figures)
    logger.info("%s: %s", out, ", ".join(f"{name} {value}" for name, value in shown_figures(figures).items()))
    return figures


def shown_figures(figures: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures that people look at first, as text, with intervals."""
    cells = {heading: cell(figures, *rule) for heading, rule in SHOWN.items()}
    return {heading: text for heading, text in cells.items() if text != "–"}


def _outputs(model: HeadModel, utterances: Mapping[str, Utterance]) -> Iterator[tuple[str, np.ndarray]]:
    config, logged = DecodeConfig(), set[str]()
    seconds = dict(durations(utterances, unreadable=0.0))
    batches = by_length(seconds, config.batch_seconds, config.batch_utterances)
    for batch in prefetch_batches(batches, lambda name: load_wave(utterances[name], float("inf"))):
        log_rejected(batch.rejected, logged)
        if batch.items:
            yield from model.outputs(batch.items, config).items()


def _score_dimensions(
    model: HeadModel, utterances: Mapping[str, Utterance], outputs: Outputs, out: Path
) -> dict[str, Any]:
    values = {name: dict(zip(model.classes, map(float, row), strict=True)) for name, row in outputs.items()}
    write_table(out / "utt2vad", {name: numbers_text(row, model.classes) for name, row in values.items()})
    reference = {name: u.dimensions for name, u in utterances.items() if u.dimensions}
    speakers = {name: utterance.speaker for name, utterance in utterances.items()}
    return {"utterances": len(reference), "dimensions": dimension_figures(reference, values, speakers)}


def _score_classes(
    model: HeadModel, utterances: Mapping[str, Utterance], outputs: Outputs, out: Path
) -> dict[str, Any]:
    labels = {name: model.classes[int(row.argmax())] for name, row in outputs.items()}
    write_table(out / "utt2emo", labels)
    write_label_set(out, model.labels)
    rows = {name: format_row(model.probabilities(row)) for name, row in outputs.items()}
    write_table(out / "utt2prob", rows)
    figures: dict[str, Any] = {}
    labelled = {name: utterance for name, utterance in utterances.items() if utterance.emotion}
    if labelled:
        figures = figures_with_intervals(labelled, {i: label for i, label in labels.items() if i in labelled})
        reference = {name: str(utterance.emotion) for name, utterance in labelled.items()}
        believed = calibration({i: e for i, e in reference.items() if e in model.labels}, rows, model.labels)
        figures |= {name: believed[name] for name in ("ece", "nll")}
        plot_confusion(figures, f"{out.parent.name}, {out.name.removeprefix('decode_')}", out / "confusion.png")
    if model.target == "votes":
        figures |= _divergences(model, utterances, outputs)
    return figures


def _divergences(model: HeadModel, utterances: Mapping[str, Utterance], outputs: Outputs) -> dict[str, float]:
    """Return the mean divergences of the model's distributions from the votes for its classes."""
    votes = ratings_of({name: utterances[name] for name in outputs}, "votes")
    shares = {name: vote_shares(row, model.classes) for name, row in votes.items()}
    names = [name for name, row in shares.items() if row is not None]
    if not names:
        raise ValueError(f"{next(iter(outputs))}: like all others without a vote for {', '.join(model.classes)}; "
                         "give votes for the classes of the training set")  # fmt: skip
    true, found = np.stack([shares[name] for name in names]), np.stack([outputs[name] for name in names])
    return {"kl": float(kl_divergence(true, found).mean()), "jsd": float(js_divergence(true, found).mean())}
