"""What Emotion2Vec-S learns: to guess masked frames as its own average does, and to bring equal emotions together."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from c2ser.audio import SAMPLE_RATE
from c2ser.corpus import Utterance, wave
from c2ser.data.collate import pad_waves
from c2ser.data.sampler import Batches, by_length, rng, spread
from c2ser.emotion2vec.losses import (
    LossConfig,
    category_loss,
    frame_loss,
    frame_targets,
    utterance_loss,
    utterance_targets,
)
from c2ser.emotion2vec.masking import MaskConfig, block_masks
from c2ser.emotion2vec.model import Emotion2Vec, pool
from c2ser.emotions import EMOTIONS
from c2ser.log import get_logger
from c2ser.training.objective import Objective

logger = get_logger(__name__)

STUDENT_ONLY = ("local_encoder", "project_features", "decoder")
"""Parts that the teacher does without: it hears the student's local features and guesses nothing."""


@dataclass
class TeacherConfig:
    """The teacher is the student's moving average; its decay rises linearly from `start` to `end`.

    Attributes:
        start: decay of the first update.
        end: decay after `anneal` updates.
        anneal: updates in which it rises.
    """

    start: float = 0.999
    end: float = 0.99999
    anneal: int = 20000

    def decay(self, update: int) -> float:
        """Return the decay of an update, counted from 1."""
        return self.end - (self.end - self.start) * max(0.0, 1.0 - update / self.anneal)


@dataclass
class BatchConfig:
    """How utterances become batches.

    Attributes:
        seconds: audio in one batch, at most (10^6 samples as in emotion2vec's settings).
        utterances: utterances in one batch, at most.
        crop_seconds: utterances are cut to this length at most.
    """

    seconds: float = 62.5
    utterances: int = 64
    crop_seconds: float = 20.0


@dataclass
class ValidConfig:
    """How embeddings are judged while training: by the nearest neighbours of validation utterances.

    Attributes:
        neighbours: how many.
        train: training utterances looked at, at most, emotions evenly.
        valid: validation utterances, at most, emotions evenly.
    """

    neighbours: int = 5
    train: int = 2000
    valid: int = 1000


@dataclass
class Material:
    """What the objective is trained and validated on.

    Attributes:
        train: utterances to learn from; those without an emotion count for the first two losses only.
        valid: utterances to validate on.
        seconds: duration of each.
        batches: how they become batches.
        validation: how embeddings are judged.
    """

    train: dict[str, Utterance]
    valid: dict[str, Utterance]
    seconds: dict[str, float]
    batches: BatchConfig = field(default_factory=BatchConfig)
    validation: ValidConfig = field(default_factory=ValidConfig)


@dataclass
class Batch:
    """A micro-batch of utterances of equal length.

    Attributes:
        utterances: their ids.
        waves: shape (batch, samples).
        labels: number of the emotion, -1 without one, (batch,).
        masked: shape (batch, clones, frames), True where a frame is hidden.
    """

    utterances: list[str]
    waves: Tensor
    labels: Tensor
    masked: Tensor


