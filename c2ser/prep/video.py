"""The sound of video clips, read with PyAV."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from c2ser import audio
from c2ser.prep.segments import write_wav

if TYPE_CHECKING:
    import av

VIDEO = frozenset({".mp4", ".avi", ".mkv", ".mov", ".flv", ".webm", ".m4a"})
"""Endings of files that libsndfile does not read."""


def extract(path: Path, wav: Path, utterance: str, channel: audio.Channel = None) -> Path:
    """Write the sound of a clip as a wav file, 16 kHz, 16 bit, mono, unless it is there and newer; return its path.

    Args:
        path: the clip.
        wav: the file to write.
        utterance: its id, for messages.
        channel: as `audio.load`.

    Raises:
        ValueError: PyAV is not installed, or the clip cannot be read or has no sound.
    """
    try:
        changed = path.stat().st_mtime
        if wav.exists() and wav.stat().st_mtime >= changed:
            return wav
        samples, rate = decode(path, utterance)
    except OSError as error:
        raise ValueError(f"{utterance}: cannot read {path} ({error.strerror or error}); re-download it") from None
    mono = audio.resample(audio.mono(samples, utterance, channel), rate)
    write_wav(wav, mono)
    return wav


def decode(path: Path, utterance: str) -> tuple[np.ndarray, int]:
    """Return the first sound track of a clip: float32 (samples, channels), and its sampling rate in Hz.

    Raises:
        ValueError: PyAV is not installed, or the clip is damaged or without sound.
    """
    try:
        import av  # in the extra [av]
    except ImportError:
        raise ValueError(f"{utterance}: {path.suffix} files need PyAV; pip install av") from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise ValueError(f"{utterance}: no sound in {path}; remove it or re-download")
            stream = container.streams.audio[0]
            rate, blocks = stream.rate, list(_blocks(container.decode(stream), av.AudioResampler(format="fltp")))
    except av.FFmpegError as error:
        raise ValueError(f"{utterance}: cannot read {path} ({error.strerror}); re-download it") from None
    samples = np.concatenate(blocks, axis=1).T if blocks else np.zeros((0, 1), np.float32)
    if len(samples) == 0:
        raise ValueError(f"{utterance}: 0 samples in {path}; remove it or re-download")
    return samples, rate


def _blocks(frames: Iterable["av.AudioFrame"], resampler: "av.AudioResampler") -> Iterator[np.ndarray]:
    """Yield (channels, samples) float32, whatever the samples' format was."""
    for frame in [*frames, None]:  # None: what the resampler still holds
        yield from (block.to_ndarray() for block in resampler.resample(frame))
