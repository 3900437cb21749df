"""What a user would do instead of C²SER: Whisper's encoder, fine-tuned with a linear classifier of emotions.

The layers are those of transformers' WhisperForAudioClassification: states, projection, mean over time, classes. Unlike
there the encoder runs at the utterance's own length, as in C²SER, so that the two differ in what follows the encoder.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import WhisperConfig

from c2ser import audio
from c2ser.baselines.answers import Answer
from c2ser.baselines.config import ClassifierConfig
from c2ser.data.collate import pad_waves
from c2ser.data.datasets import MAX_SECONDS
from c2ser.emotions import EMOTIONS
from c2ser.log import one_line
from c2ser.model.perception import Vectors, WhisperEncoder
from c2ser.pretrained import find_model
from c2ser.tables import read_json
from c2ser.tensors import read_tensors, write_weights

KIND = "c2ser.classifier"
"""What config.json calls such a model."""

WEIGHTS = "model.safetensors"


class Classifier(nn.Module):
    """Whisper's encoder and a linear classifier of the seven emotions.

    Args:
        whisper: the encoder.
        dim: size of the projection.
    """

    def __init__(self, whisper: WhisperEncoder, dim: int) -> None:
        super().__init__()
        self.whisper = whisper
        self.head = nn.Sequential(nn.Linear(whisper.dim, dim), nn.Linear(dim, len(EMOTIONS)))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.head.parameters()).device

    @torch.no_grad()
    def log_mel(self, waves: Sequence[np.ndarray]) -> Vectors:
        """Return the spectrograms (batch, bins, frames) of waveforms at 16 kHz, each (samples,), in float32."""
        padded, lengths = (tensor.to(self.device) for tensor in pad_waves(waves))
        with torch.autocast(self.device.type, enabled=False):
            return self.whisper.log_mel(padded, lengths)

    def forward(self, mel: Vectors) -> Tensor:
        """Return the logits (batch, 7) of spectrograms (batch, bins, frames), in the order of `EMOTIONS`."""
        states = self.whisper(mel)
        mean = states.values.sum(dim=1) / states.lengths[:, None]  # padding is zero
        return self.head(mean)  # linear, so it is the mean of what it gives for each state


class ClassifierAnswers:
    """A trained classifier that answers: with the name of the most probable emotion.

    Args:
        model: the classifier.
    """

    transcribes = False

    def __init__(self, model: Classifier) -> None:
        self.model = model.eval()

    def to(self, device: torch.device | str) -> "ClassifierAnswers":
        """Move the classifier to a device."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`.

        The probabilities of speech over 30 s are means over its pieces, weighted by duration, as C²SER's are.
        """
        start = time.perf_counter()
        pieces = [(name, piece) for name, wave in waves.items() for piece in audio.pieces(wave, MAX_SECONDS)]
        sums = {name: np.zeros(len(EMOTIONS)) for name in waves}
        for first in range(0, len(pieces), len(waves)):  # long speech has several pieces
            part = pieces[first : first + len(waves)]
            logits = self.model(self.model.log_mel([piece for _, piece in part])).double()
            for (name, piece), row in zip(part, logits.softmax(dim=-1).cpu().numpy(), strict=True):
                sums[name] += row * (len(piece) / len(waves[name]))
        milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
        return {name: Answer(EMOTIONS[int(row.argmax())], row, milliseconds, 0) for name, row in sums.items()}


def new_classifier(config: ClassifierConfig, seed: int) -> Classifier:
    """Return a classifier with a pretrained encoder and a random head, always the same one for a seed.

    Raises:
        ValueError: there is no such Whisper model.
    """
    torch.manual_seed(seed)
    whisper = WhisperEncoder.from_pretrained(find_model(config.whisper, "Whisper"), config.whisper_dropout)
    return Classifier(whisper, config.dim)


def save_classifier(model: Classifier, folder: str | Path) -> None:
    """Write a classifier's folder; each file appears when it is complete, config.json, which loading needs, last."""
    described = {"kind": KIND, "emotions": EMOTIONS, "dim": model.head[0].out_features}
    write_weights(folder, WEIGHTS, model.state_dict(), {**described, "whisper": model.whisper.config.to_dict()})


def load_classifier(folder: str | Path) -> Classifier:
    """Read the folder that `save_classifier` wrote; the classifier is in evaluation mode.

    Raises:
        ValueError: the folder is no classifier, or its weights do not fit or are not finite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: no config.json, so no classifier is here; give the folder of train_classifier, or finish it"
        )
    values = read_json(folder / "config.json")
    if not isinstance(values, dict) or values.get("kind") != KIND or values.get("emotions") != [*EMOTIONS]:
        raise ValueError(f"{folder}: not a classifier of the seven emotions; give the folder of train_classifier")
    tensors = read_tensors(folder / WEIGHTS)
    try:
        model = Classifier(WhisperEncoder(WhisperConfig.from_dict(values["whisper"])), values["dim"])
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder}: damaged ({one_line(error, 300)}); train it again") from None
    if damaged := next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None):
        raise ValueError(f"{folder}: {damaged} holds NaN or Inf; train it again")
    return model.eval()