class Emotion2VecObjective(Objective):
    """Trains a student against its moving average.

    Args:
        model: the student.
        material: training and validation utterances.
        masks: how it is masked.
        losses: weights and variants of the losses.
        teacher: how the average moves.
        seed: decides batches, crops and masks.
    """

    def __init__(
        self,
        model: Emotion2Vec,
        material: Material,
        masks: MaskConfig,
        losses: LossConfig,
        teacher: TeacherConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.material, self.seed = model, material, seed
        self.masks, self.losses, self.teaching = masks, losses, teacher
        self.teacher = make_teacher(model)
        limit = material.batches.crop_seconds
        lengths = {name: min(limit, material.seconds[name]) for name in material.train}
        self.batches = Batches(lengths, material.batches.seconds, material.batches.utterances, seed)
        self.bad: set[str] = set()

    def batch(self, index: int) -> Batch:
        """Return the index-th micro-batch; where all its audio is bad, the next one that is not."""
        for place in range(index, index + self.batches.per_epoch):
            waves = self._waves(self.batches.at(place))
            if waves:
                return self._make(waves, rng(self.seed, index, 4))
        raise ValueError("no training utterance has readable audio; check the paths in wav.scp")

    def _waves(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        known = {**self.material.train, **self.material.valid}
        waves = {}
        for name in names:
            try:
                if name not in self.bad:
                    waves[name] = self._audible(wave(known[name]), name)
            except ValueError as error:
                self.bad.add(name)
                logger.warning("left out: %s", error)
        return waves

    def _audible(self, samples: np.ndarray, name: str) -> np.ndarray:
        shortest = 2 * self.model.audio.local_encoder.receptive_field
        if len(samples) < shortest:
            raise ValueError(f"{name}: {len(samples)} samples, under the {shortest} that training takes; remove it")
        return samples

    def _make(self, waves: Mapping[str, np.ndarray], generator: np.random.Generator) -> Batch:
        """Crop waveforms to the shortest of them and draw masks for what is left."""
        length = min(int(self.material.batches.crop_seconds * SAMPLE_RATE), *map(len, waves.values()))
        starts = [int(generator.integers(0, len(row) - length + 1)) for row in waves.values()]
        cut = [row[start : start + length] for row, start in zip(waves.values(), starts, strict=True)]
        frames = int(self.model.audio.local_encoder.frames(torch.tensor(length)))
        masked = block_masks(len(cut) * self.masks.clones, frames, self.masks, generator)
        emotions = [self.material.train[name].emotion for name in waves]
        device = self.model.slopes.device
        return Batch(
            list(waves),
            torch.from_numpy(np.stack(cut)).to(device),
            torch.tensor([EMOTIONS.index(e) if e in EMOTIONS else -1 for e in emotions], device=device),
            torch.from_numpy(masked).view(len(cut), self.masks.clones, frames).to(device),
        )

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the three losses and their weighted sum."""
        samples = torch.full((len(batch.waves),), batch.waves.shape[1], device=batch.waves.device)
        local, _ = self.model.local(batch.waves, samples)
        layers = self.teacher.teach(local.detach())
        targets, pooled = frame_targets(layers), utterance_targets(layers, self.losses.utterance_target)
        clones = batch.masked.shape[1]
        masked = batch.masked.flatten(0, 1)  # utterance-major: (batch * clones, frames)
        guess, seen = self.model.student(local.repeat_interleave(clones, dim=0), masked, self.masks.noise)
        frame = frame_loss(guess, targets.repeat_interleave(clones, dim=0), masked)
        utterance = utterance_loss(seen.tokens, pooled.repeat_interleave(clones, dim=0), self.losses.prediction)
        embeddings = seen.frames.mean(dim=1).view(len(local), clones, -1).mean(dim=1)
        category = category_loss(embeddings, batch.labels, self.losses.temperature, self.losses.centre)
        total = frame + self.losses.utterance * utterance + self.losses.category * category
        spread_of_targets = targets.flatten(0, 1).std(dim=0).mean()
        return {
            "loss": total,
            "frame": frame,
            "utterance": utterance,
            "category": category,
            "target_deviation": spread_of_targets,
        }

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the teacher towards the student."""
        decay = self.teaching.decay(step)
        student = dict(self.model.named_parameters())
        for name, parameter in self.teacher.named_parameters():
            parameter.lerp_(student[name].to(parameter.dtype), 1.0 - decay)

    def validate(self, step: int) -> dict[str, float]:
        """Return the UA that the nearest training utterances give to validation utterances."""
        sizes = self.material.validation
        train, known = self._embed(self.material.train, sizes.train)
        valid, reference = self._embed(self.material.valid, sizes.valid)
        if not len(known) or not len(reference):
            raise ValueError("no training or validation utterance has readable audio; check the paths in wav.scp")
        judge = KNeighborsClassifier(min(sizes.neighbours, len(known)), metric="cosine").fit(train, known)
        ua = float(balanced_accuracy_score(reference, judge.predict(valid)))
        return {"ua": ua, "score": ua}

    def _embed(self, utterances: Mapping[str, Utterance], number: int) -> tuple[np.ndarray, list[str]]:
        """Return mean frames (utterances, dim) and emotions of at most `number` utterances."""
        labelled = {name: u.emotion for name, u in utterances.items() if u.emotion in EMOTIONS}
        chosen = spread(labelled, number, self.seed)
        vectors, emotions = [], []
        limits = self.material.batches
        for names in by_length({name: self.material.seconds[name] for name in chosen}, 2 * limits.seconds, 256):
            waves = self._waves(names)
            if waves:
                vectors.append(embed(self.model, [*waves.values()]))
                emotions += [labelled[name] for name in waves]
        return np.concatenate(vectors) if vectors else np.zeros((0, 0)), emotions

    def settings(self) -> dict[str, Any]:
        """Return what a resumed run must share with the first one."""
        parts = {"masks": self.masks, "losses": self.losses, "teacher": self.teaching, "model": self.model.config}
        parts |= {"batches": self.material.batches, "validation": self.material.validation}
        sizes = {"train": len(self.material.train), "valid": len(self.material.valid)}
        return {name: dataclasses.asdict(part) for name, part in parts.items()} | sizes

    def extra_state(self) -> dict[str, Tensor]:
        """Return the teacher's weights."""
        return dict(self.teacher.named_parameters())

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Take the teacher's weights back."""
        with torch.no_grad():
            for name, parameter in self.teacher.named_parameters():
                parameter.copy_(state[name])

    def train(self, mode: bool = True) -> "Emotion2VecObjective":
        """Switch the student's dropout; the teacher never drops anything."""
        super().train(mode)
        self.teacher.eval()
        return self


def make_teacher(model: Emotion2Vec) -> Emotion2Vec:
    """Return a frozen copy of a student without the parts that a teacher does without."""
    teacher = copy.deepcopy(model).requires_grad_(False).eval()
    for name in STUDENT_ONLY:
        setattr(teacher.audio, name, None)
    return teacher


@torch.no_grad()
def embed(model: Emotion2Vec, waves: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean frame of each waveform (samples,), shape (waveforms, dim)."""
    padded, lengths = (tensor.to(model.slopes.device) for tensor in pad_waves(waves))
    return torch.cat(pool(model(padded, lengths), "utterance")).float().cpu().numpy()
