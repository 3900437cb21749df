"""Train one stage of C²SER."""

from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState

from c2ser.cli import run, save_config
from c2ser.data.collate import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.model.c2ser import C2SER, C2SERConfig
from c2ser.training.c2ser import BatchConfig, C2SERObjective, Corpus, ValidConfig
from c2ser.training.loop import OptimConfig, TrainConfig
from c2ser.training.loop import train as fit

STYLES = {"explicit": ["explicit"], "implicit": ["explicit", "implicit"]}
"""The chains of thought that a stage reads."""


def main(
    train: Path,
    valid: Path,
    out: Path,
    stage: Literal["explicit", "implicit"],
    model: C2SERConfig,
    batches: BatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: ValidConfig,
    spec_augment: SpecAugment | None = None,
    init: Path | None = None,
) -> None:
    """Train C²SER on explicit chains of thought, or go on with ever fewer of them; OUT becomes the model's folder.

    Args:
        train: data directory to learn from.
        valid: data directory to choose the best weights on.
        out: where checkpoints, curves and the model go.
        stage: explicit, or implicit: from all explicit to all implicit batches.
        model: what the model is made of; with `init`, only `trainable` counts.
        batches: how utterances become batches.
        optim: optimiser and schedule.
        training: how long to train and how often to look.
        validation: what is looked at.
        spec_augment: masks on the training spectrograms; null for none.
        init: folder of a model to start from; the implicit stage needs one.
    """
    if stage == "implicit" and init is None:
        raise ValueError(f"{out}: the implicit stage starts from a model; give the explicit stage's folder with --init")
    torch.manual_seed(training.seed)
    learner = C2SER.from_pretrained(init) if init else C2SER.build(model)
    learner.set_trainable(model.trainable)
    learner.config.style = stage
    items = [read_items(folder, STYLES[stage]) for folder in (train, valid)]
    corpus = Corpus(*items, batches, spec_augment, validation)
    objective = C2SERObjective(learner, stage, corpus, training.steps, training.seed)
    fit(objective, optim, training, out)
    if PartialState().is_main_process:
        learner.save_pretrained(out)
        save_config(
            out, train=train, valid=valid, stage=stage, init=init, model=learner.config, batches=batches, optim=optim,
            training=training, validation=validation, spec_augment=spec_augment,
        )  # fmt: skip


if __name__ == "__main__":
    run(main)
