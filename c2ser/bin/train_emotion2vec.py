"""Train Emotion2Vec-S."""

from pathlib import Path

from c2ser.cli import run, save_config
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.training.config import Emotion2VecValidConfig, GuardConfig, OptimConfig, TeacherConfig, TrainConfig

GROUP = "Train"


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
        model: sizes of the encoder; with `init`, only dropout counts, and the sizes of what `init` lacks: utterance
            tokens, decoder.
        masks: how utterances are masked.
        losses: weights and variants of the losses; category 0 is emotion2vec's own objective.
        teacher: how the teacher follows the student.
        guard: when a collapsed training is stopped.
        batches: how utterances become batches.
        optim: optimiser and schedule.
        training: how long to train and how often to look.
        validation: how the encoder is validated.
        init: model folder or published checkpoint to start from; random weights without it.
        unlabelled: further data directories to learn from; their emotions are not used.
        filter_bank: without `init`, start the two first convolutions as a filter bank instead of at random. The output
            of random ones depends on the phase, and small trainings do not overcome that.
    """
    from accelerate import PartialState

    from c2ser.emotion2vec.convert import save_model
    from c2ser.training import emotion2vec_setup
    from c2ser.training.emotion2vec_objective import Emotion2VecObjective
    from c2ser.training.loop import train as fit

    encoder = emotion2vec_setup.make_encoder(model, init, filter_bank, training.seed)
    material = emotion2vec_setup.read_material(train, valid, unlabelled, batches, validation)
    fit(Emotion2VecObjective(encoder, material, masks, losses, teacher, guard, training.seed), optim, training, out)
    if PartialState().is_main_process:
        save_config(
            out, train=train, valid=valid, unlabelled=unlabelled, init=init, model=encoder.config, masks=masks,
            losses=losses, teacher=teacher, guard=guard, batches=batches, optim=optim, training=training,
            validation=validation, filter_bank=filter_bank,
        )  # fmt: skip
        save_model(encoder, out)


if __name__ == "__main__":
    run(main)
