"""The forms in which a program gives a recording."""

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeGuard

import numpy as np
import torch

from c2ser import audio

Source = str | Path | bytes | IO[bytes] | np.ndarray | torch.Tensor | Mapping[str, Any]
"""A file, its content, an open file, samples, or samples with their rate as pipelines of transformers take them."""

MOST_CHANNELS = 8
"""The shorter side of an array with two has the channels; there are no more than this."""

LOUDEST = 100.0
"""Floating-point samples beyond it are integers that somebody has converted without dividing them."""

BLOCK = 1 << 18
"""Samples of an array that are taken at once."""

FULL = {"int16": 2**15, "int32": 2**31}
"""What is 1 as a floating-point number."""


def is_source(value: object) -> TypeGuard[Source]:
    """Return whether a value is one recording, and no list of them."""
    return isinstance(value, str | Path | bytes | np.ndarray | torch.Tensor | Mapping) or hasattr(value, "read")


def source_name(source: Source) -> str:
    """Return the name of a recording for messages."""
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "recording"


def blocks(source: Source, rate: int | None, name: str) -> Iterator[np.ndarray]:
    """Yield a recording in blocks, float32 at 16 kHz, (samples, channels).

    Args:
        source: the recording.
        rate: samples per second of an array that comes without it.
        name: for messages.

    Raises:
        ValueError: it is unreadable, empty, truncated or not finite, none of the forms, or without its rate.
    """
    if isinstance(source, Mapping):
        source, rate = _from_pipeline(source, name)
    if isinstance(source, np.ndarray | torch.Tensor):
        yield from _resampled(samples(source, name), rate, name)
    elif isinstance(source, str | Path):
        yield from audio.stream(source, name)
    elif isinstance(source, bytes):
        yield from audio.stream(io.BytesIO(source), name)
    elif not isinstance(source, Mapping) and hasattr(source, "read"):
        with _copied(source, name) as file:
            yield from audio.stream(file, name)
    else:
        raise ValueError(f"{name}: {type(source).__name__} is no recording; give a path, bytes, an open file, an "
                         "array with its rate, or a dictionary with array and sampling_rate")  # fmt: skip


def _from_pipeline(source: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    key = "array" if "array" in source else "raw"
    if key not in source or "sampling_rate" not in source:
        raise ValueError(f"{name}: a dictionary with {', '.join(map(str, source)) or 'nothing'}; give array (or raw) "
                         "and sampling_rate")  # fmt: skip
    array = source[key]
    return array if isinstance(array, torch.Tensor) else np.asarray(array), source["sampling_rate"]


def samples(array: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    """Return an array as float32 (samples, channels), the largest possible value being 1.

    Args:
        array: floating-point numbers from -1 to 1, or integers of 16 or 32 bits; (samples,), or with channels, which
            are the shorter side.
        name: for messages.

    Raises:
        ValueError: it is none of these, or holds NaN or infinite values.
    """
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    wave = array[:, None] if array.ndim == 1 else array
    if wave.ndim != 2 or min(wave.shape) > MOST_CHANNELS:
        raise ValueError(f"{name}: an array of shape {array.shape} is no recording; give (samples,) or (channels, "
                         "samples)")  # fmt: skip
    wave = wave.T if array.ndim == 2 and wave.shape[0] < wave.shape[1] else wave
    kind = wave.dtype.name
    if kind not in FULL and not np.issubdtype(wave.dtype, np.floating):
        raise ValueError(f"{name}: samples of type {kind}; give int16, int32, or floating-point numbers from -1 to 1")
    wave = (wave / FULL.get(kind, 1)).astype(np.float32)
    if not np.isfinite(wave).all():
        raise ValueError(f"{name}: NaN or Inf in its samples; make them again from their source")
    if len(wave) and np.abs(wave).max() > LOUDEST:
        raise ValueError(f"{name}: samples up to {np.abs(wave).max():.0f}; divide integers by their largest value")
    return wave


def _resampled(wave: np.ndarray, rate: Any, name: str) -> Iterator[np.ndarray]:
    if rate is None:
        raise ValueError(f"{name}: its rate is unknown; give rate=, the samples per second")
    if not isinstance(rate, int | float | np.integer) or int(rate) != rate or not 1000 <= rate <= 1_000_000:
        raise ValueError(f"{name}: a rate of {rate!r}; give the samples per second, such as 16000")
    resampling = audio.Resampling(int(rate), wave.shape[1])
    for start in range(0, len(wave), BLOCK):
        yield resampling.push(wave[start : start + BLOCK])
    yield resampling.push(wave[:0], last=True)


def _copied(source: IO[bytes], name: str) -> IO[bytes]:
    """Return what is left of an open file as a temporary one, which can be sought even if the file is a stream."""
    copy = tempfile.TemporaryFile()
    try:
        shutil.copyfileobj(source, copy)
    except (TypeError, UnicodeDecodeError):
        copy.close()
        raise ValueError(f"{name}: opened as text; open it with mode rb") from None
    copy.seek(0)
    return copy
