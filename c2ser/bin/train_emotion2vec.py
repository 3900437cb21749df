"""Train Emotion2Vec-S."""

from pathlib import Path

import torch
from accelerate import PartialState

from c2ser.cli import run, save_config
from c2ser.corpus import durations, read_data_dir
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.losses import LossConfig
from c2ser.emotion2vec.masking import MaskConfig
from c2ser.emotion2vec.model import Emotion2Vec, Emotion2VecConfig
from c2ser.training.emotion2vec import BatchConfig, Emotion2VecObjective, Material, TeacherConfig, ValidConfig
from c2ser.training.loop import OptimConfig, TrainConfig
from c2ser.training.loop import train as fit


def main(
    train: Path,
    valid: Path,
    out: Path,
    model: Emotion2VecConfig,
    masks: MaskConfig,
    losses: LossConfig,
    teacher: TeacherConfig,
    batches: BatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: ValidConfig,
) -> None:
    """Train an encoder from random weights with the frame, utterance and category losses; OUT becomes its folder.

    Args:
        train: data directory to learn from; utterances without an emotion count for the first two losses.
        valid: data directory to choose the best weights on.
        out: where checkpoints, curves and the model go.
        model: sizes of the encoder.
        masks: how utterances are masked.
        losses: weights and variants of the losses.
        teacher: how the teacher follows the student.
        batches: how utterances become batches.
        optim: optimiser and schedule.
        training: how long to train and how often to look.
        validation: how embeddings are judged.
    """
    torch.manual_seed(training.seed)
    encoder = Emotion2Vec(model)
    sets = [read_data_dir(folder) for folder in (train, valid)]
    seconds = {name: length for utterances in sets for name, length in durations(utterances)}
    material = Material(*sets, seconds, batches, validation)
    fit(Emotion2VecObjective(encoder, material, masks, losses, teacher, training.seed), optim, training, out)
    if PartialState().is_main_process:
        save_config(
            out, train=train, valid=valid, model=model, masks=masks, losses=losses, teacher=teacher, batches=batches,
            optim=optim, training=training, validation=validation,
        )  # fmt: skip
        save_model(encoder, out)


if __name__ == "__main__":
    run(main)
