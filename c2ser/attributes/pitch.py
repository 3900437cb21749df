"""Mean pitch with PENN (Morrison et al. 2023), as section III.C has it."""

import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from c2ser.attributes.config import PitchConfig
from c2ser.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 2048
"""Samples at 16 kHz in one window of PENN (1,024 at its 8 kHz)."""

BUNDLED = Path(__file__).resolve().parents[2] / "tools" / "penn" / "fcnf0++.pt"
"""Where `make tools` puts PENN's checkpoint."""


@dataclass
class Track:
    """Pitch over an utterance.

    Attributes:
        pitch: Hz, float32 (frames,).
        periodicity: 0 to 1, float32 (frames,).
    """

    pitch: np.ndarray
    periodicity: np.ndarray

    def mean(self, voiced: float, utterance: str) -> float:
        """Return the mean pitch (Hz) of the frames whose periodicity is at least `voiced`.

        Raises:
            ValueError: there is none.
        """
        values = self.pitch[self.periodicity >= voiced]
        if len(values) == 0:
            raise ValueError(f"{utterance}: no voiced frame; check that it holds speech")
        return float(values.mean(dtype=np.float64))


class PitchTracker:
    """PENN with its checkpoint, for many utterances at once.

    The track of an utterance does not depend on the others: all batches of the network have the same size, and each row
    of a batch is computed in the same way.

    Args:
        config: how pitch is tracked.

    Attributes:
        penn: the package.
        checkpoint: the file with the weights.

    Raises:
        ValueError: the file is not a checkpoint of PENN.
    """

    def __init__(self, config: PitchConfig) -> None:
        import torch

        from c2ser.attributes import network, viterbi

        penn = self.penn = _penn()
        self.config = config
        self.device = "cpu" if config.device is None else f"cuda:{config.device}"
        path = self.checkpoint = _checkpoint()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)["model"]
            self.network = network.load_network(penn, weights, self.device)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{path}: not a checkpoint of PENN ({' '.join(str(error).split())[:120]}); fetch it again"
            ) from None
        octaves = penn.MAX_OCTAVES_PER_SECOND * penn.HOPSIZE / penn.SAMPLE_RATE
        width = octaves * penn.OCTAVE / penn.CENTS_PER_BIN + 1
        band, norm = viterbi.triangle(penn.PITCH_BINS, width)
        self.follow = functools.partial(viterbi.follow, band=band.to(self.device), norm=norm.to(self.device))

    def track(self, waves: Sequence[np.ndarray]) -> list[Track]:
        """Track utterances.

        Args:
            waves: each (samples,) at 16 kHz, at least a window long; see `check_length`.
        """
        import torch

        if not waves:
            return []
        with torch.inference_mode():
            frames = [self._frames(wave) for wave in waves]
            lengths = [len(windows) for windows in frames]
            joined = self._decode(self._logits(torch.cat(frames)), lengths).cpu()  # once: each copy waits for the GPU
        return [Track(*both.numpy()) for both in joined.split(lengths, dim=1)]

    def _frames(self, wave: np.ndarray) -> "Tensor":
        """Return windows at 8 kHz, (frames, 1, window)."""
        import torch

        audio = torch.from_numpy(np.ascontiguousarray(wave))[None]
        if self.device != "cpu":  # resampled on the GPU, and copied there while it computes
            audio = audio.pin_memory().to(self.device, non_blocking=True)
        (frames,) = self.penn.preprocess(audio, SAMPLE_RATE, self.config.hop)
        return frames

    def _logits(self, frames: "Tensor") -> "Tensor":
        """Return scores of pitches (frames, bins), minus infinity outside the range; fp16 on a GPU, as in PENN."""
        import torch

        size, convert = self.config.batch, self.penn.convert
        padded = torch.nn.functional.pad(frames, (0, 0, 0, 0, 0, -len(frames) % size))
        with torch.autocast(self.device.partition(":")[0], torch.float16, enabled=self.device != "cpu"):
            parts = [self.network(part)[:, :, 0] for part in padded.split(size)]
        logits = torch.cat(parts)[: len(frames)].float()
        lowest = int(convert.frequency_to_bins(torch.tensor(self.config.fmin)))
        highest = int(convert.frequency_to_bins(torch.tensor(self.config.fmax), torch.ceil))
        logits[:, :lowest] = logits[:, highest:] = -torch.inf
        return logits

    def _decode(self, logits: "Tensor", lengths: list[int]) -> "Tensor":
        """Return pitch and periodicity of all utterances, (2, frames)."""
        import torch

        if self.config.decoder == "argmax":
            bins = logits.argmax(dim=1)
        else:
            # as PENN's decoder: no frame makes a pitch impossible
            scores = (logits.softmax(dim=1) + torch.finfo(torch.float32).tiny).log()
            bins = torch.cat(self._paths(list(scores.split(lengths))))
        pitch = self.penn.decode.local_expected_value_from_bins(bins[:, None], logits[:, :, None])[:, 0]
        return torch.stack([pitch, self.penn.periodicity.entropy(logits)])

    def _paths(self, scores: "list[Tensor]") -> "list[Tensor]":
        """Return the path of each utterance: in parallel on a GPU, in turn (within the cache) on a CPU."""
        from torch.nn.utils.rnn import pack_sequence, unpack_sequence

        groups = [[rows] for rows in scores] if self.device == "cpu" else [scores]
        return [path for group in groups for path in unpack_sequence(self.follow(pack_sequence(group, False)))]


def check_length(wave: np.ndarray, utterance: str) -> None:
    """Refuse sound that is too short to have a pitch.

    Raises:
        ValueError: shorter than one window.
    """
    if len(wave) < WINDOW:
        seconds = WINDOW / SAMPLE_RATE
        raise ValueError(f"{utterance}: {len(wave)} samples of sound, pitch needs {seconds:.3f} s; remove it")


def _penn() -> ModuleType:
    """Import PENN. It would read `--config` from our command line, so the arguments are hidden during the import."""
    args, sys.argv = sys.argv, sys.argv[:1]
    try:
        import penn
    finally:
        sys.argv = args
    return penn


def _checkpoint() -> Path:
    """Return PENN's checkpoint: $C2SER_PENN_CHECKPOINT, else that of `make tools`, else the one on its hub."""
    path = os.environ.get("C2SER_PENN_CHECKPOINT")
    if path:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file; correct C2SER_PENN_CHECKPOINT or unset it")
        return Path(path)
    if BUNDLED.is_file():
        return BUNDLED
    import huggingface_hub

    return Path(huggingface_hub.hf_hub_download("maxrmorrison/fcnf0-plus-plus", "fcnf0++.pt"))
