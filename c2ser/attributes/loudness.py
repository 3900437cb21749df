"""Integrated loudness by ITU-R BS.1770 with pyloudnorm (section III.C)."""

import functools
from typing import TYPE_CHECKING

import numpy as np

from c2ser.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from pyloudnorm import Meter

BLOCK = 0.4
"""Seconds of a gating block of BS.1770; the standard defines no loudness for shorter sound."""


def loudness(wave: np.ndarray, utterance: str) -> float:
    """Return the loudness in LUFS.

    A wave shorter than a gating block is repeated until it fills one; this keeps its mean power and so its loudness.

    Args:
        wave: shape (samples,), float, at 16 kHz.
        utterance: its id, for messages.

    Raises:
        ValueError: no sample, one that is not finite, or every block is below the absolute gate (-70 LUFS).
    """
    if len(wave) == 0:
        raise ValueError(f"{utterance}: 0 samples; remove it")
    if not np.isfinite(wave).all():  # pyloudnorm would return a plausible number
        raise ValueError(f"{utterance}: NaN or Inf in it; convert it again from its source")
    block = int(BLOCK * SAMPLE_RATE)
    if len(wave) <= block:
        wave = np.tile(wave, block // len(wave) + 1)
    with np.errstate(divide="ignore"):
        value = float(_meter().integrated_loudness(wave.astype(np.float64)))
    if not np.isfinite(value):
        raise ValueError(f"{utterance}: silent (below -70 LUFS); remove it")
    return value


@functools.cache
def _meter() -> "Meter":
    import pyloudnorm  # slow to import, and not needed for BLOCK

    return pyloudnorm.Meter(SAMPLE_RATE, block_size=BLOCK)
