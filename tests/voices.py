"""A buzzing voice for tests that need speech: enough like one for silero-vad, and there in every clone."""

import io

import numpy as np
import soundfile
from scipy.signal import lfilter

RATE = 16000


def voice(seconds: float, pitch: float = 110.0) -> np.ndarray:
    """Return a vowel in syllables, (samples,) float32 at 16 kHz; `pitch` in Hz, 90 to 150."""
    times = np.arange(round(RATE * seconds)) / RATE
    pulses = np.diff(np.floor(np.cumsum(pitch * (1 + 0.08 * np.sin(2 * np.pi * 1.3 * times))) / RATE), prepend=0)
    for formant, width in ((700, 80), (1200, 90), (2600, 120)):
        radius = np.exp(-np.pi * width / RATE)
        pulses = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], pulses)
    syllables = pulses * (0.55 + 0.45 * np.sin(2 * np.pi * 3.5 * times))
    return (0.3 * syllables / np.abs(syllables).max()).astype(np.float32)


def wav(wave: np.ndarray) -> bytes:
    """Return a waveform as the content of a wav file."""
    content = io.BytesIO()
    soundfile.write(content, wave, RATE, "PCM_16", format="WAV")
    return content.getvalue()
