"""Audio: any readable file becomes mono float32 at 16 kHz, or an error that names the utterance."""

import functools
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

SAMPLE_RATE = 16000
"""Samples per second of every waveform in the toolkit."""

MAX_SECONDS = 3600
"""Longer files are refused: no utterance is that long, and a lying header could ask for all memory."""

HEAD = 512
"""Bytes of a wav file in which its data chunk is looked for first."""

Channel = int | Literal["mean", "centre"] | None


def load(path: str | Path, utterance: str, channel: Channel = None) -> np.ndarray:
    """Read an audio file (wav, flac, mp3, ogg/opus).

    Args:
        path: the file.
        utterance: its id, for messages.
        channel: which channel (from 0), "centre" or "mean"; None takes a mono file as it is and the mean of several.

    Returns:
        float32 waveform at 16 kHz, shape (samples,).

    Raises:
        ValueError: unreadable, empty, truncated, not finite, too long, or without that channel.
    """
    _check_riff(Path(path), utterance)
    try:
        with soundfile.SoundFile(path) as file:
            declared, rate = file.frames, file.samplerate
            if declared > MAX_SECONDS * rate:
                raise ValueError(f"{utterance}: longer than {MAX_SECONDS} s; cut it into utterances")
            wave = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{utterance}: cannot read {path} ({_reason(error)}); check or re-download it") from None
    if len(wave) == 0:
        raise ValueError(f"{utterance}: 0 samples in {path}; remove it or re-download")
    if len(wave) < declared:
        raise ValueError(f"{utterance}: truncated, {len(wave)} of {declared} samples; re-download {path}")
    if not np.isfinite(wave).all():
        raise ValueError(f"{utterance}: NaN or Inf in {path}; convert it again from its source")
    return resample(mono(wave, utterance, channel), rate)


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].rstrip(".")


def mono(wave: np.ndarray, utterance: str, channel: Channel) -> np.ndarray:
    """Return one channel (samples,) of a waveform (samples, channels); `channel` as in `load`.

    Raises:
        ValueError: there is no such channel; the message names the utterance.
    """
    channels = wave.shape[1]
    if channel == "centre":
        channel = centre_channel(channels)
    if isinstance(channel, int):
        if not 0 <= channel < channels:
            raise ValueError(f"{utterance}: no channel {channel}, the file has {channels}; choose 0 to {channels - 1}")
        return np.ascontiguousarray(wave[:, channel])
    return wave[:, 0].copy() if channels == 1 else wave.mean(axis=1)


def centre_channel(channels: int) -> int:
    """Return the channel of voices, from 0: the front centre of 5.1 sound, which comes third, else the first."""
    return 2 if channels >= 6 else 0


def _check_riff(path: Path, utterance: str) -> None:
    """Refuse a wav file that declares more data than it holds; libsndfile reads such files without an error."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(HEAD)
            # the chunk is nearly always near the front; long headers are read only where they are
            declared = _data_chunk(head) or (_data_chunk(head + file.read(65536)) if head[:4] == b"RIFF" else None)
    except OSError as error:
        raise ValueError(f"{utterance}: cannot read {path} ({error.strerror}); check the path in wav.scp") from None
    if size == 0:
        raise ValueError(f"{utterance}: {path} is empty; re-download it")
    # 0 and 2^32-1 are what streaming writers leave in the header when they cannot know the length
    if declared and declared[1] not in (0, 0xFFFFFFFF) and declared[0] + declared[1] > size:
        raise ValueError(
            f"{utterance}: truncated, {size - declared[0]} of {declared[1]} bytes of audio; re-download {path}"
        )


def _data_chunk(head: bytes) -> tuple[int, int] | None:
    """Return (offset, declared bytes) of the data chunk, or None where there is none to find."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position = 12
    while position + 8 <= len(head):
        name, length = struct.unpack("<4sI", head[position : position + 8])
        if name == b"data":
            return position + 8, length
        position += 8 + length + length % 2
    return None


def duration(path: str | Path, utterance: str) -> float:
    """Return the length of an audio file in seconds, from its header.

    Raises:
        ValueError: unreadable, empty or truncated.
    """
    return header(path, utterance)[0]


