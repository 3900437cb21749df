"""Probes from data directories to scores: trained, tested or cross-validated, and written."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c2ser.cli import save_config
from c2ser.corpus import tested
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import ProbeData, TrainedProbe, cross_validate, read_probe_data, train_probe
from c2ser.emotion2vec.probe_files import save_probe, weights_sha256
from c2ser.label_sets import own_classes, write_label_set
from c2ser.log import get_logger
from c2ser.scoring.cross_validation import figures_of_folds, figures_with_intervals
from c2ser.tables import write_json, write_table

logger = get_logger(__name__)


def run_probe(
    sets: dict[str, Sequence[Path] | None],
    embeddings: Path,
    out: Path,
    probe: ProbeConfig,
    seeds: Sequence[int] | None,
    device: str,
    encoder: str | None = None,
) -> None:
    """Write OUT/decode_<set>/utt2emo and scores.json, or the same below OUT/seed<number> for each of several seeds.

    The trained probe is kept beside them. A cross-validation has one for each fold and keeps none.

    Args:
        sets: data directories by role: "train", "valid" and "decode_<set>", or "folds" for a cross-validation.
        embeddings: folder that holds <set>.scp of every set.
        out: folder of the results.
        probe: the classifier and its training.
        seeds: train once for each of these seeds; None takes the seed of `probe`.
        device: where the probe is trained.
        encoder: the encoder of the embeddings, a folder or file; the probe then knows it again.
    """
    data = {name: read_probe_data(paths, embeddings, probe, device) for name, paths in sets.items() if paths}
    fingerprint = weights_sha256(encoder) if encoder else None
    for seed in seeds or [probe.seed]:
        config, folder = dataclasses.replace(probe, seed=seed), out / f"seed{seed}" if seeds else out
        label = label_folds if "folds" in data else label_tests
        probes = label(data, config, folder)
        chosen = {name: {"valid_accuracy": best.accuracy, "epoch": best.epoch} for name, best in probes.items()}
        save_config(folder, sets=sets, embeddings=embeddings, encoder=encoder, probe=config, chosen=chosen)
        if "train" in probes:
            save_probe(dataclasses.replace(probes["train"], encoder=fingerprint), folder)


def label_folds(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Cross-validate, write the results and return the probe of each fold."""
    labels, probes = cross_validate(data["folds"], config)
    _write(out / "decode_cross-validation", labels, figures_of_folds(tested(data["folds"].utterances), labels))
    return probes


def label_tests(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Train one probe, write its results on every test set and return it."""
    train, valid = data["train"], data.get("valid")
    if valid is None:
        train, valid = train.split(config.valid_share, config.seed)
    probe = train_probe(train, valid, config)
    for name, part in data.items():
        if name.startswith("decode_"):
            labels = probe.label(part.embeddings)
            _write(out / name, labels, figures_with_intervals(part.utterances, labels))
    return {"train": probe}


def _write(folder: Path, labels: dict[str, str], figures: dict[str, Any]) -> None:
    """Write labels, their classes and scores, and log the scores."""
    write_label_set(folder, own_classes({*figures["per_emotion"], *labels.values()}))
    write_table(folder / "utt2emo", labels)
    write_json(folder / "scores.json", figures)
    logger.info("%s: UA %.4f, WA %.4f, F1 %.4f", folder, figures["ua"], figures["wa"], figures["f1_reference"])
