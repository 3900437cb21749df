"""The table of all cases, and the signals that they work on."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from benchmark.harness import Case, Count, Setting
from c2ser.data.sampler import rng

CASES: dict[str, Callable[[Setting], Case | Count]] = {}
"""The function that builds a case, by the name of the case; `case` fills this table."""

RATE = 16000

Built = TypeVar("Built", bound=Case | Count)


def case(build: Callable[[Setting], Built]) -> Callable[[Setting], Built]:
    """Register a function that builds a case under the name of the function."""
    CASES[build.__name__] = build
    return build


def durations(number: int, seed: int, longest: float = 20.0) -> np.ndarray:
    """Return seconds of utterances (number,): log-normal with a median of 5 s, between 0.6 s and `longest`."""
    return np.exp(rng(seed, 11).normal(np.log(5.0), 0.6, number)).clip(0.6, longest)


def signals(seconds: Iterable[float], seed: int) -> list[np.ndarray]:
    """Return a waveform (samples,) of gliding tones and noise for each of these durations."""
    generator = rng(seed, 12)
    return [_signal(int(RATE * length), generator) for length in seconds]


def _signal(samples: int, generator: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    pitch = generator.uniform(90, 260) * (1 + 0.2 * np.sin(2 * np.pi * generator.uniform(0.5, 3) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * generator.uniform(1, 5) * time)
    return (0.1 * voice * loudness + 0.01 * generator.normal(size=samples)).astype(np.float32)
