"""An emotion2vec with a classifier, such as emotion2vec+ large, behind the interface of all models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2ser.data.collate import pad_waves
from c2ser.emotion2vec.checkpoints import LABELS, Published
from c2ser.emotions import ordered
from c2ser.recordings.results import Recogniser, Recognition
from c2ser.recordings.speech_model import SpeechModel, check_language

EMOTIONS = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "happy": "happiness", "neutral": "neutral",
    "other": "other", "sad": "sadness", "surprised": "surprise", "unknown": "unknown", "<unk>": "unknown",
}  # fmt: skip
"""Our name of each published class."""

UNUSED = "unuse"
"""What the names of outputs without a class begin with; they are never given."""


class Emotion2VecClassifier(SpeechModel):
    """An emotion2vec with a classifier; it gives no answers.

    Args:
        published: encoder and classifier.
        labels: the class of each output; None for an output without a class.
    """

    def __init__(self, published: Published, labels: Sequence[str | None]) -> None:
        self.published, self.labels = published, labels
        self.classes = tuple(ordered(label for label in labels if label))

    def to(self, device: str | torch.device) -> "Emotion2VecClassifier":
        """Move the model to a device and return it."""
        self.published.model.to(device)
        if self.published.head is not None:
            self.published.head.to(device)
        return self

    def recogniser(
        self, language: str | None = None, style: str | None = None, answers: bool = True, decode: Any = None
    ) -> Recogniser:
        """Return the function that recognises emotions; language and decoding make no difference."""
        check_language(language)
        if style is not None:
            raise ValueError(f"style {style!r}: emotion2vec gives no answers; leave it out, or give a C²SER model")
        return self._recognise

    def _recognise(self, waves: Mapping[str, np.ndarray]) -> dict[str, Recognition]:
        """Recognise waveforms one by one, so that a result does not depend on others, not even in the last bit."""
        return {name: self._recognise_one(wave) for name, wave in waves.items()}

    def _recognise_one(self, wave: np.ndarray) -> Recognition:
        padded, lengths = (tensor.to(self.published.model.slopes.device) for tensor in pad_waves([wave]))
        (row,) = self.published.classify(padded, lengths).double().cpu().tolist()
        named = [(label, value) for label, value in zip(self.labels, row, strict=True) if label]
        total = sum(value for _, value in named)
        shares = {label: value / total for label, value in named}
        probabilities = {label: shares[label] for label in self.classes}
        return Recognition(max(probabilities, key=lambda label: probabilities[label]), probabilities)


def read_labels(path: Path, outputs: int) -> list[str | None]:
    """Return the class of each output of a classifier, from the list beside its weights or else the published one.

    Args:
        path: the list, a class in each line, in English or as `生气/angry`.
        outputs: how many there are.

    Raises:
        ValueError: the list has another length, a class twice, or is no text; or there is none and the outputs are not
            the published nine.
    """
    names = [*LABELS]
    if path.is_file():
        try:
            names = path.read_text("utf-8").split("\n")
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not UTF-8; download it again") from None
        names = [name.strip().rpartition("/")[2] for name in names if name.strip()]
    if len(names) != outputs:
        raise ValueError(f"{path}: {len(names)} classes for {outputs} outputs of the classifier; download both again")
    labels = [None if name.startswith(UNUSED) else EMOTIONS.get(name, name) for name in names]
    known = [label for label in labels if label]
    if len({*known}) < len(known) or not known:
        raise ValueError(f"{path}: a class twice, or none; download it again")
    return labels
