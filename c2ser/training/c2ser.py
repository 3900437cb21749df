"""What C²SER learns: explicit chains of thought, then ever more implicit ones (sections III.C and III.D)."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from c2ser.cot.prompts import instruction
from c2ser.data.collate import SpecAugment, augment
from c2ser.data.datasets import Item, readable
from c2ser.data.sampler import Batches, by_length, rng, spread
from c2ser.model.c2ser import C2SER, Style
from c2ser.model.perception import Features, Vectors
from c2ser.scoring.labels import read_label
from c2ser.scoring.metrics import scores
from c2ser.training.objective import Objective
from c2ser.training.schedule import explicit_probability

LOSS_WEIGHT = 1e-4
"""Of the validation loss in the score: it decides between checkpoints of equal UA and never outweighs UA."""

SHOWN = 4
"""Answers shown in TensorBoard after each validation."""


@dataclass
class BatchConfig:
    """How utterances become batches.

    Attributes:
        seconds: padded audio in one batch, at most (39 s in the published configuration).
        utterances: utterances in one batch, at most.
        keep_features: hold spectrograms and acoustic vectors of all utterances in memory once they are computed; both
            come from frozen parts, so small corpora save most of that work.
    """

    seconds: float = 39.0
    utterances: int = 64
    keep_features: bool = False


@dataclass
class ValidConfig:
    """What is looked at in a validation.

    Attributes:
        utterances: at most so many, emotions evenly.
        max_new_tokens: where an answer is cut off.
        seconds: padded audio in one batch, at most.
    """

    utterances: int = 210
    max_new_tokens: int = 200
    seconds: float = 120.0


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        items: its utterances.
        features: their features.
        coin: uniform in [0, 1); decides in the implicit stage between explicit and implicit.
    """

    items: list[Item]
    features: Features
    coin: float

    @property
    def utterances(self) -> list[str]:
        """The utterances' ids, for messages."""
        return [item.utterance.id for item in self.items]


@dataclass
class Corpus:
    """What the objective is trained and validated on.

    Attributes:
        train: items to learn from, by utterance.
        valid: items to validate on, by utterance.
        batches: how they become batches.
        spec_augment: masks on the training spectrograms; None for none.
        validation: what is looked at.
    """

    train: dict[str, Item]
    valid: dict[str, Item]
    batches: BatchConfig = field(default_factory=BatchConfig)
    spec_augment: SpecAugment | None = None
    validation: ValidConfig = field(default_factory=ValidConfig)


class C2SERObjective(Objective):
    """Teaches a model to answer in the style of a stage.

    Args:
        model: what is trained.
        stage: "explicit" throughout, or "implicit": each batch is explicit with a probability that falls from 1 to 0.
        corpus: training and validation material.
        steps: optimiser steps of the whole stage.
        seed: decides batches and coins.
    """

    def __init__(self, model: C2SER, stage: Style, corpus: Corpus, steps: int, seed: int) -> None:
        super().__init__()
        self.model, self.stage, self.corpus, self.steps, self.seed = model, stage, corpus, steps, seed
        durations = {i: item.seconds for i, item in corpus.train.items()}
        self.batches = Batches(durations, corpus.batches.seconds, corpus.batches.utterances, seed)
        emotions = {name: item.utterance.emotion for name, item in corpus.valid.items()}
        chosen = spread(emotions, corpus.validation.utterances, seed)
        lengths = {name: corpus.valid[name].seconds for name in chosen}
        self.valid_batches = by_length(lengths, corpus.validation.seconds, corpus.batches.utterances)
        self.kept: dict[str, Features] = {}
        self.warned: set[str] = set()
        self.shown: dict[str, str] = {}

    def batch(self, index: int) -> Batch:
        """Return the index-th micro-batch; where all its audio is bad, the next one that is not."""
        coin = float(rng(self.seed, index, 2).random())
        for place in range(index, index + self.batches.per_epoch):
            items, features = self._load([self.corpus.train[name] for name in self.batches.at(place)])
            if features is not None:
                return Batch(items, features, coin)
        raise ValueError("no training utterance has readable audio; check the paths in wav.scp")

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch, the share of tokens predicted rightly, and whether the batch was explicit."""
        explicit = self.stage == "explicit" or batch.coin < explicit_probability(step, self.steps)
        figures = self._ask(self._augmented(batch.features), batch.items, "explicit" if explicit else "implicit")
        return {**figures, "explicit": torch.tensor(float(explicit))}

    def _ask(self, features: Features, items: Sequence[Item], style: Style) -> dict[str, Tensor]:
        prompts = [instruction(style)] * len(items)
        return self.model(features, prompts, [item.answers[style] for item in items])

    def _augmented(self, features: Features) -> Features:
        if self.corpus.spec_augment is None or features.mel is None:
            return features
        mel = augment(features.mel.values, features.mel.lengths, self.corpus.spec_augment)
        return Features(Vectors(mel, features.mel.lengths), features.acoustic)

    def _load(self, items: Sequence[Item]) -> tuple[list[Item], Features | None]:
        """Return the items whose audio is good, and their features as one batch on the model's device."""
        if not self.corpus.batches.keep_features:
            good, waves = readable(items, self.warned)
            return good, self.model.features(waves) if good else None
        for item in items:
            if item.utterance.id not in self.kept and item.utterance.id not in self.warned:
                # alone, so that the vectors do not depend, in their last bits, on who shared a batch first
                for good, wave in zip(*readable([item], self.warned), strict=True):
                    self.kept[good.utterance.id] = self.model.features([wave])
        good = [item for item in items if item.utterance.id in self.kept]
        return good, Features.join([self.kept[item.utterance.id] for item in good]) if good else None

    def validate(self, step: int) -> dict[str, float]:
        """Return the mean loss with given answers and, from the model's own answers, UA in the style of the stage."""
        losses, answers, reference = [], {}, {}
        for names in self.valid_batches:
            items, features = self._load([self.corpus.valid[name] for name in names])
            if features is None:
                continue
            losses += [float(self._ask(features, items, self.stage)["loss"])] * len(items)
            said, _ = self.model.answer(features, self.stage, self.corpus.validation.max_new_tokens)
            for item, answer in zip(items, said, strict=True):
                answers[item.utterance.id], reference[item.utterance.id] = answer, item.utterance.emotion
        if not losses:
            raise ValueError("no validation utterance has readable audio; check the paths in wav.scp")
        loss = sum(losses) / len(losses)
        ua = scores(reference, {name: read_label(answer) for name, answer in answers.items()})["ua"]
        self.shown = {name: f"{reference[name]}: {answers[name]}" for name in sorted(answers)[:SHOWN]}
        return {"loss": loss, "ua": ua, "score": ua - LOSS_WEIGHT * loss}

    def samples(self, step: int) -> dict[str, str]:
        """Return a few answers of the last validation, after their true emotions."""
        return self.shown

    def settings(self) -> dict[str, Any]:
        """Return what a resumed run must share with the first one."""
        corpus = self.corpus
        shared = {
            "stage": self.stage,
            "model": self.model.config,
            "batches": corpus.batches,
            "spec_augment": corpus.spec_augment,
            "validation": corpus.validation,
            "train": len(corpus.train),
            "valid": len(corpus.valid),
        }
        return {key: _plain(value) for key, value in shared.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
