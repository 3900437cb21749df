"""Mean pitch with PENN (Morrison et al. 2023), as section III.C has it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np

from c2ser.audio import SAMPLE_RATE

WINDOW = 2048
"""Samples at 16 kHz that PENN sees at once (1,024 at its 8 kHz)."""

BUNDLED = Path(__file__).resolve().parents[2] / "tools" / "penn" / "fcnf0++.pt"
"""Where `make tools` puts PENN's checkpoint."""


@dataclass(frozen=True)
class PitchConfig:
    """How pitch is tracked.

    Attributes:
        hop: seconds between frames; the cost is proportional to 1 / hop.
        fmin: lowest pitch, Hz.
        fmax: highest pitch, Hz.
        voiced: frames with at least this periodicity are voiced (PENN's own choice for its entropy measure).
        decoder: viterbi follows a path over the utterance; argmax looks at each frame alone, in half the time.
        batch: frames per batch.
        device: index of a graphics card, or null for the CPU.
    """

    hop: float = 0.01
    fmin: float = 50.0
    fmax: float = 800.0
    voiced: float = 0.065
    decoder: Literal["viterbi", "argmax"] = "viterbi"
    batch: int = 512
    device: int | None = None


def mean_pitch(wave: np.ndarray, utterance: str, config: PitchConfig) -> float:
    """Return the mean pitch of the voiced frames in Hz.

    Args:
        wave: shape (samples,) at 16 kHz.
        utterance: its id, for messages.
        config: how to track.

    Raises:
        ValueError: shorter than one window, or without a voiced frame.
    """
    import torch

    if len(wave) < WINDOW:
        seconds = WINDOW / SAMPLE_RATE
        raise ValueError(f"{utterance}: {len(wave)} samples of sound, pitch needs {seconds:.3f} s; leave it out")
    pitch, periodicity = _penn().from_audio(
        torch.from_numpy(np.ascontiguousarray(wave))[None],
        SAMPLE_RATE,
        hopsize=config.hop,
        fmin=config.fmin,
        fmax=config.fmax,
        checkpoint=_checkpoint(),
        batch_size=config.batch,
        decoder=config.decoder,
        gpu=config.device,
    )
    voiced = pitch[periodicity >= config.voiced]
    if voiced.numel() == 0:
        raise ValueError(f"{utterance}: no voiced frame; is there speech in it?")
    return float(voiced.double().mean())


def _penn() -> ModuleType:
    """Import PENN: it reads `--config` from the command line while it is imported, so that is hidden from it."""
    words, sys.argv = sys.argv, sys.argv[:1]
    try:
        import penn
    finally:
        sys.argv = words
    return penn


def _checkpoint() -> Path | None:
    """Return PENN's checkpoint: $C2SER_PENN_CHECKPOINT, else that of `make tools`, else None (PENN asks its hub)."""
    named = os.environ.get("C2SER_PENN_CHECKPOINT")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"{named}: no such file; correct C2SER_PENN_CHECKPOINT or unset it")
        return Path(named)
    return BUNDLED if BUNDLED.is_file() else None
