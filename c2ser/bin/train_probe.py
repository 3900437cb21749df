"""Train probes on embeddings and let them label what they did not learn from."""

import dataclasses
from pathlib import Path
from typing import Any

from c2ser.cli import run, save_config
from c2ser.corpus import tested
from c2ser.devices import pick_device
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import ProbeData, TrainedProbe, cross_validate, read_probe_data, train_probe
from c2ser.log import get_logger
from c2ser.scoring.cross_validation import figures_of_folds, figures_with_intervals
from c2ser.tables import write_json, write_table

logger = get_logger(__name__)


def main(
    embeddings: Path,
    out: Path,
    probe: ProbeConfig,
    train: Path | None = None,
    valid: Path | None = None,
    tests: list[Path] | None = None,
    folds: list[Path] | None = None,
    seeds: list[int] | None = None,
    device: str = "auto",
) -> None:
    """Write OUT/decode_<set>/utt2emo and scores.json; of a cross-validation the set is called cross-validation.

    Args:
        embeddings: folder that holds <set>.scp of every set.
        out: where the results go.
        probe: the classifier and its training.
        train: data directory to learn from.
        valid: data directory to choose the best epoch on; without it, a part of the training set.
        tests: data directories to label.
        folds: data directories whose utterances together are cross-validated by their utt2fold, instead of the above;
            it says "train" or "valid" of utterances that no fold tests.
        seeds: train once for each of these seeds, into OUT/seed<number>.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    if bool(folds) == bool(train and tests):
        raise ValueError("two ways to test a probe: give either --train and --tests, or --folds")
    chosen = pick_device(device)
    sets = {"folds": folds, "train": train and [train], "valid": valid and [valid]}
    sets |= {f"decode_{folder.name}": [folder] for folder in tests or []}
    data = {name: read_probe_data(paths, embeddings, probe, chosen) for name, paths in sets.items() if paths}
    for seed in seeds or [probe.seed]:
        config, folder = dataclasses.replace(probe, seed=seed), out / f"seed{seed}" if seeds else out
        label = label_folds if folds else label_tests
        trained = label(data, config, folder)
        best = {name: {"valid_accuracy": one.accuracy, "epoch": one.epoch} for name, one in trained.items()}
        save_config(folder, sets=sets, embeddings=embeddings, probe=config, chosen=best)


def label_folds(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Cross-validate and return the probe of each fold."""
    labels, probes = cross_validate(data["folds"], config)
    write_results(out / "decode_cross-validation", labels, figures_of_folds(tested(data["folds"].utterances), labels))
    return probes


def label_tests(data: dict[str, ProbeData], config: ProbeConfig, out: Path) -> dict[str, TrainedProbe]:
    """Train once, label every test set and return the probe."""
    learnt, checked = data["train"], data.get("valid")
    if checked is None:
        learnt, checked = learnt.split(config.valid_share, config.seed)
    trained = train_probe(learnt, checked, config)
    for name, part in data.items():
        if name.startswith("decode_"):
            labels = trained.label(part.embeddings)
            write_results(out / name, labels, figures_with_intervals(part.utterances, labels))
    return {"train": trained}


def write_results(folder: Path, labels: dict[str, str], figures: dict[str, Any]) -> None:
    """Write labels and figures, and say them."""
    write_table(folder / "utt2emo", labels)
    write_json(folder / "scores.json", figures)
    logger.info("%s: UA %.4f, WA %.4f, F1 %.4f", folder, figures["ua"], figures["wa"], figures["f1_reference"])


if __name__ == "__main__":
    run(main)
