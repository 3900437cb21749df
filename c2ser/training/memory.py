"""What is said when the memory of the GPU runs out: which batch it was, and what to set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

SHOWN = 40
"""How many utterances of a batch a message names."""

MADE = "while its batch was made"


def named(utterances: Sequence[str], otherwise: str = MADE) -> str:
    """Return a batch's utterances for a message; `otherwise` where there are none yet."""
    shown = ", ".join(utterances[:SHOWN]) + (", …" if len(utterances) > SHOWN else "")
    return f"a batch of {len(utterances)} utterances: {shown}" if utterances else otherwise


@contextmanager
def enough_memory(where: str, utterances: Sequence[str], remedy: str, otherwise: str = MADE) -> Iterator[None]:
    """Turn a lack of memory into one line.

    Args:
        where: what was done.
        utterances: those of the batch; they may be added while it is made.
        remedy: what to set.
        otherwise: said instead of the utterances where there are none.

    Raises:
        ValueError: the GPU has too little memory.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        batch = named(utterances, otherwise)
        raise ValueError(
            f"{where}: the GPU has too little memory ({batch}); {remedy}; the checkpoints are whole"
        ) from None
