"""One-line messages for a GPU that runs out of memory: the batch, and the setting to change."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

SHOWN = 40
"""At most this many utterances of a batch are describe_batch in a message."""

NO_BATCH = "while its batch was made"


def describe_batch(utterances: Sequence[str], otherwise: str = NO_BATCH) -> str:
    """Return a batch's utterances for a message, or `otherwise` if there are none yet."""
    shown = ", ".join(utterances[:SHOWN]) + (", …" if len(utterances) > SHOWN else "")
    return f"a batch of {len(utterances)} utterances: {shown}" if utterances else otherwise


@contextmanager
def explain_oom(where: str, utterances: Sequence[str], remedy: str, otherwise: str = NO_BATCH) -> Iterator[None]:
    """Turn an out-of-memory error of the GPU into one line.

    Args:
        where: what was running.
        utterances: those of the batch; they may be added later.
        remedy: the setting to change.
        otherwise: used if there are no utterances.

    Raises:
        ValueError: the GPU is out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        batch = describe_batch(utterances, otherwise)
        raise ValueError(
            f"{where}: the GPU has too little memory ({batch}); {remedy}; the checkpoints are whole"
        ) from None
