"""Copies of data directories with perturbed audio: noise, gain, speed, and what recording equipment does."""

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from c2ser.audio import SAMPLE_RATE, resample
from c2ser.corpus import read_data_dir, wave
from c2ser.data.subset import write_subset
from c2ser.log import get_logger, progress
from c2ser.tables import write_bytes

logger = get_logger(__name__)


@dataclass(frozen=True)
class Source:
    """What a change may depend on beside the waveform.

    Attributes:
        utterance: its id.
        other: the waveform (samples,) of another utterance.
    """

    utterance: str
    other: np.ndarray


def add_noise(wave: np.ndarray, source: Source, decibels: float) -> np.ndarray:
    """Add white noise.

    Args:
        wave: mono waveform, (samples,) float32.
        source: its utterance; the same one always gets the same noise.
        decibels: signal-to-noise ratio over the whole utterance.
    """
    seed = int.from_bytes(hashlib.sha256(source.utterance.encode()).digest()[:8], "big")
    noise = np.random.default_rng(seed).standard_normal(len(wave))
    power = np.mean(np.square(wave, dtype=np.float64))
    return (wave + noise * np.sqrt(power * 10 ** (-decibels / 10))).astype(np.float32)


def change_gain(wave: np.ndarray, source: Source, decibels: float) -> np.ndarray:
    """Change the level of a waveform (samples,) by this many decibels, without clipping."""
    return (wave * 10 ** (decibels / 20)).astype(np.float32)


def change_speed(wave: np.ndarray, source: Source, factor: float) -> np.ndarray:
    """Play a waveform (samples,) faster by a factor; the pitch rises with it, as with a tape."""
    return resample(wave, round(SAMPLE_RATE * factor))


def add_hum(wave: np.ndarray, source: Source, decibels: float) -> np.ndarray:
    """Add the hum of mains: 50 Hz, and its first two harmonics at half and a quarter of the amplitude.

    Args:
        wave: mono waveform, (samples,) float32.
        source: not used.
        decibels: ratio of the wave's power to that of the hum over the whole utterance.
    """
    phase = 2 * np.pi * 50 / SAMPLE_RATE * np.arange(len(wave))
    hum = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    power = np.mean(np.square(wave, dtype=np.float64)) / np.mean(np.square(hum))
    return (wave + hum * np.sqrt(power * 10 ** (-decibels / 10))).astype(np.float32)


def add_offset(wave: np.ndarray, source: Source, percent: float) -> np.ndarray:
    """Move a waveform (samples,) by this many percent of full scale, as a sound card without a capacitor does."""
    return (wave + percent / 100).astype(np.float32)


def clip(wave: np.ndarray, source: Source, percent: float) -> np.ndarray:
    """Cut off a waveform (samples,) where this many percent of its samples lie beyond."""
    limit = np.quantile(np.abs(wave), 1 - percent / 100)
    return np.clip(wave, -limit, limit)


def add_crosstalk(wave: np.ndarray, source: Source, decibels: float) -> np.ndarray:
    """Add another voice, as the other side of a call that comes through.

    Args:
        wave: mono waveform, (samples,) float32.
        source: whose voice; it begins anew where it is shorter.
        decibels: ratio of the wave's power to that of the other voice over the whole utterance.
    """
    other = np.resize(source.other, len(wave))
    power = np.mean(np.square(wave, dtype=np.float64)) / max(np.mean(np.square(other, dtype=np.float64)), 1e-12)
    return (wave + other * np.sqrt(power * 10 ** (-decibels / 10))).astype(np.float32)


KINDS: dict[str, tuple[Callable[[np.ndarray, Source, float], np.ndarray], float, float]] = {
    "noise": (add_noise, -20.0, 100.0),
    "gain": (change_gain, -60.0, 60.0),
    "speed": (change_speed, 0.5, 2.0),
    "hum": (add_hum, -20.0, 100.0),
    "crosstalk": (add_crosstalk, -20.0, 100.0),
    "offset": (add_offset, -100.0, 100.0),
    "clip": (clip, 0.0, 99.0),
}
"""The perturbations, each with its smallest and largest amount."""


def read_perturbation(name: str) -> Callable[[np.ndarray, Source], np.ndarray]:
    """Return the function that a name such as "noise20" (dB), "gain-6" (dB), "speed0.9" or "hum10" stands for.

    Raises:
        ValueError: no such perturbation, or its amount is out of range.
    """
    match = re.fullmatch(r"([a-z]+)(-?\d+(?:\.\d+)?)", name)
    if not match or match[1] not in KINDS:
        forms = "noise<dB>, gain<dB>, speed<factor>, hum<dB>, crosstalk<dB>, offset<percent> or clip<percent>"
        raise ValueError(f"{name}: no such perturbation; give {forms}, such as noise20")
    function, low, high = KINDS[match[1]]
    amount = float(match[2])
    if not low <= amount <= high:
        raise ValueError(f"{name}: out of range; give {match[1]}{low:g} to {match[1]}{high:g}")
    return lambda wave, source: function(wave, source, amount)


def perturb(data: Path, out: Path, name: str) -> None:
    """Write a perturbed copy of a data directory; its utterances keep their names.

    The other voice of crosstalk is that of the utterance before; the first one has its own, backwards.

    Utterances that cannot be read are rejected; the table `rejected` has the reasons.

    Args:
        data: data directory.
        out: where the copy goes, its audio into `out/wav`.
        name: the perturbation; see `read_perturbation`.

    Raises:
        ValueError: as `read_perturbation`, or no utterance can be read.
    """
    function, rejected = read_perturbation(name), {}
    wavs, seconds = {}, {}
    before: np.ndarray | None = None
    utterances = read_data_dir(data)
    for number, (i, utterance) in enumerate(progress(utterances.items(), "utterances", len(utterances))):
        try:
            original = wave(utterance)
            changed = function(original, Source(i, original[::-1] if before is None else before))
        except ValueError as error:
            rejected[i] = str(error).removeprefix(f"{i}: ")
            continue
        before = original
        path = (out / "wav" / f"{number:07}.wav").resolve()
        write_bytes(path, _wav(changed))
        wavs[i], seconds[i] = str(path), f"{len(changed) / SAMPLE_RATE:.3f}"
    changed_tables = {"wav.scp": wavs, "utt2dur": seconds}
    if (data / "utt2channel").exists():  # one channel is left; joined with the original, the table must be complete
        changed_tables["utt2channel"] = dict.fromkeys(wavs, "0")
    write_subset(data, out, wavs, changed_tables, rejected)
    logger.info("%s: %d utterances, %d rejected", out, len(wavs), len(rejected))


def _wav(samples: np.ndarray) -> bytes:
    """Return a wav file of floats, which can be louder than 1; soundfile's would hold the time of writing."""
    file = io.BytesIO()
    wavfile.write(file, SAMPLE_RATE, samples)
    return file.getvalue()
