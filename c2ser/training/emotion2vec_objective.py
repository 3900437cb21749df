"""The objective of Emotion2Vec-S: predict masked frames as its moving average does, and group equal emotions."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn.functional import cross_entropy

from c2ser.corpus import Utterance
from c2ser.data.config import CropConfig
from c2ser.data.crops import CropBatches, Crops
from c2ser.data.prefetch import log_rejected, prefetch, prefetch_batches
from c2ser.data.sampler import balanced_subset, by_length
from c2ser.emotion2vec import losses as parts
from c2ser.emotion2vec.config import LossConfig, MaskConfig
from c2ser.emotion2vec.masking import block_masks
from c2ser.emotion2vec.model import Emotion2Vec, embed
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.training.config import Emotion2VecValidConfig, GuardConfig, TeacherConfig
from c2ser.training.objective import Objective
from c2ser.training.settings import fingerprint

FRONT_PARTS = ("local_encoder", "project_features")
"""Parts that compute local features from the waveform; the teacher may use the student's instead of its own."""


@dataclass
class Material:
    """The training and validation data.

    Attributes:
        train: training utterances; those without an emotion count for the first two losses only.
        valid: validation utterances.
        seconds: duration of each.
        crops: how they become batches.
        validation: how the encoder is validated.
        labels: the classes of the category loss.
    """

    train: dict[str, Utterance]
    valid: dict[str, Utterance]
    seconds: dict[str, float]
    crops: CropConfig = field(default_factory=CropConfig)
    validation: Emotion2VecValidConfig = field(default_factory=Emotion2VecValidConfig)
    labels: LabelSet = SEVEN


@dataclass
class Batch:
    """A micro-batch of utterances of equal length.

    Attributes:
        utterances: their ids.
        waves: shape (batch, samples).
        labels: number of the emotion, -1 without one, (batch,).
        masked: shape (batch * clones, frames), True on masked frames; an utterance's clones follow each other.
    """

    utterances: list[str]
    waves: Tensor
    labels: Tensor
    masked: Tensor


def fewest_samples(model: Emotion2Vec, masks: MaskConfig) -> int:
    """Return the fewest samples of an utterance that has two frames and of which one is masked.

    The loss of an utterance without a masked frame would be the mean of nothing, which is NaN.
    """
    encoder = model.audio.local_encoder
    frames = ceil(1 / masks.probability) if masks.probability else 1
    return max(2 * encoder.receptive_field, encoder.receptive_field + (frames - 1) * encoder.hop)


