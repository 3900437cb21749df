"""What a user would do instead of C²SER: an encoder with a head (`c2ser finetune`), which answers with an emotion."""

import time
from collections.abc import Mapping

import numpy as np
import torch

from c2ser.baselines.answers import Answer
from c2ser.label_sets import LabelSet
from c2ser.model.head_model import HeadModel


class ClassifierAnswers:
    """A model of `c2ser finetune` that answers: with the name of the most probable class.

    Args:
        model: the model.

    Raises:
        ValueError: it gives dimensions.
    """

    transcribes = False

    def __init__(self, model: HeadModel) -> None:
        if model.target == "dimensions":
            raise ValueError("baseline.model: gives dimensions and no classes; train it with --target emotion")
        self.model = model

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        return self.model.labels

    def to(self, device: torch.device | str) -> "ClassifierAnswers":
        """Move the model to a device."""
        self.model.to(device)
        return self

    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`."""
        start = time.perf_counter()
        outputs = self.model.outputs(waves)
        milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
        rows = {name: self.model.probabilities(row) for name, row in outputs.items()}
        return {name: Answer(self.labels.names[int(row.argmax())], row, milliseconds, 0) for name, row in rows.items()}
