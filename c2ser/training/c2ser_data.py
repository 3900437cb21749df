"""What a training of C²SER learns from: its utterances, and the micro-batches that they become."""

from dataclasses import dataclass, field

from c2ser.data.config import SpecAugment
from c2ser.data.datasets import Item, LoadedItem
from c2ser.data.prefetch import LoadedBatch
from c2ser.model.perception import Features
from c2ser.training.config import BatchConfig, ValidConfig


@dataclass
class RawBatch:
    """The data of a micro-batch.

    Attributes:
        loaded: its utterances; None in place of an item whose features are cached.
        style_draw: uniform in [0, 1); decides between explicit and implicit in the implicit stage.
        vote_draws: uniform in [0, 1), one for each utterance; they decide between the answers that votes allow.
    """

    loaded: LoadedBatch[LoadedItem | None]
    style_draw: float
    vote_draws: list[float] = field(default_factory=list)


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        items: its utterances.
        features: their features.
        style_draw: as in `RawBatch`.
    """

    items: list[Item]
    features: Features
    style_draw: float

    @property
    def utterances(self) -> list[str]:
        """The utterances' ids, for messages."""
        return [item.utterance.id for item in self.items]


@dataclass
class Corpus:
    """The training and validation data.

    Attributes:
        train: training items by utterance.
        valid: validation items by utterance.
        batches: how they become batches.
        spec_augment: masks on the training spectrograms; None for none.
        validation: how the model is validated.
    """

    train: dict[str, Item]
    valid: dict[str, Item]
    batches: BatchConfig = field(default_factory=BatchConfig)
    spec_augment: SpecAugment | None = None
    validation: ValidConfig = field(default_factory=ValidConfig)
