"""Settings of the attributes; this module imports nothing that takes time."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PitchConfig:
    """How pitch is tracked.

    Attributes:
        hop: seconds between frames; the cost is proportional to 1 / hop.
        fmin: lowest pitch, Hz.
        fmax: highest pitch, Hz.
        voiced: frames with at least this periodicity are voiced (PENN's own choice for its entropy measure).
        decoder: viterbi finds the best path through the utterance; argmax decides each frame alone.
        batch: frames in one batch of the network, of one or several utterances; some thousands on a GPU.
        batch_seconds: seconds of audio that are tracked together; it does not change the result. Give 1,000 or more on
            a GPU.
        device: index of a GPU, or null for the CPU.
    """

    hop: float = 0.01
    fmin: float = 30.0
    fmax: float = 1000.0
    voiced: float = 0.065
    decoder: Literal["viterbi", "argmax"] = "viterbi"
    batch: int = 32
    batch_seconds: float = 30.0
    device: int | None = None
