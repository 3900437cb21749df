"""Settings of plans, and the data sheets of cards; importing them loads no model library."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet.

    Attributes:
        name: what it is called.
        memory: GiB.
        tflops: 10^12 operations per second in bfloat16, without sparsity.
        float32: the same in float32, without TF32.
        bandwidth: 10^9 bytes per second of its memory.
    """

    name: str
    memory: float
    tflops: float
    float32: float
    bandwidth: float


CARDS = {
    card.name: card
    for card in (
        Card("h200", 140.4, 989, 67, 4800),
        Card("h100", 79.6, 989, 67, 3350),
        Card("a100", 79.2, 312, 19.5, 2039),
        Card("a100-40gb", 39.4, 312, 19.5, 1555),
        Card("l40s", 45.0, 362, 91.6, 864),
        Card("a6000", 48.0, 155, 38.7, 768),
        Card("5090", 31.8, 210, 105, 1792),
        Card("4090", 24.0, 165, 82.6, 1008),
        Card("3090", 24.0, 71, 35.6, 936),
        Card("l4", 22.5, 121, 30.3, 300),
    )
}
"""Cards that compute in bfloat16, from large to small."""


@dataclass
class CardOptions:
    """The card that is planned for.

    Attributes:
        gpu: its name: h200, h100, a100, a100-40gb, l40s, a6000, 5090, 4090, 3090 or l4.
        memory: its memory in GiB, in place of the data sheet's.
        tflops: its 10^12 operations per second in bfloat16, in place of the data sheet's.
        bandwidth: the 10^9 bytes per second of its memory, in place of the data sheet's.
    """

    gpu: str = "h100"
    memory: float | None = None
    tflops: float | None = None
    bandwidth: float | None = None

    def card(self) -> Card:
        """Return the card.

        Raises:
            ValueError: there is none of this name, or a number is not above 0.
        """
        name = self.gpu.lower()
        if name not in CARDS:
            raise ValueError(f"{self.gpu}: no data sheet here; choose from {', '.join(CARDS)}, and give its numbers")
        numbers: dict[str, Any] = {"memory": self.memory, "tflops": self.tflops, "bandwidth": self.bandwidth}
        changes = {key: value for key, value in numbers.items() if value is not None}
        if low := [key for key, value in changes.items() if not value > 0]:
            raise ValueError(f"{low[0]} {changes[low[0]]}: too low; give a number above 0")
        return replace(CARDS[name], **changes)
