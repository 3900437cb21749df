"""Train an encoder with a head on your own data: classes, votes or dimensions."""

from pathlib import Path

from c2ser.cli import run
from c2ser.data.config import SpecAugment
from c2ser.model.config import Tuning
from c2ser.ratings import Target
from c2ser.training.config import HeadBatchConfig, HeadTrainConfig, OptimConfig

GROUP = "Train"
PATHS = "data"

SOUND_MB = 12.0
"""Megabytes of recordings in the report, at most."""


def main(
    data: list[Path],
    out: Path,
    batches: HeadBatchConfig,
    model: str | None = None,
    encoder: str = "tools/models/whisper-base",
    layer: int | None = None,
    lora: int | None = None,
    full: bool = False,
    frozen: bool = False,
    target: Target = "emotion",
    hidden: int = 256,
    valid: Path | None = None,
    tests: list[Path] | None = None,
    optim: OptimConfig | None = None,
    training: HeadTrainConfig | None = None,
    spec_augment: SpecAugment | None = None,
    report: bool = True,
) -> None:
    """Train a head on an encoder, or a trained C²SER further; OUT becomes the folder of a model that predicts.

    Args:
        data: a data directory, or a folder with train, valid and test, as `c2ser import` writes it.
        out: the model's folder, with checkpoints, curves, scores, report and model card.
        batches: how utterances become batches.
        model: folder or hub id of a C²SER whose adapters and connector are trained; instead of an encoder.
        encoder: folder of an Emotion2Vec-S model, checkpoint of its family, or folder or hub id of Whisper, wav2vec
            2.0, HuBERT, WavLM and the like; the default is what `make small` brings.
        layer: keep so many of the encoder's first layers; by default all, of Whisper the first half.
        lora: train adapters of this rank in the encoder's layers.
        full: train the whole encoder.
        frozen: train the head alone; the default.
        target: what is learnt: the emotion of utt2emo, the votes of utt2votes, or the dimensions of utt2vad.
        hidden: size of the head's projection.
        valid: data directory to choose the best weights on; by default DATA/valid, else a fifth of the speakers.
        tests: data directories to score; by default DATA/test and DATA/test1, DATA/test2, ….
        optim: optimiser and schedule, with the parts head and encoder; by default what suits the way to train.
        training: how long to train and how often to look; likewise.
        spec_augment: masks on Whisper's spectrograms in training; null for none.
        report: score the validation and test sets, and write OUT/report.html.
    """
    if len(data) > 1:
        raise ValueError(f"{data[1]}: one data set makes one model; give others with --valid and --tests")
    if model and (lora or full or frozen):
        raise ValueError("--model: of a C²SER is trained what was trained; leave --lora, --full and --frozen out")
    tuning = choose_tuning(lora, full, frozen)
    from c2ser.training.finetune_c2ser import C2SERFinetuneConfig, finetune_c2ser
    from c2ser.training.finetune_run import FinetuneConfig, finetune
    from c2ser.training.finetune_sets import find_sets

    sets = find_sets(data[0], valid, tests, out)
    shared = (target, batches, optim, training, spec_augment)
    if model:
        figures = finetune_c2ser(sets, C2SERFinetuneConfig(model, *shared), out, report)
    else:
        figures = finetune(sets, FinetuneConfig(encoder, layer, tuning, lora or 0, hidden, *shared), out, report)
    if any("ua" in row for row in figures.values()):
        from c2ser.report.page import write_report

        write_report(out, sets.scored(), out / "report.html", out.resolve().name, SOUND_MB)


def choose_tuning(lora: int | None, full: bool, frozen: bool) -> Tuning:
    """Return the way to train an encoder that the options name.

    Raises:
        ValueError: they name several, or a rank that adapters cannot have.
    """
    if sum((lora is not None, full, frozen)) > 1:
        raise ValueError("--lora, --full, --frozen: three ways to train an encoder; give one of them")
    if lora is not None and lora < 1:
        raise ValueError(f"--lora {lora}: no rank of adapters; give 1 or more, 8 for example")
    return "lora" if lora else "full" if full else "frozen"


if __name__ == "__main__":
    run(main, PATHS)
