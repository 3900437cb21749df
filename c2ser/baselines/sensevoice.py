"""SenseVoice-Small's emotion, without FunASR: its encoder, and of its four first outputs the one that is the emotion.

The file is read as weights alone. Unlike in FunASR no noise is added to the waveform (dither), so that an answer is
always the same one.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad, relu
from torchaudio.compliance import kaldi

from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.answers import Answer
from c2ser.baselines.config import BaselineConfig
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN
from c2ser.log import one_line
from c2ser.model.hub import fetch

WEIGHTS, STATISTICS = "model.pt", "am.mvn"
"""The files of the published folder that are needed."""

TAGS = (
    ("HAPPY", "happiness"), ("SAD", "sadness"), ("ANGRY", "anger"), ("NEUTRAL", "neutral"), ("FEARFUL", "fear"),
    ("DISGUSTED", "disgust"), ("SURPRISED", "surprise"), ("other", ""), ("EMO_UNKNOWN", ""),
)  # fmt: skip
"""What the tokens of emotions say, and our name of each; the last one is what `ban_unknown` forbids."""

FIRST_TAG = 25001
"""The token of the first of them."""

LANGUAGES = {"zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
"""The embedding that announces each language; 0 lets it detect the language."""

EVENT, EMOTION, WITHOUT_ITN = 1, 2, 15
"""The other embeddings that are put before the speech."""

PLACE = 1
"""Which output is the emotion; the others are language, sound event and the form of numbers."""

KERNEL, STACKED, STEP, BINS = 11, 7, 6, 80
"""Width of the memory's convolution; frames of `BINS` mel bins in one vector, and by how many it moves on."""

HEAD_DIM = 128
"""Size of an attention head: 512 dimensions in four heads."""

Weights = Mapping[str, Tensor]


