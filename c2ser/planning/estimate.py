"""How long what was counted takes on a card: by operations, by bytes, and by the launches of its kernels."""

from collections.abc import Mapping
from dataclasses import dataclass

from c2ser.planning.config import Card
from c2ser.planning.counting import Kernel
from c2ser.planning.update import UPDATE, Counted

COMPUTES, MOVES = 0.6, 0.76
"""Shares of the data sheet's operations and bytes per second that large kernels reach."""

LAUNCH = 15e-6
"""Seconds of the host for each kernel that Python starts; 12 to 25 µs are usual."""


@dataclass
class StepTime:
    """The time of one step of one card, in seconds.

    Attributes:
        card: what the card computes for.
        host: what the host needs to start the kernels; the longer of the two is the step's.
        by_kind: the card's time by kind of kernel.
        by_phase: the card's time by phase.
        kernels: kernels of a step.
        reads: how often the host waits for the card in a step, at most.
        operations: floating-point operations of products.
        moved: bytes read and written.
    """

    card: float
    host: float
    by_kind: dict[str, float]
    by_phase: dict[str, float]
    kernels: int
    reads: int
    operations: float
    moved: float

    @property
    def seconds(self) -> float:
        """The time of the step."""
        return max(self.card, self.host)


def step_time(counted: Counted, card: Card, accumulate: int, skipped: tuple[str, ...] = ()) -> StepTime:
    """Estimate the time of a step.

    Args:
        counted: one micro-batch and one update.
        card: the card.
        accumulate: micro-batches of a step.
        skipped: phases that cost nothing, as their results are kept.
    """
    time = StepTime(0.0, 0.0, {}, {}, 0, 0, 0.0, 0.0)
    for phase, kernels in counted.kernels.items():
        if phase in skipped:
            continue
        times = 1 if phase == UPDATE else accumulate
        time.reads += times * counted.reads.get(phase, 0)
        for kernel, number in kernels.items():
            seconds = times * number * roofline(kernel, card)
            time.card += seconds
            time.by_kind[kernel.kind] = time.by_kind.get(kernel.kind, 0.0) + seconds
            time.by_phase[phase] = time.by_phase.get(phase, 0.0) + seconds
            time.kernels += times * number
            time.operations += times * number * kernel.operations
            time.moved += times * number * kernel.moved
    time.host = time.kernels * LAUNCH
    return time


def roofline(kernel: Kernel, card: Card) -> float:
    """Return the seconds of a kernel: those of its operations, or of its bytes if they are more."""
    speed = card.float32 if kernel.float32 else card.tflops
    return max(kernel.operations / (COMPUTES * speed * 1e12), kernel.moved / (MOVES * card.bandwidth * 1e9))


def operations(kernels: Mapping[Kernel, int]) -> int:
    """Return the operations of all products."""
    return sum(kernel.operations * number for kernel, number in kernels.items())
