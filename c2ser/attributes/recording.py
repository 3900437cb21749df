"""What recording equipment adds to speech: an offset, the hum of the mains, clipping. Taken away or flagged."""

import numpy as np

from c2ser.audio import SAMPLE_RATE

MAINS = (50.0, 60.0)
"""Frequencies (Hz) of the mains in the world."""

DRIFT = np.arange(-0.5, 0.55, 0.1)
"""By how much (Hz) a recording's hum may be off: grids and tape machines drift."""

HARMONICS = 8
"""Harmonics of the hum that are taken away; a rectifier's hum is strong in the second."""

HUM_DB = -28.0
"""Hum counts from this level on (dB below all sound), where it begins to move the mean pitch; speech has next to
nothing at 50 or 60 Hz."""

SHORTEST = 0.5
"""Seconds of sound in which 50 and 60 Hz can be told from each other, and from what lies beside them."""

PROMINENCE = 10.0
"""Hum is a line: so many times as strong (power) as what lies 5 Hz beside it."""

OFFSET_DB = -30.0
"""An offset is taken away from this level on (dB below the sound); below it, it moves no attribute."""

NEAR_PEAK, CLIPPED_SHARE = 0.98, 0.003
"""Speech spends a thousandth of its time within 2 % of its peak at most, unless it was cut off there."""


def clean(wave: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Take away the offset (DC) and the hum of a recording, and say what else is wrong with it.

    Args:
        wave: shape (samples,) at 16 kHz.

    Returns:
        the wave, float32, and the flags of what may still move its attributes: `hum`, `clipped`. A wave without offset
        and hum is returned as it is.
    """
    offset, power = float(wave.mean(dtype=np.float64)), float(np.var(wave, dtype=np.float64))
    cleaned = wave - np.float32(offset) if offset**2 > power * 10 ** (OFFSET_DB / 10) else wave
    names = ["clipped"] if is_clipped(cleaned) else []
    frequency = hum_frequency(cleaned)
    return (cleaned, names) if frequency is None else (without_hum(cleaned, frequency), ["hum", *names])


def is_clipped(wave: np.ndarray) -> bool:
    """Return whether a wave (samples,) without offset was cut off at its peaks."""
    low, high = wave.min(), wave.max()
    if not low < 0 < high:
        return False
    share = np.mean((wave > NEAR_PEAK * high) | (wave < NEAR_PEAK * low))
    return bool(share > CLIPPED_SHARE)


def hum_frequency(wave: np.ndarray) -> float | None:
    """Return the frequency (Hz) of the mains hum in a wave (samples,) at 16 kHz, or None where none is heard."""
    if len(wave) < SHORTEST * SAMPLE_RATE:
        return None
    power = float(np.var(wave, dtype=np.float64))
    lines = [mains + drift for mains in MAINS for drift in DRIFT]
    strengths = line_power(wave, np.array(lines))
    best = int(strengths.argmax())
    beside = line_power(wave, lines[best] + np.array([-5.0, 5.0])).max()
    heard = strengths[best] > power * 10 ** (HUM_DB / 10) and strengths[best] > PROMINENCE * beside
    return float(lines[best]) if heard else None


def line_power(wave: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return the power of steady sines of these frequencies (Hz) in a wave (samples,), shape (frequencies,)."""
    window = np.hanning(len(wave))
    time = np.arange(len(wave)) / SAMPLE_RATE
    sums = [np.dot(wave * window, np.exp(-2j * np.pi * frequency * time)) for frequency in frequencies]
    return 2 * np.square(np.abs(sums) / window.sum())


def without_hum(wave: np.ndarray, frequency: float) -> np.ndarray:
    """Return a wave (samples,) without the steady sines at a frequency (Hz) and its harmonics, by least squares.

    A voice that passes through one of these frequencies is not steady, and keeps nearly all of what it has there.
    """
    time = np.arange(len(wave)) / SAMPLE_RATE
    angles = 2 * np.pi * frequency * time[:, None] * np.arange(1, HARMONICS + 1)
    sines = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)  # (samples, 2 * harmonics)
    weights = np.linalg.solve(sines.T @ sines, sines.T @ wave.astype(np.float64))
    return (wave - sines @ weights).astype(np.float32)