class SenseVoice:
    """SenseVoice-Small, of which the emotion is asked.

    Args:
        weights: by their published names.
        statistics: what is added to spectrogram vectors, and what they are then multiplied by, (2, 560).
        ban_unknown: whether an emotion has to be named.
    """

    transcribes = False
    labels = SEVEN

    def __init__(self, weights: Weights, statistics: Tensor, ban_unknown: bool) -> None:
        self.weights, self.statistics, self.ban_unknown = dict(weights), statistics, ban_unknown

    @classmethod
    def from_pretrained(cls, config: BaselineConfig) -> "SenseVoice":
        """Load the published folder, or the id of a repository of the hub that has its files.

        Raises:
            ValueError: a file is missing or damaged.
        """
        name = config.model or "FunAudioLLM/SenseVoiceSmall"
        names = (WEIGHTS, STATISTICS)
        folder = Path(name) if Path(name).is_dir() else fetch(name, names, names).parent
        for file in names:
            if not (folder / file).is_file():
                raise ValueError(f"{folder / file}: missing; put the files of SenseVoiceSmall there")
        return cls(_read_weights(folder / WEIGHTS), _read_statistics(folder / STATISTICS), config.ban_unknown)

    def to(self, device: torch.device | str) -> "SenseVoice":
        """Move the model to a device."""
        self.weights = {name: tensor.to(device) for name, tensor in self.weights.items()}
        self.statistics = self.statistics.to(device)
        return self

    @torch.no_grad()
    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer with the tag of the emotion, one by one; see `c2ser.baselines.answers.Answerer`.

        An utterance is one short pass, and its answer must not depend on the others'.
        """
        answers = {}
        for name, wave in waves.items():
            start = time.perf_counter()
            shares = self.shares(wave, languages.get(name))
            milliseconds = 1000 * (time.perf_counter() - start)
            tag, _ = TAGS[int(shares[: len(TAGS) - self.ban_unknown].argmax())]
            row = np.array([shares[[ours for _, ours in TAGS].index(emotion)] for emotion in EMOTIONS])
            answers[name] = Answer(f"<|{tag}|>", row / row.sum(), milliseconds, 1)
        return answers

    def shares(self, wave: np.ndarray, language: str | None) -> np.ndarray:
        """Return the probability of each of `TAGS`, (9,), among them, in float64.

        Args:
            wave: mono at 16 kHz, (samples,).
            language: ISO 639-1 code, or None where it is not known.
        """
        speech = self.features(wave)
        query = torch.tensor([LANGUAGES.get(language or "", 0), EVENT, EMOTION, WITHOUT_ITN], device=speech.device)
        states = self.encode(torch.cat([self.weights["embed.weight"][query], speech]))
        end = FIRST_TAG + len(TAGS)
        head, bias = (self.weights[f"ctc.ctc_lo.{part}"][FIRST_TAG:end] for part in ("weight", "bias"))
        return (head @ states[PLACE] + bias).double().softmax(dim=0).cpu().numpy()

    def features(self, wave: np.ndarray) -> Tensor:
        """Return the normalised spectrogram vectors of a waveform, (frames, 560), one each 60 ms."""
        samples = torch.from_numpy(wave).to(self.statistics.device)[None] * 2**15
        frames = kaldi.fbank(
            samples, num_mel_bins=BINS, frame_length=25, frame_shift=10, dither=0.0, energy_floor=0.0,
            window_type="hamming", sample_frequency=SAMPLE_RATE,
        )  # fmt: skip
        number = math.ceil(len(frames) / STEP)
        before = (STACKED - 1) // 2
        after = max(0, (number - 1) * STEP + STACKED - before - len(frames))
        frames = torch.cat([frames[:1].expand(before, -1), frames, frames[-1:].expand(after, -1)])
        stacked = frames.unfold(0, STACKED, STEP)[:number].transpose(1, 2).flatten(1)
        return (stacked + self.statistics[0]) * self.statistics[1]

    def encode(self, inputs: Tensor) -> Tensor:
        """Return the encoder's outputs, (frames, dim), of embeddings and spectrogram vectors, (frames, 560)."""
        dim = self.weights["encoder.after_norm.weight"].shape[0]
        x = inputs * dim**0.5 + _positions(*inputs.shape).to(inputs)
        for part, norm in (("encoders0", ""), ("encoders", "after_norm"), ("tp_encoders", "tp_norm")):
            for number in range(_count(self.weights, f"encoder.{part}.")):
                x = self._layer(x, f"encoder.{part}.{number}.")
            x = self._norm(x, f"encoder.{norm}") if norm else x
        return x

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _layer(self, x: Tensor, name: str) -> Tensor:
        attended = self._attend(self._norm(x, f"{name}norm1"), f"{name}self_attn.")
        x = attended + x if attended.shape == x.shape else attended  # the first layer changes the size
        inner = relu(self._linear(self._norm(x, f"{name}norm2"), f"{name}feed_forward.w_1"))
        return x + self._linear(inner, f"{name}feed_forward.w_2")

    def _attend(self, x: Tensor, name: str) -> Tensor:
        """Return attention over all frames plus the memory, a convolution of the values (SAN-M)."""
        query, key, value = self._linear(x, f"{name}linear_q_k_v").chunk(3, dim=-1)
        kernel = self.weights[f"{name}fsmn_block.weight"]
        sides = pad(value.T[None], ((KERNEL - 1) // 2, KERNEL // 2))
        memory = nn.functional.conv1d(sides, kernel, groups=len(kernel))[0].T + value
        heads = [part.unflatten(-1, (-1, HEAD_DIM)).transpose(0, 1) for part in (query, key, value)]
        scores = heads[0] @ heads[1].transpose(1, 2) / HEAD_DIM**0.5
        attended = (scores.softmax(dim=-1) @ heads[2]).transpose(0, 1).flatten(1)
        return self._linear(attended, f"{name}linear_out") + memory


def _positions(frames: int, dim: int) -> Tensor:
    """Return sines and cosines of the positions, counted from 1, (frames, dim)."""
    rates = torch.exp(torch.arange(dim / 2) * (-math.log(10000) / (dim / 2 - 1)))
    angles = torch.arange(1, frames + 1)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _count(weights: Weights, prefix: str) -> int:
    """Return how many numbered layers there are."""
    return len({name[len(prefix) :].split(".")[0] for name in weights if name.startswith(prefix)})


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read the published weights; nothing in the file is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        weights = {str(name): tensor.float() for name, tensor in content.items() if isinstance(tensor, Tensor)}
    except Exception as error:  # a broken file makes torch raise nearly anything
        # torch's own message would advise to run what is in it
        reason = "foreign objects in it" if type(error).__name__ == "UnpicklingError" else one_line(error)
        raise ValueError(f"{path}: no weights that can be read ({reason}); download it again") from None
    shapes = {"embed.weight": (16, STACKED * BINS), "encoder.tp_norm.weight": (4 * HEAD_DIM,)}
    for name, shape in shapes.items():
        if name not in weights or tuple(weights[name].shape) != shape:
            raise ValueError(
                f"{path}: {name} is missing or of another shape, so this is not SenseVoice-Small; give that"
            )
    if "ctc.ctc_lo.weight" not in weights or len(weights["ctc.ctc_lo.weight"]) < FIRST_TAG + len(TAGS):
        raise ValueError(f"{path}: its outputs do not reach the tokens of emotions; download it again")
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} holds NaN or Inf; download it again")
    return weights


def _read_statistics(path: Path) -> Tensor:
    """Read what is added and what multiplies, (2, 560), from Kaldi's text of a network of two layers."""
    rows: list[list[float]] = []
    try:
        for line in path.read_text("utf-8").splitlines():
            words = line.replace("[", " [ ").replace("]", " ] ").split()
            if words[:1] == ["<LearnRateCoef>"] and "[" in words:
                rows.append([float(word) for word in words[words.index("[") + 1 : -1]])
        statistics = torch.tensor(rows)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not Kaldi's statistics ({one_line(error)}); download it again") from None
    if statistics.shape != (2, STACKED * BINS) or not statistics.isfinite().all():
        raise ValueError(f"{path}: not two rows of {STACKED * BINS} numbers; download it again")
    return statistics
