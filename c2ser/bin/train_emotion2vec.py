"""Train Emotion2Vec-S."""

from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState

from c2ser.cli import run, save_config
from c2ser.corpus import durations, read_data_dir
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.emotion2vec.convert import load_model, prepare_for_training, save_model
from c2ser.emotion2vec.layers import set_filter_bank
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.training.config import Emotion2VecValidConfig, GuardConfig, OptimConfig, TeacherConfig, TrainConfig
from c2ser.training.emotion2vec_objective import Emotion2VecObjective, Material
from c2ser.training.loop import train as fit


def main(
    train: Path,
    valid: Path,
    out: Path,
    model: Emotion2VecConfig,
    masks: MaskConfig,
    losses: LossConfig,
    teacher: TeacherConfig,
    guard: GuardConfig,
    batches: CropConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: Emotion2VecValidConfig,
    init: Path | None = None,
    unlabelled: list[Path] = [],  # noqa: B006 - never changed
    filter_bank: bool = False,
) -> None:
    """Train an encoder with the frame, utterance and category losses; OUT becomes its folder.

    Args:
        train: data directory to learn from; utterances without an emotion count for the first two losses.
        valid: data directory to choose the best weights on.
        out: where checkpoints, curves and the model go.
        model: sizes of the encoder; with `init`, only dropout and the decoder's sizes count.
        masks: how utterances are masked.
        losses: weights and variants of the losses; category 0 is emotion2vec's own objective.
        teacher: how the teacher follows the student.
        guard: when a collapsed training is stopped.
        batches: how utterances become batches.
        optim: optimiser and schedule.
        training: how long to train and how often to look.
        validation: how the encoder is judged.
        init: model folder or published checkpoint to start from; random weights without it.
        unlabelled: further data directories to learn from, whose emotions are not looked at.
        filter_bank: without `init`, let the two first convolutions begin as a filter bank instead of at random. What
            random ones give depends on the phase, so that no frame says anything about its neighbours, and small
            trainings never get past that.
    """
    torch.manual_seed(training.seed)
    encoder = prepare_for_training(load_model(init), model) if init else Emotion2Vec(model)
    if filter_bank and not init:
        set_filter_bank(encoder.audio.local_encoder)
    utterances = read_data_dir(train)
    for folder in unlabelled:
        utterances |= {i: replace(u, emotion=None) for i, u in read_data_dir(folder).items() if i not in utterances}
    sets = [utterances, read_data_dir(valid)]
    seconds = {name: length for part in sets for name, length in durations(part, unreadable=0.0)}
    material = Material(*sets, seconds, batches, validation)
    parts = (masks, losses, teacher, guard, training.seed)
    fit(Emotion2VecObjective(encoder, material, *parts), optim, training, out)
    if PartialState().is_main_process:
        save_config(
            out, train=train, valid=valid, unlabelled=unlabelled, init=init, model=encoder.config, masks=masks,
            losses=losses, teacher=teacher, guard=guard, batches=batches, optim=optim, training=training,
            validation=validation, filter_bank=filter_bank,
        )  # fmt: skip
        save_model(encoder, out)


if __name__ == "__main__":
    run(main)
