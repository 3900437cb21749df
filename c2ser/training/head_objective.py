"""The objective of an encoder with a head: emotions, votes or dimensions of speech."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from c2ser.corpus import Utterance
from c2ser.data.collate import augment
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import Item, load_wave
from c2ser.data.prefetch import LoadedBatch, load_first_usable, log_rejected, prefetch_batches
from c2ser.data.sampler import Batches, by_length
from c2ser.data.targets import quality, target_rows
from c2ser.emotion2vec.target_losses import fold_scale, target_loss
from c2ser.log import get_logger
from c2ser.model.fingerprints import weights_fingerprint
from c2ser.model.head_network import HeadNetwork
from c2ser.model.perception import stack
from c2ser.ratings import Target
from c2ser.scoring.metrics import scores
from c2ser.training.c2ser_objective import LOSS_WEIGHT
from c2ser.training.config import HeadBatchConfig
from c2ser.training.memory import explain_oom
from c2ser.training.objective import Objective
from c2ser.training.settings import fingerprint

logger = get_logger(__name__)

KEPT_HOURS = 2.0
"""Sets up to this long are kept in memory once they are computed: about a gigabyte of a base encoder's states."""


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        utterances: their ids.
        features: of each, what `HeadNetwork.prepare` gives or, of a frozen encoder, its states.
        rows: what the head should say, (batch, outputs).
    """

    utterances: list[str]
    features: list[Tensor]
    rows: Tensor


@dataclass
class HeadMaterial:
    """The training and validation data.

    Attributes:
        train: training items by utterance.
        valid: validation items by utterance.
        target: what of them is learnt.
        batches: how they become batches.
        spec_augment: masks on the training spectrograms; None for none.
    """

    train: Mapping[str, Item]
    valid: Mapping[str, Item]
    target: Target = "emotion"
    batches: HeadBatchConfig = field(default_factory=HeadBatchConfig)
    spec_augment: SpecAugment | None = None


class HeadObjective(Objective):
    """Trains a head, and of its encoder what `HeadNetwork.tune` chose.

    Args:
        model: the network; the names of its outputs are classes or dimensions.
        material: training and validation data.
        seed: decides the batches.

    Raises:
        ValueError: an utterance has no target, or fits into no batch; or spectrograms are to be masked and there are
            none.
    """

    find_unused_parameters = True  # published encoders have weights for their own training

    def __init__(self, model: HeadNetwork, material: HeadMaterial, seed: int) -> None:
        super().__init__()
        if material.spec_augment and not model.encoder.has_spectrogram:
            raise ValueError("spec_augment: masks spectrograms, and this encoder takes waveforms; leave it out")
        self.model, self.material, self.target = model, material, material.target
        train, valid = (target_rows(_utterances(part), self.target, model.outputs) for part in
                        (material.train, material.valid))  # fmt: skip
        self.mean, self.deviation = self._scale(np.stack([*train.values()]))
        self.rows = {name: (row - self.mean) / self.deviation for name, row in (train | valid).items()}
        self.items = {name: {**material.train, **material.valid}[name] for name in self.rows}
        self.emotions = {name: item.utterance.emotion or "" for name, item in self.items.items()}
        if self.target == "emotion":
            self.chance = 1 / len({self.emotions[name] for name in valid})
            if strange := sorted({self.emotions[name] for name in valid} - {*model.outputs}):
                logger.warning("the validation set has %s, which no training utterance has", ", ".join(strange))
        sizes, seconds = material.batches, {name: item.seconds for name, item in self.items.items()}
        self.batches = Batches({name: seconds[name] for name in train}, sizes.seconds, sizes.utterances, seed)
        self.valid_batches = by_length({name: seconds[name] for name in valid}, sizes.seconds, sizes.utterances)
        self.keep = keeps_features(sizes, [self.items])
        self.states_alone = model.frozen and material.spec_augment is None
        self.feature_cache: dict[str, Tensor] = {}
        self.rejected: set[str] = set()
        self.frozen_fingerprint = weights_fingerprint(p for p in model.parameters() if not p.requires_grad)

    def _scale(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is subtracted from the targets, and what divides them, (outputs,); heads learn small numbers."""
        if self.target != "dimensions":
            return np.zeros(rows.shape[1], np.float32), np.ones(rows.shape[1], np.float32)
        deviation = np.nanstd(rows, axis=0)
        return np.nanmean(rows, axis=0), np.where(deviation > 0, deviation, 1.0).astype(np.float32)

    def finish(self) -> None:
        """Let the head give dimensions on the scale of the corpus."""
        device = self.model.device
        fold_scale(self.model.head.output, *(torch.from_numpy(v).to(device) for v in (self.mean, self.deviation)))

    def num_micro_batches(self, epochs: int) -> int:
        """Return the number of micro-batches in the first N epochs."""
        return self.batches.num_batches(epochs)

    def load_raw(self, index: int) -> LoadedBatch[np.ndarray | None]:
        """Load the index-th micro-batch; if all its audio is unusable, the next usable one."""
        batches = (self.batches.at(i) for i in range(index, index + self.batches.per_epoch))
        return load_first_usable(batches, self._load_wave, self.rejected)

    def _load_wave(self, name: str) -> np.ndarray | None:
        """Load an utterance, unless its features are cached."""
        return None if name in self.feature_cache else load_wave(self.items[name].utterance)

    def make_batch(self, raw: LoadedBatch[np.ndarray | None]) -> Batch:
        """Compute the features of a batch."""
        log_rejected(raw.rejected, self.rejected)
        names = list(raw.items)
        fresh = {name: wave for name, wave in raw.items.items() if wave is not None}
        features = {name: self.feature_cache[name] for name in names if name in self.feature_cache}
        for name, wave in fresh.items():
            if name not in features:  # another batch, loaded at the same time, may have brought it
                features[name] = self._features(wave)
        if self.keep:
            self.feature_cache |= features
        rows = torch.from_numpy(np.stack([self.rows[name] for name in names])).to(self.model.device)
        return Batch(names, [features[name] for name in names], rows)

    @torch.no_grad()
    def _features(self, wave: np.ndarray) -> Tensor:
        """Return what of an utterance does not change in training; alone, so that no batch changes its last bits."""
        prepared = self.model.prepare(wave)
        return self.model.encode([prepared])[0] if self.states_alone else prepared

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch and, of emotions, the share of utterances that are classified rightly."""
        outputs = self._outputs(batch, masked=True)
        figures = {"loss": target_loss(self.target, outputs, batch.rows)}
        if self.target == "emotion":
            figures["accuracy"] = (outputs.argmax(-1) == batch.rows.argmax(-1)).float().mean()
        return figures

    def _outputs(self, batch: Batch, masked: bool) -> Tensor:
        if self.states_alone:
            return self.model.classify(batch.features)
        features = batch.features
        if masked and self.material.spec_augment is not None:
            mel = stack(features)
            values = augment(
                mel.values.transpose(1, 2), torch.tensor(mel.counts), self.material.spec_augment
            ).transpose(1, 2)
            features = [row[:count] for row, count in zip(values, mel.counts, strict=True)]
        return self.model(features)

    @torch.no_grad()
    def outputs(self, batches: Iterable[list[str]], where: str) -> dict[str, np.ndarray]:
        """Return what the network gives for utterances, (outputs,) float64 by name, on the scale of its targets.

        Args:
            batches: ids; those whose audio cannot be read are rejected with the reason.
            where: for the message if the GPU has too little memory.

        Raises:
            ValueError: no utterance has readable audio.
        """
        outputs: dict[str, np.ndarray] = {}
        for raw in prefetch_batches(batches, self._load_wave):
            if not raw.items:
                log_rejected(raw.rejected, self.rejected)
                continue
            batch = self.make_batch(raw)
            with explain_oom(where, batch.utterances, self.oom_hint):
                values = self._outputs(batch, masked=False).double().cpu().numpy()
            outputs |= dict(zip(batch.utterances, values, strict=True))
        if not outputs:
            raise ValueError("no validation utterance has readable audio; mend what the lines above say of each")
        return outputs

    def validate(self, step: int) -> dict[str, float]:
        """Return the mean loss on the validation set, and what decides: UA, divergence or concordance."""
        outputs = self.outputs(self.valid_batches, f"the validation after step {step}")
        matrix, rows = np.stack([*outputs.values()]), np.stack([self.rows[name] for name in outputs])
        loss = float(target_loss(self.target, torch.from_numpy(matrix).float(), torch.from_numpy(rows)))
        if self.target == "emotion":
            labels = {name: self.model.outputs[int(row.argmax())] for name, row in outputs.items()}
            ua = scores({name: self.emotions[name] for name in labels}, labels)["ua"]
            return {"loss": loss, "ua": ua, "score": ua - LOSS_WEIGHT * loss}
        if self.target == "votes":
            matrix = torch.from_numpy(matrix).softmax(dim=-1).numpy()
        return {"loss": loss, "score": quality(self.target, matrix, rows)}

    def settings(self) -> dict[str, Any]:
        """Return settings that a resumed run must share with the first one."""
        material = self.material
        return {
            "encoder": fingerprint([json.dumps(self.model.encoder.describe(), sort_keys=True)]),
            "frozen weights": self.frozen_fingerprint[:16],
            "trained": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "outputs": self.model.outputs,
            "hidden": self.model.head.hidden.out_features,
            "target": self.target,
            "batches": material.batches,
            "spec_augment": material.spec_augment,
            "data": [self._fingerprint(part) for part in (material.train, material.valid)],
        }

    def _fingerprint(self, items: Mapping[str, Item]) -> str:
        names = [name for name in items if name in self.rows]
        return fingerprint((name, self.items[name].seconds, [f"{v:.6g}" for v in self.rows[name]]) for name in names)


def keeps_features(sizes: HeadBatchConfig, sets: Iterable[Mapping[str, Item]]) -> bool:
    """Return whether what is computed of the utterances of some sets is kept in memory."""
    seconds = sum(item.seconds for items in sets for item in items.values())
    return seconds <= KEPT_HOURS * 3600 if sizes.keep_features is None else sizes.keep_features


def _utterances(items: Mapping[str, Item]) -> dict[str, Utterance]:
    return {name: item.utterance for name, item in items.items()}
