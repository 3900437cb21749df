"""Tell the same of a training of Emotion2Vec-S: whether it fits, how long it takes, what to change."""

from pathlib import Path

from c2ser.cli import run
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.planning.config import CardOptions
from c2ser.training.config import Emotion2VecValidConfig, GuardConfig, OptimConfig, TeacherConfig, TrainConfig

GROUP = "Train"


def main(
    model: Emotion2VecConfig,
    masks: MaskConfig,
    losses: LossConfig,
    teacher: TeacherConfig,
    guard: GuardConfig,
    batches: CropConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: Emotion2VecValidConfig,
    filter_bank: bool = False,
    gpu: str = "h100",
    memory: float | None = None,
    tflops: float | None = None,
    bandwidth: float | None = None,
    ngpu: int = 1,
    data: Path | None = None,
    out: Path | None = None,
) -> None:
    """Print what a training of Emotion2Vec-S with these settings needs; nothing is trained.

    The configurations are those of train_emotion2vec; see `c2ser plan` for C²SER.

    Args:
        model: sizes of the encoder.
        masks: how utterances are masked.
        losses: weights and variants of the losses.
        teacher: how the teacher follows the student.
        guard: does not count.
        batches: how utterances become batches.
        optim: optimiser.
        training: how long to train; `accumulate` and `precision` count too.
        validation: is not planned.
        filter_bank: does not count.
        gpu: the card, as in `c2ser plan`.
        memory: GiB of the card, in place of the data sheet's.
        tflops: 10^12 operations per second in bfloat16, in place of the data sheet's.
        bandwidth: 10^9 bytes per second, in place of the data sheet's.
        ngpu: how many cards share the work.
        data: data directory to learn from; without it, lengths are made up.
        out: JSON file for the plan.
    """
    from c2ser.planning.objectives import Emotion2VecPlan
    from c2ser.planning.plan_table import table
    from c2ser.planning.training_plan import plan_emotion2vec
    from c2ser.tables import write_json

    card = CardOptions(gpu, memory, tflops, bandwidth).card()
    given = Emotion2VecPlan.read(model, masks, losses, teacher, batches, data)
    plan = plan_emotion2vec(given, optim, training, card, ngpu, data is not None)
    print(table(plan))
    if out:
        write_json(out, plan.as_json())


if __name__ == "__main__":
    run(main)
