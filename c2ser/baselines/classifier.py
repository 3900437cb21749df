"""What a user would do instead of C²SER: an encoder with a head (`c2ser finetune`), which answers with an emotion."""

import time
from collections.abc import Mapping

import numpy as np
import torch

from c2ser.baselines.answers import Answer
from c2ser.emotions import EMOTIONS
from c2ser.model.head_model import HeadModel


class ClassifierAnswers:
    """A model of `c2ser finetune` that answers: with the name of the most probable emotion.

    Args:
        model: the model.

    Raises:
        ValueError: its outputs are other classes than the seven emotions.
    """

    transcribes = False

    def __init__(self, model: HeadModel) -> None:
        if strange := [name for name in model.classes if name not in EMOTIONS]:
            raise ValueError(f"baseline.model: its output {strange[0]} is none of the seven emotions; train it on those")
        self.model, self.places = model, [EMOTIONS.index(name) for name in model.classes]

    def to(self, device: torch.device | str) -> "ClassifierAnswers":
        """Move the model to a device."""
        self.model.to(device)
        return self

    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`.

        Emotions that the model does not know have the probability 0.
        """
        start = time.perf_counter()
        outputs = self.model.outputs(waves)
        milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
        rows = {name: np.zeros(len(EMOTIONS)) for name in waves}
        for name, row in rows.items():
            row[self.places] = outputs[name]
        return {name: Answer(EMOTIONS[int(row.argmax())], row, milliseconds, 0) for name, row in rows.items()}
