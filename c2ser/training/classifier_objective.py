"""The objective of the classifier baseline: cross-entropy of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from c2ser.baselines.classifier import Classifier
from c2ser.corpus import emotions_of
from c2ser.data.collate import augment
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import Item, load_wave
from c2ser.data.prefetch import LoadedBatch, load_first_usable, log_rejected, prefetch_batches
from c2ser.data.sampler import Batches, by_length
from c2ser.model.perception import Features, Vectors
from c2ser.scoring.metrics import scores
from c2ser.training.c2ser_objective import LOSS_WEIGHT
from c2ser.training.config import ClassifierBatchConfig
from c2ser.training.memory import explain_oom
from c2ser.training.objective import Objective
from c2ser.training.settings import fingerprint


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        utterances: their ids.
        mel: their spectrograms, (batch, bins, frames).
        labels: number of each emotion, (batch,).
    """

    utterances: list[str]
    mel: Vectors
    labels: Tensor


@dataclass
class ClassifierMaterial:
    """The training and validation data.

    Attributes:
        train: training items by utterance.
        valid: validation items by utterance.
        batches: how they become batches.
        spec_augment: masks on the training spectrograms; None for none.
    """

    train: dict[str, Item]
    valid: dict[str, Item]
    batches: ClassifierBatchConfig = field(default_factory=ClassifierBatchConfig)
    spec_augment: SpecAugment | None = None


class ClassifierObjective(Objective):
    """Trains a classifier on Whisper's encoder.

    Args:
        model: the classifier.
        material: training and validation data.
        seed: decides the batches.

    Raises:
        ValueError: an utterance has none of the classifier's classes, or fits into no batch.
    """

    def __init__(self, model: Classifier, material: ClassifierMaterial, seed: int) -> None:
        super().__init__()
        self.model, self.material = model, material
        self.items = material.train | material.valid
        train, valid = (
            emotions_of({name: item.utterance for name, item in part.items()})
            for part in (material.train, material.valid)
        )
        for part in (train, valid):
            model.labels.check_table(part)
        self.emotions = train | valid
        self.chance = 1 / len({*valid.values()})
        sizes = material.batches
        seconds = {name: item.seconds for name, item in self.items.items()}
        self.batches = Batches({name: seconds[name] for name in train}, sizes.seconds, sizes.utterances, seed)
        self.valid_batches = by_length({name: seconds[name] for name in valid}, sizes.seconds, sizes.utterances)
        self.feature_cache: dict[str, Features] = {}
        self.rejected: set[str] = set()

    def num_micro_batches(self, epochs: int) -> int:
        """Return the number of micro-batches in the first N epochs."""
        return self.batches.num_batches(epochs)

    def load_raw(self, index: int) -> LoadedBatch[np.ndarray | None]:
        """Load the index-th micro-batch; if all its audio is unusable, the next usable one."""
        batches = (self.batches.at(i) for i in range(index, index + self.batches.per_epoch))
        return load_first_usable(batches, self._load_wave, self.rejected)

    def _load_wave(self, name: str) -> np.ndarray | None:
        """Load an utterance, unless its spectrogram is cached."""
        return None if name in self.feature_cache else load_wave(self.items[name].utterance)

    def make_batch(self, raw: LoadedBatch[np.ndarray | None]) -> Batch:
        """Compute the spectrograms of a batch."""
        log_rejected(raw.rejected, self.rejected)
        names = list(raw.items)
        labels = torch.tensor(
            [self.model.labels.index(self.emotions[name]) for name in names], device=self.model.device
        )
        return Batch(names, self._log_mel(raw), labels)

    def _log_mel(self, raw: LoadedBatch[np.ndarray | None]) -> Vectors:
        fresh = {name: wave for name, wave in raw.items.items() if wave is not None}
        if not self.material.batches.keep_features:
            return self.model.log_mel(list(fresh.values()))
        for name, wave in fresh.items():
            if name not in self.feature_cache:  # another batch, loaded at the same time, may have brought it
                self.feature_cache[name] = Features(self.model.log_mel([wave]), None)
        mel = Features.join([self.feature_cache[name] for name in raw.items]).mel
        assert mel is not None
        return mel

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the cross-entropy of a batch, and the share of utterances that are classified rightly."""
        mel = batch.mel
        if self.material.spec_augment is not None:
            mel = Vectors(augment(mel.values, mel.lengths, self.material.spec_augment), mel.lengths)
        logits = self.model(mel).float()
        return {
            "loss": cross_entropy(logits, batch.labels),
            "accuracy": (logits.argmax(-1) == batch.labels).float().mean(),
        }

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Return the mean cross-entropy and UA on the validation set."""
        total = 0.0
        labels: dict[str, str] = {}
        for raw in prefetch_batches(self.valid_batches, self._load_wave):
            if not raw.items:
                log_rejected(raw.rejected, self.rejected)
                continue
            batch = self.make_batch(raw)
            with explain_oom(f"the validation after step {step}", batch.utterances, self.oom_hint):
                logits = self.model(batch.mel).float()
            total += float(cross_entropy(logits, batch.labels, reduction="sum"))
            best = (self.model.labels.names[i] for i in logits.argmax(-1).tolist())
            labels |= dict(zip(batch.utterances, best, strict=True))
        if not labels:
            raise ValueError("no validation utterance has readable audio; check the paths in wav.scp")
        loss, ua = total / len(labels), scores({name: self.emotions[name] for name in labels}, labels)["ua"]
        return {"loss": loss, "ua": ua, "score": ua - LOSS_WEIGHT * loss}

    def settings(self) -> dict[str, Any]:
        """Return settings that a resumed run must share with the first one."""
        material = self.material
        return {
            "whisper": _sizes(self.model),
            "dim": self.model.head[0].out_features,
            "batches": material.batches,
            "spec_augment": material.spec_augment,
            "data": [self._fingerprint(list(part)) for part in (material.train, material.valid)],
        }

    def _fingerprint(self, names: Sequence[str]) -> str:
        return fingerprint((name, self.items[name].seconds, self.emotions[name]) for name in names)


def _sizes(model: Classifier) -> dict[str, Any]:
    """Return what of Whisper decides a training."""
    config = model.whisper.config
    names = ("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins", "dropout")
    return {name: getattr(config, name) for name in names}
