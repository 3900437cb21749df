"""What is needed next, read in threads while the model is busy with what came before."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from c2ser.log import get_logger

logger = get_logger(__name__)

AHEAD = 2
"""Batches that each thread reads before they are asked for."""

Item, Found = TypeVar("Item"), TypeVar("Found")


@dataclass
class Read(Generic[Found]):
    """A batch as it was read.

    Attributes:
        found: what was read, waveforms (samples,) for example, by name, in the order asked for.
        flaws: why the others are of no use, by name.
    """

    found: dict[str, Found] = field(default_factory=dict)
    flaws: dict[str, str] = field(default_factory=dict)


def read_ahead(
    batches: Iterable[Sequence[str]], load: Callable[[str], Found], readers: int = 1
) -> Iterator[Read[Found]]:
    """Yield batches in order, each read while those before it are in use.

    Args:
        batches: names.
        load: as in `read_batch`.
        readers: as in `ahead`.
    """
    return ahead(batches, lambda names: read_batch(names, load), readers)


def ahead(items: Iterable[Item], function: Callable[[Item], Found], readers: int = 1) -> Iterator[Found]:
    """Yield what a function gives for each item, in order, computed in threads while those before it are in use.

    An error comes where its item's turn comes. No thread outlives the generator.

    Args:
        items: what to go through; a few are taken before they are needed, in the thread that asks.
        function: several threads call it at once.
        readers: threads; a fast card wants several, and as many cores.

    Raises:
        ValueError: there is no thread.
    """
    if readers < 1:
        raise ValueError(f"readers: {readers} threads read nothing; give 1 or more")
    import torch  # takes its time, which only reading is worth
    import torchaudio  # noqa: F401 - resampling needs it; two threads that import parts of torch can trip each other up

    torch.get_num_threads()  # settles how many the caller has
    waiting: deque[Future[Found]] = deque()
    # A reader's own helpers would keep the model's from the cores, and slow both down by half (docs/decisions.md).
    pool = ThreadPoolExecutor(
        readers, thread_name_prefix="read-ahead", initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD * readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_batch(names: Iterable[str], load: Callable[[str], Found]) -> Read[Found]:
    """Read a batch.

    Args:
        names: what to read.
        load: reads what a name stands for; its ValueError or OSError is a flaw of that name alone. Any other error is
            raised, and says which name it came up with.
    """
    batch: Read[Found] = Read()
    for name in names:
        try:
            batch.found[name] = load(name)
        except (ValueError, OSError) as error:
            batch.flaws[name] = str(error).removeprefix(f"{name}: ")
        except Exception as error:
            error.add_note(f"while {name} was read")
            raise
    return batch


def read_some(
    batches: Iterable[Sequence[str]], load: Callable[[str], Found], known: Collection[str] = ()
) -> Read[Found]:
    """Read the first of some training batches of which anything is of use.

    Args:
        batches: names.
        load: as in `read_batch`.
        known: names that were read before and are of no use; they are not read again.

    Returns:
        what was found, and the flaws of all batches that were tried.

    Raises:
        ValueError: there is no such batch; the message gives one of the reasons.
    """
    flaws: dict[str, str] = {}
    for names in batches:
        batch = read_batch((name for name in names if name not in known), load)
        flaws |= batch.flaws
        if batch.found:
            return Read(batch.found, flaws)
    reason = next((f" ({name}: {flaw})" for name, flaw in flaws.items()), "")
    raise ValueError(f"no training utterance has readable audio{reason}; check the paths in wav.scp")


def leave_out(flaws: Mapping[str, str], known: set[str]) -> None:
    """Name utterances in the log that cannot be learnt from, with the reason; those that are known are not named again.

    Args:
        flaws: reason by utterance.
        known: what was named before; new ones are added.
    """
    for name, flaw in flaws.items():
        if name not in known:
            logger.warning("left out: %s: %s", name, flaw)
            known.add(name)
