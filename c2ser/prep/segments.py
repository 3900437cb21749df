"""Parts of audio files, written as files of their own: a data directory names whole files."""

import hashlib
import io
import math
from pathlib import Path

import numpy as np
import soundfile

from c2ser import audio
from c2ser.audio_files import open_audio
from c2ser.tables import write_bytes

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
        ValueError: the file cannot be read, the part is over an hour long, or the part does not lie in it.
    """
    if not (0 <= start < math.inf if end is None else 0 <= start < end < math.inf):
        to = "its end" if end is None else f"{end:g} s"
        raise ValueError(f"{utterance}: its part of the file is from {start:g} to {to}; correct start and end")
    wav = folder / f"{utterance}.{source_stamp(path, start, end, channel)}.wav"
    if not wav.exists():
        wave, rate = _read_part(path, utterance, start, end)
        write_wav(wav, audio.resample(audio.mono(wave, utterance, channel), rate))
    return wav


def _read_part(path: Path, utterance: str, start: float, end: float | None) -> tuple[np.ndarray, int]:
    """Return the samples (samples, channels) of a part of a file, and their rate."""
    blocks, number = [], 0
    with open_audio(path, utterance, start) as file:
        longest = audio.MAX_SECONDS * file.rate
        wanted = longest + 1 if end is None else max(1, round(end * file.rate) - round(start * file.rate))
        for block in file.blocks:
            blocks.append(block[: wanted - number])
            number += len(blocks[-1])
            if number > longest:
                raise ValueError(f"{utterance}: longer than {audio.MAX_SECONDS} s; cut it into utterances")
            if number == wanted:
                break
    missing = 0.0 if end is None else (wanted - number) / file.rate
    if not number:
        raise ValueError(f"{utterance}: its start at {start:g} s is after the end of {path}; correct it")
    if missing > TOLERANCE:
        length = start + number / file.rate
        raise ValueError(f"{utterance}: its end at {end:g} s is after that of {path}, {length:.2f} s; correct it")
    return np.concatenate(blocks), file.rate


def write_wav(wav: Path, samples: np.ndarray) -> None:
    """Write samples (samples,) at 16 kHz as a 16 bit wav file; it appears when it is whole."""
    file = io.BytesIO()  # libsndfile would not say why it cannot write
    soundfile.write(file, np.clip(samples, -1, 1), audio.SAMPLE_RATE, format="WAV", subtype="PCM_16")
    write_bytes(wav, file.getvalue())


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
