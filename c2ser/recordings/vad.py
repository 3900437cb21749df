"""Where somebody speaks: the voice detector of silero-vad, read from its wheel and computed in large blocks."""

import functools
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from c2ser.tensors import read_tensors

FRAME = 512
"""Samples between two probabilities, 32 ms."""

CONTEXT = 64
"""Samples before a frame that the network sees with it."""

REFLECTED = 64
"""Samples at the end of a frame that are mirrored behind it."""

BINS = 129
"""Real parts of the spectrum; as many imaginary ones follow them."""

ON, OFF = 0.5, 0.2
"""Speech begins at the first probability, and ends where it stays below the second for a `PAUSE`."""

PAUSE, SHORTEST = 16, 4
"""In frames: a shorter pause belongs to the speech around it, and a shorter sound is none."""

MARGIN = 2
"""Frames that are added before speech; its end is found late enough."""


class VoiceNetwork(nn.Module):
    """The network of silero-vad for 16 kHz, version 6; the names of its parts are those of the file of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, 256, 128, bias=False)
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, frames: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the probability of speech in each frame, and the state for the frames that follow.

        Args:
            frames: consecutive ones, (frames, CONTEXT + FRAME).
            state: after the frames before; None at the start.
        """
        padded = nn.functional.pad(frames.unsqueeze(1), (0, REFLECTED), "reflect")
        spectrum = self.stft_conv(padded)
        values = (spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            values = conv(values).relu()
        states, state = self.lstm_cell(values.squeeze(2), state)  # one sequence: (frames, 128)
        return self.final_conv(states.relu().unsqueeze(2)).sigmoid().flatten(), state


@functools.cache
def network() -> VoiceNetwork:
    """Return the network with its trained weights.

    Raises:
        ValueError: silero-vad is not installed, or its weights do not fit.
    """
    # The package itself is not imported: that would leave torch with a single thread.
    package = importlib.util.find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        raise ValueError("silero-vad is not installed; pip install silero-vad")
    path = Path(package.submodule_search_locations[0]) / "data" / "silero_vad_16k.safetensors"
    weights = {f"{name}_l0" if name.startswith("lstm") else name: value for name, value in read_tensors(path).items()}
    model = VoiceNetwork()
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise ValueError(f"{path}: the weights of another network; pip install 'silero-vad>=6.2,<7'") from None
    return model.eval()


class Detector:
    """Probabilities of speech in a waveform that comes in blocks; they do not depend on how it is divided."""

    def __init__(self) -> None:
        self.rest = np.zeros(CONTEXT, np.float32)
        self.state: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Return the probabilities of the frames that a block completes.

        Args:
            block: the next samples at 16 kHz, (samples,).
            last: whether the waveform ends with it; silence then completes the last frame.
        """
        wave = np.concatenate([self.rest, block])
        missing = -(len(wave) - CONTEXT) % FRAME if last else 0
        wave = np.pad(wave, (0, missing))
        count = (len(wave) - CONTEXT) // FRAME
        self.rest = wave[count * FRAME :]
        if not count:
            return np.zeros(0, np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(wave, CONTEXT + FRAME)[::FRAME][:count]
        found, self.state = network()(torch.from_numpy(frames.copy()), self.state)
        return found.numpy()


@dataclass(frozen=True)
class Region:
    """A stretch of speech, in frames; the end is the first frame after it."""

    start: int
    end: int


class Regions:
    """Stretches of speech, from probabilities that come in blocks."""

    def __init__(self) -> None:
        self.frame = 0
        self.start: int | None = None
        self.voiced = 0

    def push(self, probabilities: Iterable[float], last: bool = False) -> list[Region]:
        """Return the stretches that have ended.

        Args:
            probabilities: of the next frames.
            last: whether the recording ends with them.
        """
        ended = []
        for probability in probabilities:
            if self.start is None and probability >= ON:
                self.start = self.frame
            self.frame += 1
            if self.start is not None:
                if probability >= OFF:
                    self.voiced = self.frame
                elif self.frame - self.voiced >= PAUSE:
                    ended += self._end()
        return ended + (self._end() if last and self.start is not None else [])

    def _end(self) -> list[Region]:
        start, self.start = self.start or 0, None
        return [Region(start, self.voiced)] if self.voiced - start >= SHORTEST else []
