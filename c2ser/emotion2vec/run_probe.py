"""Probes from data directories to scores: trained, tested or cross-validated, and written."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from c2ser.cli import save_config
from c2ser.corpus import Utterance, tested
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import ProbeData, TrainedProbe, choose_probe, cross_validate, labels_of, read_probe_data
from c2ser.emotion2vec.probe_files import save_probe, weights_sha256
from c2ser.log import get_logger
from c2ser.ratings import DIMENSIONS, numbers_text
from c2ser.scoring.cross_validation import by_fold, figures_of_folds, figures_of_values, figures_with_intervals
from c2ser.scoring.distributions import UTT2PROB, write_distributions
from c2ser.scoring.vote_figures import Rows
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
    """Write OUT/decode_<set> with what the probe gives and scores.json, or the same below OUT/seed<number>.

    There are utt2emo and utt2prob, or utt2vad of a probe that learns dimensions.

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
        test = run_folds if "folds" in data else run_tests
        probes = test(data, config, folder)
        chosen = {name: _chosen(best) for name, best in probes.items()}
        save_config(folder, sets=sets, embeddings=embeddings, encoder=encoder, probe=config, chosen=chosen)
        if "train" in probes:
            save_probe(dataclasses.replace(probes["train"], encoder=fingerprint), folder)


def _chosen(probe: TrainedProbe) -> dict[str, float]:
    """Return what the validation set chose."""
    settings = {"lr": probe.config.lr, "hidden": probe.config.hidden} if probe.config.sweep else {}
    return {"valid_quality": probe.quality, "epoch": probe.epoch, **settings}


def run_folds(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Cross-validate, write the results and return the probe of each fold."""
    outputs, probes = cross_validate(data["folds"], config)
    _write(out / "decode_cross-validation", tested(data["folds"].utterances), outputs, config, folds=True)
    return probes


def run_tests(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Train one probe, write its results on every test set and return it."""
    train, valid = data["train"], data.get("valid")
    if valid is None:
        train, valid = train.split(config.valid_share, config.seed)
    probe = choose_probe(train, valid, config)
    for name, part in data.items():
        if name.startswith("decode_"):
            _write(out / name, part.utterances, probe.outputs(part.embeddings), config)
    return {"train": probe}


def _write(
    folder: Path, utterances: Mapping[str, Utterance], outputs: Rows, config: ProbeConfig, folds: bool = False
) -> None:
    """Write what a probe gave, with its scores, and log these.

    Args:
        folder: of the results.
        utterances: that are scored.
        outputs: of the probe, by utterance.
        config: of the probe.
        folds: whether each fold has scores of its own.
    """
    stale = ["utt2emo", UTT2PROB] if config.target == "dimensions" else ["utt2vad"]
    if config.target == "dimensions":
        figures = figures_of_values(utterances, outputs)
        if folds:
            figures = by_fold(utterances, lambda members: figures_of_values(members, outputs))
        write_table(folder / "utt2vad", {name: numbers_text(row, DIMENSIONS) for name, row in outputs.items()})
        found = {name: ccc for name, ccc in figures["dimensions"]["ccc"].items() if name != "intervals"}
        logger.info("%s: CCC %s", folder, ", ".join(f"{name} {ccc:.4f}" for name, ccc in found.items()))
    else:
        labels = labels_of(outputs)
        figures = (figures_of_folds if folds else figures_with_intervals)(utterances, labels, outputs)
        write_table(folder / "utt2emo", labels)
        write_distributions(folder, outputs)
        logger.info("%s: UA %.4f, WA %.4f, F1 %.4f", folder, figures["ua"], figures["wa"], figures["f1_reference"])
        if "votes" in figures:
            logger.info("%s: KL %.4f, JSD %.4f, share of votes %.4f", folder,
                        *(figures["votes"][name] for name in ("kl", "jsd", "vote_share")))  # fmt: skip
    for table in stale:  # of a probe that learnt something else
        (folder / table).unlink(missing_ok=True)
    write_json(folder / "scores.json", figures)
