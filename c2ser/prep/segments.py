"""Parts of audio files, written as files of their own: a data directory names whole files."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from c2ser import audio

TOLERANCE = 0.1
"""Seconds by which an end may lie behind the end of its file; tables round."""


def cut(
    path: Path, folder: Path, utterance: str, start: float, end: float | None, channel: audio.Channel = None
) -> Path:
    """Write a part of an audio file as a wav file, 16 kHz, 16 bit, mono, unless it is there; return its path.

    The name of the new file holds a hash of the file's path, size and time, so that a changed file is cut anew.

    Args:
        path: the audio file, of any length.
        folder: where the part goes.
        utterance: its id, which is the beginning of the new file's name.
        start: seconds.
        end: seconds; None for the end of the file.
        channel: as `audio.load`.

    Raises:
        ValueError: the file cannot be read, or the part does not lie in it.
    """
    seconds, _ = audio.header(path, utterance)
    stop = seconds if end is None else end
    if not 0 <= start < stop:
        raise ValueError(f"{utterance}: its part of the file is from {start:g} to {stop:g} s; correct start and end")
    if stop > seconds + TOLERANCE:
        raise ValueError(f"{utterance}: its end at {stop:g} s is after that of {path}, {seconds:.2f} s; correct it")
    wav = folder / f"{utterance}.{source_stamp(path, start, stop, channel)}.wav"
    if wav.exists():
        return wav
    try:
        with soundfile.SoundFile(path) as file:
            first = round(start * file.samplerate)
            file.seek(min(first, file.frames))
            wave = file.read(round(stop * file.samplerate) - first, dtype="float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{utterance}: cannot read {path} ({error}); check or re-download it") from None
    if len(wave) == 0 or not np.isfinite(wave).all():
        raise ValueError(f"{utterance}: no samples, or NaN or Inf, in its part of {path}; check or re-download it")
    write_wav(wav, audio.resample(audio.mono(wave, utterance, channel), rate))
    return wav


def write_wav(wav: Path, samples: np.ndarray) -> None:
    """Write samples (samples,) at 16 kHz as a 16 bit wav file; it appears when it is whole."""
    wav.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=wav.parent, prefix=".writing.", suffix=".wav")
    os.close(handle)
    try:
        soundfile.write(temporary, np.clip(samples, -1, 1), audio.SAMPLE_RATE, subtype="PCM_16")
        os.chmod(temporary, 0o644)
        os.replace(temporary, wav)
    except BaseException:
        os.unlink(temporary)
        raise


def source_stamp(path: Path, *settings: object) -> str:
    """Return a hash of a file's path, size and time, and of settings; a missing file counts as empty.

    The length of the hash is 12.
    """
    try:
        state = path.stat()
        seen = (state.st_size, state.st_mtime_ns)
    except OSError:
        seen = (0, 0)
    return hashlib.sha256(repr((str(path.absolute()), seen, settings)).encode("utf-8", "replace")).hexdigest()[:12]
