"""The baselines by their kinds."""

from c2ser.baselines.cascade import Cascade
from c2ser.baselines.classifier import ClassifierAnswers
from c2ser.baselines.config import BaselineConfig
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.head_model import HeadModel


def load_baseline(config: BaselineConfig, labels: LabelSet = SEVEN) -> Cascade | ClassifierAnswers:
    """Load what a configuration asks for; a cascade names these classes, a classifier those that it has learnt.

    Raises:
        ValueError: a model is missing, of another kind or damaged.
    """
    if config.kind == "cascade":
        return Cascade.from_pretrained(config, labels)
    if config.model is None:
        raise ValueError("baseline.model: the classifier's folder is missing; give that of c2ser finetune")
    return ClassifierAnswers(HeadModel.from_pretrained(config.model))
