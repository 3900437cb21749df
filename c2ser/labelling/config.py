"""Settings of automatic labels; this module imports nothing that takes time."""

from dataclasses import dataclass


@dataclass
class BatchConfig:
    """How utterances are grouped; it does not change their labels.

    Attributes:
        seconds: padded audio in one batch, at most.
        utterances: utterances in one batch, at most.
        num_workers: threads that read the audio of the next batches; a fast GPU needs several, and as many CPU cores.
    """

    seconds: float = 240.0
    utterances: int = 64
    num_workers: int = 4
