"""What a baseline is asked, and the speech as a file where it takes no other."""

import io

import numpy as np
import soundfile

from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.config import BaselineConfig
from c2ser.cot.prompts import INSTRUCTIONS, PARAPHRASES


def instruction(config: BaselineConfig, wording: int = 0) -> str:
    """Return the instruction for an utterance.

    Args:
        config: the baseline.
        wording: 0 asks as `config` says, 1 to 10 as C²SER is asked in other words.

    Raises:
        ValueError: there is no such wording.
    """
    if wording:
        others = PARAPHRASES[config.style or "implicit"]
        if not 0 < wording <= len(others):
            raise ValueError(f"wording: {wording} is none; choose 0 to {len(others)}")
        return others[wording - 1]
    return INSTRUCTIONS[config.style] if config.style else config.prompt


def wav_bytes(wave: np.ndarray) -> bytes:
    """Return a mono waveform at 16 kHz, (samples,), as the bytes of a wav file of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(wave, -1, 1), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