def header(path: str | Path, utterance: str) -> tuple[float, int]:
    """Return the length of an audio file in seconds and its number of channels, from its header.

    Raises:
        ValueError: unreadable, empty or truncated.
    """
    _check_riff(Path(path), utterance)
    try:
        information = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{utterance}: cannot read {path} ({_reason(error)}); check or re-download it") from None
    if information.frames == 0:
        raise ValueError(f"{utterance}: 0 samples in {path}; remove it or re-download")
    return information.frames / information.samplerate, information.channels


def resample(wave: np.ndarray, rate: int) -> np.ndarray:
    """Bring a waveform (samples,) from `rate` Hz to 16 kHz with torchaudio's windowed sinc."""
    if rate == SAMPLE_RATE:
        return wave.astype(np.float32, copy=False)
    import torch  # imported here: the text-only stages read tables of this package without torch

    return _resampler(rate)(torch.from_numpy(wave)).numpy()


@functools.lru_cache(maxsize=16)
def _resampler(rate: int):  # noqa: ANN202 - torchaudio is imported late
    import torchaudio

    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)


def check_sound(wave: np.ndarray, utterance: str) -> np.ndarray:
    """Return a waveform (samples,) that is not silent throughout.

    Raises:
        ValueError: all samples are the same; the message names the utterance.
    """
    if wave.min() == wave.max():
        raise ValueError(f"{utterance}: silence throughout; remove it")
    return wave


def trim_silence(wave: np.ndarray, threshold_db: float = 40.0, frame: int = 400, hop: int = 160) -> np.ndarray:
    """Cut leading and trailing silence.

    Args:
        wave: shape (samples,) at 16 kHz.
        threshold_db: frames more than this far (dB) below the loudest one are silent.
        frame: samples per frame.
        hop: samples between frames.

    Returns:
        the part from the first to the last frame that is not silent; the whole wave if all are silent.
    """
    if len(wave) < frame:
        return wave
    frames = np.lib.stride_tricks.sliding_window_view(wave, frame)[::hop]
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-threshold_db / 10))
    if len(loud) == 0:
        return wave
    return wave[loud[0] * hop : loud[-1] * hop + frame]


def pieces(wave: np.ndarray, longest: float = 30.0, shortest: float = 1.0) -> list[np.ndarray]:
    """Cut long speech where it is quietest.

    Args:
        wave: shape (samples,) at 16 kHz.
        longest: seconds of a piece, at most; a wave within that stays whole.
        shortest: seconds of a piece, at least; no more than half of `longest`.

    Returns:
        pieces which, joined, are the wave; each but the last lasts at least half of `longest`.
    """
    parts = []
    while len(wave) > int(longest * SAMPLE_RATE):
        place = _cut_place(wave, longest, shortest)
        parts.append(wave[:place])
        wave = wave[place:]
    return [*parts, wave]


def first_cut(wave: np.ndarray, longest: float = 30.0, shortest: float = 1.0) -> int:
    """Return where `pieces` ends its first piece, whatever follows the wave; 0 as long as that is not certain.

    Args:
        wave: the beginning of a waveform, (samples,) at 16 kHz.
        longest: as in `pieces`.
        shortest: as in `pieces`.
    """
    certain = len(wave) >= int(longest * SAMPLE_RATE) + int(shortest * SAMPLE_RATE)
    return _cut_place(wave, longest, shortest) if certain else 0


def _cut_place(wave: np.ndarray, longest: float, shortest: float) -> int:
    most, least = int(longest * SAMPLE_RATE), int(shortest * SAMPLE_RATE)
    return _quietest(wave, most // 2, min(most, len(wave) - least))


def _quietest(wave: np.ndarray, start: int, end: int, span: float = 0.3) -> int:
    """Return the middle of the quietest `span` seconds whose middle lies from `start` to `end` (samples)."""
    half = int(span * SAMPLE_RATE) // 2
    first = max(0, start - half)
    stretch = np.square(wave[first : end + half], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(stretch)])
    middles = np.arange(start, end + 1) - first
    power = sums[np.minimum(middles + half, len(stretch))] - sums[np.maximum(middles - half, 0)]
    return int(start + power.argmin())
