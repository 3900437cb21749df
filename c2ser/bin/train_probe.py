"""Train a probe on embeddings and let it label test sets."""

from pathlib import Path

import torch

from c2ser.cli import run, save_config
from c2ser.corpus import read_data_dir
from c2ser.data.arks import read_matrices
from c2ser.emotion2vec.probe import ProbeConfig, train_probe
from c2ser.log import get_logger
from c2ser.scoring.metrics import scores
from c2ser.tables import read_table, write_json, write_table

logger = get_logger(__name__)


def main(train: Path, valid: Path, tests: list[Path], embeddings: Path, out: Path, probe: ProbeConfig) -> None:
    """Write OUT/decode_<set>/utt2emo and scores.json for each test set.

    Args:
        train: data directory to learn from.
        valid: data directory to choose the best epoch on.
        tests: data directories to label.
        embeddings: folder that holds <set>.scp of every set.
        out: where the results go.
        probe: the classifier and its training.
    """
    references = {folder: {i: str(u.emotion) for i, u in read_data_dir(folder).items()} for folder in [train, valid]}
    vectors = [read_set(embeddings, folder, references[folder]) for folder in (train, valid)]
    trained = train_probe(*vectors, {**references[train], **references[valid]}, probe)
    save_config(out, train=train, valid=valid, tests=tests, probe=probe, valid_accuracy=trained.accuracy)
    for folder in tests:
        reference = {i: str(u.emotion) for i, u in read_data_dir(folder).items()}
        labels = trained.label(read_set(embeddings, folder, reference))
        figures = scores(reference, labels)
        write_table(out / f"decode_{folder.name}" / "utt2emo", labels)
        write_json(out / f"decode_{folder.name}" / "scores.json", figures)
        logger.info("%s: UA %.4f, WA %.4f, F1 %.4f", folder, figures["ua"], figures["wa"], figures["f1_reference"])


def read_set(embeddings: Path, folder: Path, reference: dict[str, str]) -> dict[str, torch.Tensor]:
    """Return the embeddings (frames, dim) of a data directory's utterances."""
    table = read_table(embeddings / f"{folder.name}.scp")
    return {name: torch.from_numpy(matrix) for name, matrix in read_matrices(table, reference)}


if __name__ == "__main__":
    run(main)
