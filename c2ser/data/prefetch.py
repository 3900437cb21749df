"""Load the next batches in threads while the model works on the current one."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from c2ser.log import get_logger
from c2ser.machine import raise_if_of_machine

logger = get_logger(__name__)

PREFETCH = 2
"""Batches that each worker thread loads before they are asked for."""

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


@dataclass
class LoadedBatch(Generic[Loaded]):
    """A batch as it was loaded.

    Attributes:
        items: what was loaded, waveforms (samples,) for example, by name, in the order asked for.
        rejected: reason by name of the others.
    """

    items: dict[str, Loaded] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)


def prefetch_batches(
    batches: Iterable[Sequence[str]], load: Callable[[str], Loaded], num_workers: int = 1
) -> Generator[LoadedBatch[Loaded], None, None]:
    """Yield batches in order; each is loaded while those before it are in use.

    Args:
        batches: names.
        load: as in `load_batch`.
        num_workers: as in `prefetch`.
    """
    return prefetch(batches, lambda names: load_batch(names, load), num_workers)


def prefetch(
    items: Iterable[Item], function: Callable[[Item], Loaded], num_workers: int = 1
) -> Generator[Loaded, None, None]:
    """Yield the result of a function for each item, in order; threads compute it while earlier results are in use.

    An error is raised when its item's turn comes. No thread outlives the generator.

    Args:
        items: what to go through; a few are taken before they are needed, in the calling thread.
        function: several threads call it at once.
        num_workers: worker threads; a fast GPU needs several, and as many CPU cores.

    Raises:
        ValueError: the number of threads is below 1.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers: {num_workers} threads load nothing; give 1 or more")
    import torch  # slow to import, and only loading needs it
    import torchaudio  # noqa: F401 - for resampling; two threads that import parts of torch at once can fail

    torch.get_num_threads()  # fixes the number of threads of the caller
    waiting: deque[Future[Loaded]] = deque()
    # One thread for each worker: more would take the cores from the model and halve the speed (docs/decisions.md).
    pool = ThreadPoolExecutor(
        num_workers, thread_name_prefix="prefetch", initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > PREFETCH * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def load_batch(names: Iterable[str], load: Callable[[str], Loaded]) -> LoadedBatch[Loaded]:
    """Load a batch.

    Args:
        names: what to load.
        load: loads what a name stands for; if it raises ValueError or OSError, this name alone is rejected. Any other
            error is raised, with a note that gives the name.

    Raises:
        MachineError: the machine failed, which is no fault of the name.
    """
    batch: LoadedBatch[Loaded] = LoadedBatch()
    for name in names:
        try:
            batch.items[name] = load(name)
        except (ValueError, OSError) as error:
            raise_if_of_machine(error, name)
            batch.rejected[name] = str(error).removeprefix(f"{name}: ")
        except Exception as error:
            error.add_note(f"while {name} was read")
            raise
    return batch


def load_first_usable(
    batches: Iterable[Sequence[str]], load: Callable[[str], Loaded], skip: Collection[str] = ()
) -> LoadedBatch[Loaded]:
    """Load the first of some training batches in which at least one item is usable.

    Args:
        batches: names.
        load: as in `load_batch`.
        skip: names that were rejected before; they are not loaded again.

    Returns:
        the batch, with the rejected names of all batches that were tried.

    Raises:
        ValueError: there is no such batch; the message gives one of the reasons.
    """
    rejected: dict[str, str] = {}
    for names in batches:
        batch = load_batch((name for name in names if name not in skip), load)
        rejected |= batch.rejected
        if batch.items:
            return LoadedBatch(batch.items, rejected)
    example = next((f" ({name}: {reason})" for name, reason in rejected.items()), "")
    raise ValueError(f"no training utterance has readable audio{example}; mend that, or give other data with --train")


def log_rejected(rejected: Mapping[str, str], logged: set[str]) -> None:
    """Log rejected utterances with the reason, each once.

    Args:
        rejected: reason by utterance.
        logged: utterances that were logged before; new ones are added.
    """
    for name, reason in rejected.items():
        if name not in logged:
            logger.warning("rejected: %s: %s", name, reason)
            logged.add(name)