class Emotion2VecObjective(Objective):
    """Trains a student against its moving average.

    Args:
        model: the student.
        material: training and validation utterances.
        masks: how it is masked.
        losses: weights and variants of the losses.
        teacher: decay of the moving average.
        guard: when a collapsed training stops.
        seed: decides batches, crops and masks.
    """

    find_unused_parameters = True  # dropped blocks, a scale or a classifier whose loss has no weight

    def __init__(
        self,
        model: Emotion2Vec,
        material: Material,
        masks: MaskConfig,
        losses: LossConfig,
        teacher: TeacherConfig,
        guard: GuardConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.material, self.seed = model, material, seed
        self.masks, self.losses, self.teaching, self.guard = masks, losses, teacher, guard
        self.head = parts.CategoryHead(model.config.dim, len(material.labels), losses)
        self.teacher = make_teacher(model, teacher.front)
        shortest = fewest_samples(model, masks)
        self.chance = 1 / max(1, len({*material.labels} & {utterance.emotion for utterance in material.valid.values()}))
        self.stream = CropBatches(material.train, material.seconds, material.crops, seed, shortest)
        self.valid_stream = CropBatches(material.valid, material.seconds, material.crops, seed, shortest)

    def load_raw(self, index: int) -> Crops:
        """Load the index-th micro-batch."""
        return self.stream.at(index)

    def num_micro_batches(self, epochs: int) -> int:
        """Return the number of micro-batches in the first N epochs."""
        return self.stream.order.num_batches(epochs)

    def make_batch(self, raw: Crops) -> Batch:
        """Mask a batch, and move it to the device."""
        log_rejected(raw.rejected, self.stream.rejected)
        frames = int(self.model.audio.local_encoder.frames(torch.tensor(raw.waves.shape[1])))
        masked = block_masks(len(raw.waves) * self.masks.clones, frames, self.masks, raw.generator)
        known = self.material.labels
        labels = torch.tensor([known.index(e) if e is not None and e in known else -1 for e in raw.emotions])
        tensors = (torch.from_numpy(raw.waves), labels, torch.from_numpy(masked))
        return Batch(raw.utterances, *(tensor.to(self.model.slopes.device) for tensor in tensors))

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses, their weighted sum, and the deviations that the guard checks.

        Raises:
            ValueError: targets or guesses have lost their variation.
        """
        samples = torch.full((len(batch.waves),), batch.waves.shape[1], device=batch.waves.device)
        local, _ = self.model.local(batch.waves, samples)
        layers = self.teacher.teach(self._local(batch.waves, samples) if self.teaching.front else local.detach())
        kinds = self.losses
        targets = parts.frame_targets(layers, kinds.frame_target)
        deviations = {"target_deviation": parts.deviation(targets), "target_contrast": parts.contrast(targets)}
        if kinds.frame_centre:
            targets = targets - targets.mean(dim=0)
        pooled = parts.utterance_targets(layers, kinds.utterance_target, kinds.frame_target)
        clones = len(batch.masked) // len(local)
        guess, seen = self.model.student(local.repeat_interleave(clones, dim=0), batch.masked, self.masks.noise)
        frame = parts.frame_loss(guess, targets.repeat_interleave(clones, dim=0), batch.masked)
        utterance = parts.utterance_loss(seen.tokens, pooled.repeat_interleave(clones, dim=0), kinds.prediction)
        embeddings = seen.frames.mean(dim=1).view(len(local), clones, -1).mean(dim=1)
        figures = {"frame": frame, "utterance": utterance, **self._category(embeddings, batch.labels)}
        weights = {"frame": 1.0, "utterance": kinds.utterance, "category": kinds.category, "class": kinds.classifier}
        figures["loss"] = sum((weights[name] * figure for name, figure in figures.items()), frame.new_zeros(()))
        deviations["guess_deviation"] = parts.deviation(guess)
        self._check(deviations, batch, step)
        return {**figures, **deviations}

    @torch.no_grad()
    def _local(self, waves: Tensor, samples: Tensor) -> Tensor:
        """Return the teacher's own local features, (batch, frames, dim)."""
        return self.teacher.local(waves, samples)[0]

    def _category(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the category loss over the batches of all processes and, if asked for, the classifier's loss."""
        figures = {}
        if self.losses.category:
            rows, numbers = parts.padded_rows(embeddings, labels)
            rows, numbers = parts.gathered(rows), parts.gathered(numbers[:, None])[:, 0]
            figures["category"] = parts.category_loss(rows, numbers, self.head.temperature, self.losses.centre)
        if self.head.classifier is not None:
            labelled = labels >= 0
            logits = self.head.classifier(embeddings[labelled])
            figures["class"] = cross_entropy(logits, labels[labelled]) if labelled.any() else logits.sum()
        return figures

    def _check(self, deviations: Mapping[str, Tensor], batch: Batch, step: int) -> None:
        least = {"target_deviation": self.guard.target, "guess_deviation": self.guard.prediction}
        least["target_contrast"] = self.guard.contrast
        for name, deviation in deviations.items():
            if self.training and step >= self.guard.after and float(deviation) < least[name]:
                raise ValueError(
                    f"step {step + 1}: the encoder has collapsed, {name.replace('_', ' ')} {float(deviation):.4f} is "
                    f"under {least[name]} (batch: {', '.join(batch.utterances[:8])}); lower optim.lr"
                )

    @torch.no_grad()
    def update_ema(self, step: int) -> None:
        """Move the teacher towards the student."""
        decay = self.teaching.decay(step)
        student = dict(self.model.named_parameters())
        for name, parameter in self.teacher.named_parameters():
            parameter.lerp_(student[name].to(parameter.dtype), 1.0 - decay)

    def validate(self, step: int) -> dict[str, float]:
        """Return the frame loss on validation batches, and the UA of a nearest-neighbour classifier."""
        sizes = self.material.validation
        number = min(sizes.batches, self.valid_stream.order.per_epoch)
        loaded = prefetch(range(number), self.valid_stream.at)
        frame = [float(self(self.make_batch(crops), step)["frame"]) for crops in loaded]
        train, labels = self._embed(self.material.train, sizes.train)
        valid, reference = self._embed(self.material.valid, sizes.valid)
        figures = {"frame": float(np.mean(frame)), "score": -float(np.mean(frame))}
        if len(labels) and len(reference):
            classifier = KNeighborsClassifier(min(sizes.neighbours, len(labels)), metric="cosine").fit(train, labels)
            ua = float(balanced_accuracy_score(reference, classifier.predict(valid)))
            figures |= {"ua": ua, "score": ua}
        return figures

    def _embed(self, utterances: Mapping[str, Utterance], number: int) -> tuple[np.ndarray, list[str]]:
        """Return mean frames (utterances, dim) and emotions of at most `number` utterances."""
        known = self.material.labels
        labelled = {name: u.emotion for name, u in utterances.items() if u.emotion and u.emotion in known}
        seconds = {name: self.material.seconds[name] for name in balanced_subset(labelled, number, self.seed)}
        batches = by_length(seconds, 2 * self.material.crops.seconds, 256)
        vectors, emotions = [], []
        for batch in prefetch_batches(batches, lambda name: self.stream.load(utterances[name])):
            log_rejected(batch.rejected, self.stream.rejected)
            if batch.items:
                vectors += embed(self.model, list(batch.items.values()), "utterance")
                emotions += [labelled[name] for name in batch.items]
        return np.concatenate(vectors) if vectors else np.zeros((0, 0)), emotions

    def settings(self) -> dict[str, Any]:
        """Return settings that a resumed run must share with the first one."""
        shared = {"masks": self.masks, "losses": self.losses, "teacher": self.teaching, "model": self.model.config}
        shared |= {"crops": self.material.crops, "validation": self.material.validation, "guard": self.guard}
        sets, seconds = {"train": self.material.train, "valid": self.material.valid}, self.material.seconds
        data = [fingerprint((i, seconds[i], u.emotion or "") for i, u in part.items()) for part in sets.values()]
        labels = self.material.labels
        own: dict[str, Any] = {} if labels == SEVEN else {"labels": labels.as_json()}
        # the category loss compares the utterances of all processes; a number of them apart gives others to compare
        world = PartialState().num_processes if self.losses.category else 1
        own |= {"compared processes": world} if world > 1 else {}
        return {**shared, **{name: len(part) for name, part in sets.items()}, "data": data, **own}

    def extra_state(self) -> dict[str, Tensor]:
        """Return the teacher's weights."""
        return dict(self.teacher.named_parameters())

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Load the teacher's weights."""
        with torch.no_grad():
            for name, parameter in self.teacher.named_parameters():
                parameter.copy_(state[name])

    def train(self, mode: bool = True) -> "Emotion2VecObjective":
        """Turn the student's dropout on or off; the teacher never has any."""
        super().train(mode)
        self.teacher.eval()
        return self


def make_teacher(model: Emotion2Vec, front: bool = False) -> Emotion2Vec:
    """Return a frozen copy of a student without its decoder; unless `front`, also without `FRONT_PARTS`."""
    teacher = copy.deepcopy(model).requires_grad_(False).eval()
    for name in ("decoder", *(() if front else FRONT_PARTS)):
        setattr(teacher.audio, name, None)
    return teacher
