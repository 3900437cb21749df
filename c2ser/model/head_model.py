"""An encoder with a head to use: the most probable class, the distribution of votes, or numbers on dimensions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.data.datasets import MAX_SECONDS
from c2ser.data.sampler import by_length
from c2ser.emotion2vec.speech_classifier import SpeechClassifier
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.config import DecodeConfig
from c2ser.model.folder import read_temperature
from c2ser.model.head_folder import load_head
from c2ser.model.head_network import HeadNetwork
from c2ser.model.onnx_encoders import frames_of
from c2ser.ratings import Target
from c2ser.recordings.results import Recogniser, Recognition
from c2ser.recordings.speech_model import SpeechModel, check_language


class HeadModel(SpeechModel):
    """An encoder with a head; it gives no answers.

    Args:
        network: the network, in evaluation mode.
        target: what its outputs are: logits of classes, or values of dimensions.
        labels: all classes of its data; those that no training utterance had are no outputs.
        temperature: divides logits; fitted on a validation set.
    """

    def __init__(
        self, network: HeadNetwork, target: Target, labels: LabelSet = SEVEN, temperature: float = 1.0
    ) -> None:
        self.network, self.target, self.labels, self.temperature = network.eval(), target, labels, temperature
        self.classes = tuple(network.outputs)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "HeadModel":
        """Read the folder that `c2ser finetune` wrote.

        Raises:
            ValueError: it is none, or damaged.
        """
        return cls(*load_head(folder), temperature=read_temperature(folder))

    def to(self, device: str | torch.device) -> "HeadModel":
        """Move the model to a device and return it."""
        self.network.to(device)
        return self

    def recogniser(
        self,
        language: str | None = None,
        style: str | None = None,
        answers: bool = True,
        decode: DecodeConfig | None = None,
    ) -> Recogniser:
        """Return the function that recognises emotions; language makes no difference."""
        check_language(language)
        if style is not None:
            raise ValueError(f"style {style!r}: this model gives no answers; leave it out, or give a C²SER model")
        return lambda waves: self._recognise(waves, decode or DecodeConfig())

    def _recognise(self, waves: Mapping[str, np.ndarray], config: DecodeConfig) -> dict[str, Recognition]:
        rows = self.outputs(waves, config)
        named = {name: dict(zip(self.classes, map(float, row), strict=True)) for name, row in rows.items()}
        if self.target == "dimensions":
            return {name: Recognition("", values) for name, values in named.items()}
        return {name: Recognition(max(row, key=lambda label: row[label]), row) for name, row in named.items()}

    def outputs(self, waves: Mapping[str, np.ndarray], config: DecodeConfig | None = None) -> dict[str, np.ndarray]:
        """Return the probabilities of the classes, or the values of the dimensions, (outputs,) by name.

        Those of speech over 30 s are means over its pieces, weighted by duration.

        Args:
            waves: mono waveforms at 16 kHz by name, (samples,), of any length.
            config: how they are grouped; None for the defaults.
        """
        pieces = {
            f"{name}/{number}": piece
            for name, wave in waves.items()
            for number, piece in enumerate(audio.pieces(wave, MAX_SECONDS))
        }
        sums = {name: np.zeros(len(self.classes)) for name in waves}
        for key, row in self.piece_outputs(pieces, config or DecodeConfig()).items():
            name = key.rpartition("/")[0]
            values = row if self.target == "dimensions" else _softmax(row / self.temperature)
            sums[name] += values * (len(pieces[key]) / len(waves[name]))
        return sums

    def probabilities(self, row: np.ndarray) -> np.ndarray:
        """Return probabilities (outputs,) as those of all classes (labels,): 0 for classes that are no outputs."""
        known = dict(zip(self.classes, row, strict=True))
        return np.array([known.get(name, 0.0) for name in self.labels])

    @torch.no_grad()
    def piece_outputs(self, waves: Mapping[str, np.ndarray], config: DecodeConfig) -> dict[str, np.ndarray]:
        """Return the outputs of the network, (outputs,) float64 by name, for waveforms of up to 30 s.

        Raises:
            ValueError: a batch does not fit into the GPU's memory.
        """
        rows: dict[str, np.ndarray] = {}
        seconds = {name: len(wave) / SAMPLE_RATE for name, wave in waves.items()}
        for names in by_length(seconds, config.batch_seconds, config.batch_utterances):
            try:
                outputs = self._batch([waves[name] for name in names])
            except torch.OutOfMemoryError:
                raise ValueError(
                    f"{names[0]}: in its batch of {len(names)} pieces the GPU ran out of memory; lower batch_seconds "
                    f"({config.batch_seconds:g}) or batch_utterances"
                ) from None
            rows |= dict(zip(names, outputs, strict=True))
        return {name: rows[name] for name in waves}

    def _batch(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        return self.network([self.network.prepare(wave) for wave in waves]).double().cpu().numpy()


def load_exportable(folder: str | Path) -> SpeechClassifier:
    """Read a model as the one graph, from waveforms to probabilities, that `c2ser export-onnx` writes.

    Raises:
        ValueError: the folder is no model of `c2ser finetune`, or it gives no probabilities.
    """
    model = HeadModel.from_pretrained(folder)
    if model.target == "dimensions":
        raise ValueError(f"{folder}: gives dimensions, and export-onnx writes probabilities alone; use c2ser serve")
    head = model.network.head
    with torch.no_grad():
        for parameter in head.output.parameters():
            parameter.div_(model.temperature)
    return SpeechClassifier(frames_of(model.network.encoder), head, model.classes, normalise=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()
