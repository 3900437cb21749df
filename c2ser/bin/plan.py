"""Tell before a training whether it fits on a card, how long it takes, and what to change."""

from pathlib import Path

from c2ser.cli import run
from c2ser.data.config import SpecAugment
from c2ser.model.config import C2SERConfig
from c2ser.planning.config import CardOptions
from c2ser.training.config import BatchConfig, LossConfig, OptimConfig, Stage, TrainConfig, ValidConfig

GROUP = "Train"


def main(
    model: C2SERConfig,
    batches: BatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: ValidConfig,
    losses: LossConfig | None = None,
    spec_augment: SpecAugment | None = None,
    stage: Stage = "explicit",
    gpu: str = "h100",
    memory: float | None = None,
    tflops: float | None = None,
    bandwidth: float | None = None,
    ngpu: int = 1,
    data: Path | None = None,
    init: Path | None = None,
    acoustic: Path | None = None,
    out: Path | None = None,
) -> None:
    """Print what a training of C²SER with these settings needs, counted on models without weights; nothing is trained.

    It needs no GPU and downloads no weights. The configurations are those of train_c2ser.

    Args:
        model: what the model is made of; `emotion2vec` may be "base", `whisper` and `llm` "tiny".
        batches: how utterances become batches.
        optim: optimiser.
        training: how long to train; `accumulate` and `precision` count too.
        validation: is not planned.
        losses: weights of losses beside the language model's; null for none.
        spec_augment: masks on the training spectrograms; null for none.
        stage: explicit, implicit, direct or finetune.
        gpu: the card: h200, h100, a100, a100-40gb, l40s, a6000, 5090, 4090, 3090 or l4.
        memory: GiB of the card, in place of the data sheet's.
        tflops: 10^12 operations per second in bfloat16, in place of the data sheet's.
        bandwidth: 10^9 bytes per second, in place of the data sheet's.
        ngpu: how many cards share the work.
        data: data directory to learn from; without it, lengths are made up.
        init: folder of the model to start from.
        acoustic: folder of extracted acoustic vectors, which then cost nothing.
        out: JSON file for the plan.
    """
    from c2ser.planning.fitting import plan_filled
    from c2ser.planning.objectives import C2SERPlan
    from c2ser.planning.plan_table import table
    from c2ser.tables import write_json

    card = CardOptions(gpu, memory, tflops, bandwidth).card()
    given = C2SERPlan.read(stage, model, batches, losses, spec_augment, data, init, acoustic is not None)
    plan = plan_filled(given, optim, training, card, ngpu, data is not None)
    print(table(plan))
    if out:
        write_json(out, plan.as_json())


if __name__ == "__main__":
    run(main)
