"""Train one stage of C²SER."""

from functools import partial
from pathlib import Path

from c2ser.cli import run, save_config
from c2ser.data.config import SpecAugment
from c2ser.model.config import C2SERConfig
from c2ser.training.config import BatchConfig, LossConfig, OptimConfig, Stage, TrainConfig, ValidConfig

GROUP = "Train"


def main(
    train: Path,
    valid: Path,
    out: Path,
    stage: Stage,
    model: C2SERConfig,
    batches: BatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: ValidConfig,
    losses: LossConfig | None = None,
    spec_augment: SpecAugment | None = None,
    init: Path | None = None,
    acoustic: Path | None = None,
) -> None:
    """Train C²SER on explicit chains of thought, or go on with ever fewer of them; OUT becomes the model's folder.

    Args:
        train: data directory to learn from.
        valid: data directory to choose the best weights on.
        out: where checkpoints, curves and the model go.
        stage: explicit; implicit: from explicit to implicit batches; direct: implicit; finetune: in `init`'s style.
        model: what the model is made of; with `init`, only `trainable` and `checkpointing` count.
        batches: how utterances become batches.
        optim: optimiser and schedule.
        training: how long to train and how often to look.
        validation: what is looked at.
        losses: weights of losses beside the language model's; null for none.
        spec_augment: masks on the training spectrograms; null for none.
        init: folder or hub id of a model to start from; the explicit and the direct stage can do without.
        acoustic: folder of <data directory's name>.scp, extracted with the model's Emotion2Vec-S; null computes them.
    """
    from accelerate import PartialState

    from c2ser.data.datasets import read_items
    from c2ser.label_sets import common_label_set
    from c2ser.planning.fitting import fill_card
    from c2ser.planning.objectives import C2SERPlan
    from c2ser.training.c2ser_objective import C2SERObjective, Corpus
    from c2ser.training.loop import train as fit
    from c2ser.training.models import export, export_epochs, start
    from c2ser.training.processes import divides_weights

    make = partial(start, stage, model, init, training.seed, common_label_set([train, valid]))
    learner = make(mapped=divides_weights())
    styles = ["explicit", "implicit"] if stage == "implicit" else [learner.config.style]
    texts = losses is not None and losses.information > 0
    learnt, held_out = read_items(train, styles, acoustic, texts), read_items(valid, styles, acoustic)
    given = C2SERPlan(stage, learner.config, batches, losses, spec_augment, learnt, bool(acoustic), network=learner)
    batches, training = fill_card(given, optim, training, out)
    corpus = Corpus(learnt, held_out, batches, spec_augment, validation)
    best = fit(C2SERObjective(learner, stage, corpus, training.seed, losses), optim, training, out)
    if PartialState().is_main_process:
        export_epochs(make, best.parent, training.keep_epochs, out)
        save_config(
            out, train=train, valid=valid, stage=stage, init=init, acoustic=acoustic, model=learner.config,
            batches=batches, optim=optim, training=training, validation=validation, losses=losses,
            spec_augment=spec_augment,
        )  # fmt: skip
        export(make, best, out)


if __name__ == "__main__":
    run(main)
