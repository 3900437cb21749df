"""Train small classifiers on embeddings and score them."""

from collections.abc import Sequence
from pathlib import Path

from c2ser.cli import run
from c2ser.emotion2vec.config import ProbeConfig

GROUP = "Train"


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
    encoder: str | None = None,
) -> None:
    """Write OUT/decode_<set>/utt2emo and scores.json, and the trained probe as OUT/model.safetensors and config.json.

    The set of a cross-validation is called cross-validation. It has a probe for each fold and keeps none.

    Args:
        embeddings: folder that holds <set>.scp of every set.
        out: where the results go.
        probe: the classifier and its training.
        train: data directory to learn from.
        valid: data directory to choose the best epoch on; without it, a part of the training set.
        tests: data directories to label.
        folds: data directories that together are cross-validated by their utt2fold, instead of the above; utt2fold is
            "train" or "valid" for utterances that no fold tests.
        seeds: train once for each of these seeds, into OUT/seed<number>.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
        encoder: the model that gave the embeddings; a probe that knows it is not used with another one by mistake.
    """
    if bool(folds) == bool(train and tests):
        raise ValueError("two ways to test a probe; give either --train and --tests, or --folds")
    from c2ser.devices import pick_device
    from c2ser.emotion2vec.run_probe import run_probe

    sets: dict[str, Sequence[Path] | None] = {"folds": folds}
    sets |= {"train": [train] if train else None, "valid": [valid] if valid else None}
    sets |= {f"decode_{folder.name}": [folder] for folder in tests or []}
    run_probe(sets, embeddings, out, probe, seeds, pick_device(device), encoder)


if __name__ == "__main__":
    run(main)
