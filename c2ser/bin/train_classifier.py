"""Train a classifier of emotions on Whisper's encoder, to compare with."""

from pathlib import Path

from c2ser.baselines.config import ClassifierConfig
from c2ser.cli import run, save_config
from c2ser.data.config import SpecAugment
from c2ser.training.config import ClassifierBatchConfig, OptimConfig, TrainConfig

GROUP = "Train"


def main(
    train: Path,
    valid: Path,
    out: Path,
    model: ClassifierConfig,
    batches: ClassifierBatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    spec_augment: SpecAugment | None = None,
) -> None:
    """Fine-tune Whisper's encoder with a linear classifier of the data's classes; OUT becomes the classifier's folder.

    Args:
        train: data directory to learn from.
        valid: data directory to choose the best weights on.
        out: where checkpoints, curves and the classifier go.
        model: what the classifier is made of.
        batches: how utterances become batches.
        optim: optimiser and schedule; the parts for `lr_by_part` are whisper and head.
        training: how long to train and how often to look.
        spec_augment: masks on the training spectrograms; null for none.
    """
    from accelerate import PartialState

    from c2ser.baselines.classifier import new_classifier, save_classifier
    from c2ser.data.datasets import read_items
    from c2ser.label_sets import common_label_set
    from c2ser.training.classifier_objective import ClassifierMaterial, ClassifierObjective
    from c2ser.training.loop import train as fit

    classifier = new_classifier(model, training.seed, common_label_set([train, valid]))
    learnt, held_out = (read_items(folder, []) for folder in (train, valid))
    material = ClassifierMaterial(learnt, held_out, batches, spec_augment)
    fit(ClassifierObjective(classifier, material, training.seed), optim, training, out)
    if PartialState().is_main_process:
        save_config(
            out, train=train, valid=valid, model=model, batches=batches, optim=optim, training=training,
            spec_augment=spec_augment,
        )  # fmt: skip
        save_classifier(classifier, out)


if __name__ == "__main__":
    run(main)
