"""Batches of waveforms, read in threads while the model is busy with those before."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

AHEAD = 2
"""Batches that each thread reads before they are asked for."""


@dataclass
class Read:
    """A batch as it was read.

    Attributes:
        waves: waveforms (samples,) by name, in the order asked for.
        flaws: why the others cannot be heard, by name.
    """

    waves: dict[str, np.ndarray] = field(default_factory=dict)
    flaws: dict[str, str] = field(default_factory=dict)


def read_ahead(batches: Iterable[Sequence[str]], load: Callable[[str], np.ndarray], readers: int = 1) -> Iterator[Read]:
    """Yield batches in order, each read while those before it are in use.

    Args:
        batches: names.
        load: returns the waveform of a name; its ValueError is a flaw of that name alone.
        readers: threads; a fast card wants several, and as many cores.
    """
    waiting: deque[Future[Read]] = deque()
    pool = ThreadPoolExecutor(readers, thread_name_prefix="read-ahead")
    try:
        for names in batches:
            waiting.append(pool.submit(_read, names, load))
            if len(waiting) > AHEAD * readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(names: Sequence[str], load: Callable[[str], np.ndarray]) -> Read:
    batch = Read()
    for name in names:
        try:
            batch.waves[name] = load(name)
        except ValueError as error:
            batch.flaws[name] = str(error).removeprefix(f"{name}: ")
    return batch
