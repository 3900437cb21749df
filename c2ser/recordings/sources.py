"""The forms in which Python programs give a recording."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
import torch

from c2ser import audio

Source = str | Path | bytes | IO[bytes] | np.ndarray | torch.Tensor | Mapping[str, Any]
"""A file, its content, an open file, samples, or samples with their rate as pipelines of transformers take them."""


def source_name(source: Source) -> str:
    """Return the name of a recording for messages."""
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "recording"


def blocks(source: Source, rate: int | None, name: str) -> Iterator[np.ndarray]:
    """Yield a recording in blocks, (samples, channels), float32 at 16 kHz.

    Raises:
        ValueError: it is unreadable.
    """
    if isinstance(source, Mapping):
        rate, source = source["sampling_rate"], source["array" if "array" in source else "raw"]
    if isinstance(source, np.ndarray | torch.Tensor):
        wave = np.asarray(source)
        wave = wave / 32768 if wave.dtype == np.int16 else wave
        wave, found = np.atleast_2d(wave).T.astype(np.float32), rate
    else:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            wave, found = soundfile.read(opened, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError):
            raise ValueError(f"{name}: cannot read it; check or re-download it") from None
    if found is None:
        raise ValueError(f"{name}: its rate is unknown; give rate=, the samples per second")
    yield np.stack([audio.resample(np.ascontiguousarray(channel), found) for channel in wave.T], axis=1)
