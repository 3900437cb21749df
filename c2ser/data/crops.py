"""Batches of waveforms of equal length: every utterance is cut to the shortest of its batch, without padding."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from c2ser.audio import SAMPLE_RATE, check_sound
from c2ser.corpus import Utterance, wave
from c2ser.data.config import CropConfig
from c2ser.data.prefetch import LoadedBatch, load_first_usable
from c2ser.data.sampler import Batches, rng


@dataclass
class Crops:
    """A batch.

    Attributes:
        utterances: ids.
        waves: float32, (batch, samples).
        emotions: emotion of each, or None.
        generator: random numbers that belong to this batch.
        rejected: reason by name of the utterances of this batch that are missing.
    """

    utterances: list[str]
    waves: np.ndarray
    emotions: list[str | None]
    generator: np.random.Generator
    rejected: dict[str, str] = field(default_factory=dict)


class CropBatches:
    """An endless stream of batches; the index-th depends on the seed and the index alone.

    Args:
        utterances: the training utterances.
        seconds: duration of each.
        config: sizes.
        seed: decides order and cuts.
        shortest: fewest samples that can be used; shorter utterances are rejected.

    Attributes:
        rejected: utterances that were rejected before; they are not loaded again.
    """

    def __init__(
        self,
        utterances: Mapping[str, Utterance],
        seconds: Mapping[str, float],
        config: CropConfig,
        seed: int,
        shortest: int,
    ) -> None:
        self.utterances, self.config, self.seed, self.shortest = utterances, config, seed, shortest
        lengths = {name: min(config.crop_seconds, seconds[name]) for name in utterances}
        classes = {name: u.emotion for name, u in utterances.items()} if config.pair else None
        self.order = Batches(lengths, config.seconds, config.utterances, seed, classes=classes)
        self.rejected: set[str] = set()

    def at(self, index: int) -> Crops:
        """Return the index-th batch; if all its audio is unusable, the next usable one. Several threads may call it.

        Raises:
            ValueError: no utterance has readable audio.
        """
        batches = (self.order.at(i) for i in range(index, index + self.order.per_epoch))
        batch = load_first_usable(batches, lambda name: self.load(self.utterances[name]), self.rejected)
        return self._crop(batch, rng(self.seed, index, 4))

    def load(self, utterance: Utterance) -> np.ndarray:
        """Return a waveform (samples,) for training.

        Raises:
            ValueError: it is unreadable, silent, too short or too long.
        """
        samples, name = wave(utterance), utterance.id
        if len(samples) < self.shortest:
            raise ValueError(
                f"{name}: {len(samples)} samples, under the {self.shortest} that training takes; remove it"
            )
        if len(samples) > self.config.max_seconds * SAMPLE_RATE:
            raise ValueError(f"{name}: {len(samples) / SAMPLE_RATE:.0f} s; cut it, or raise batches.max_seconds")
        return check_sound(samples, name)

    def _crop(self, batch: LoadedBatch[np.ndarray], generator: np.random.Generator) -> Crops:
        waves = batch.items
        length = min(int(self.config.crop_seconds * SAMPLE_RATE), *map(len, waves.values()))
        starts = [int(generator.integers(0, len(row) - length + 1)) for row in waves.values()]
        cut = np.stack([row[start : start + length] for row, start in zip(waves.values(), starts, strict=True)])
        emotions = [self.utterances[name].emotion for name in waves]
        return Crops([*waves], cut, emotions, generator, batch.rejected)
