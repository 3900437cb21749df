"""What C²SER learns: explicit chains of thought, then ever more implicit ones (sections III.C and III.D)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from c2ser.corpus import emotions_of
from c2ser.cot.prompts import Style, instruction
from c2ser.data.collate import augment
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import Heard, Item, hear
from c2ser.data.prefetch import Read, leave_out, read_ahead, read_batch, read_some
from c2ser.data.sampler import Batches, by_length, rng, spread
from c2ser.model.c2ser import C2SER
from c2ser.model.fingerprints import weights_print
from c2ser.model.perception import Features, Vectors
from c2ser.scoring.labels import read_label
from c2ser.scoring.metrics import check_seven, scores
from c2ser.training.config import BatchConfig, Stage, ValidConfig
from c2ser.training.memory import enough_memory
from c2ser.training.objective import Objective
from c2ser.training.schedule import explicit_probability
from c2ser.training.settings import fingerprint

LOSS_WEIGHT = 1e-4
"""Of the validation loss in the score: it decides between checkpoints of equal UA and never outweighs UA."""

SHOWN = 4
"""Answers shown in TensorBoard after each validation."""


@dataclass
class Draw:
    """What a micro-batch is made of.

    Attributes:
        heard: its utterances as they were read; None in place of one whose features are kept.
        coin: uniform in [0, 1); decides in the implicit stage between explicit and implicit.
    """

    heard: Read[Heard | None]
    coin: float


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        items: its utterances.
        features: their features.
        coin: as drawn.
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
        model: what is trained; its style is that of the answers that it is validated by.
        stage: in the implicit stage, each micro-batch is explicit with a probability that falls from 1 to 0; in the
            others all are in the model's style.
        corpus: training and validation material.
        seed: decides batches and coins.

    Raises:
        ValueError: an utterance fits into no batch, weights would train in bfloat16, the acoustic vectors that were
            extracted are not the model's, or a validation utterance has none of the seven emotions.
    """

    thrift = f"{Objective.thrift}, or set model.checkpointing: true"

    def __init__(self, model: C2SER, stage: Stage, corpus: Corpus, seed: int) -> None:
        super().__init__()
        self.model, self.stage, self.corpus, self.seed = model, stage, corpus, seed
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.dtype != torch.float32:
                raise ValueError(f"{name}: would lose small updates in {parameter.dtype}; set model.llm_dtype: float32")
        sizes, durations = corpus.batches, {i: item.seconds for i, item in corpus.train.items()}
        tokens = _tokens(model, corpus.train)
        self.batches = Batches(durations, sizes.seconds, sizes.utterances, seed, tokens=tokens, max_tokens=sizes.tokens)
        emotions = emotions_of({name: item.utterance for name, item in corpus.valid.items()})
        check_seven(emotions, {})
        chosen = spread(emotions, corpus.validation.utterances, seed)
        lengths = {name: corpus.valid[name].seconds for name in chosen}
        self.valid_batches = by_length(lengths, corpus.validation.seconds, corpus.batches.utterances)
        self.kept: dict[str, Features] = {}
        self.bad: set[str] = set()
        self.shown: dict[str, str] = {}
        self.frozen = weights_print(p for p in model.parameters() if not p.requires_grad)
        self._check_acoustic()

    def _check_acoustic(self) -> None:
        """Compute the acoustic vectors of one utterance and compare them with those that were extracted."""
        first = next((i for i in self.corpus.train.values() if i.acoustic and self.model.acoustic), None)
        tried = read_batch([first.utterance.id] if first else [], lambda name: hear(first))
        leave_out(tried.flaws, self.bad)
        for heard in tried.found.values():
            own = self.model.features([heard.wave]).acoustic.values[0].cpu().numpy()
            if own.shape != heard.acoustic.shape or not np.allclose(own, heard.acoustic, atol=0.01):
                raise ValueError(
                    f"{first.utterance.id}: acoustic vectors {heard.acoustic.shape} at {first.acoustic} are not the "
                    f"model's, {own.shape}; extract them with its Emotion2Vec-S at level {self.model.acoustic.kind}"
                )

    def micro_batches(self, epochs: int) -> int:
        """Return how many micro-batches so many epochs have."""
        return self.batches.end(epochs)

    def kept_whole(self) -> list[nn.Module]:
        """Return Emotion2Vec-S, which is run while a batch is made."""
        return [self.model.acoustic] if self.model.acoustic else []

    @property
    def _no_split_modules(self) -> list[str]:
        """Where accelerate cuts the model when processes share it: at the layers that transformers names."""
        parts = filter(None, [self.model.whisper and self.model.whisper.layers, self.model.language.llm])
        found = {type(module).__name__ for module in self.modules()}
        return sorted({name for part in parts for name in part._no_split_modules or []} & found)

    def read(self, index: int) -> Draw:
        """Read the index-th micro-batch; where all its audio is bad, the next one that is not."""
        places = (self.batches.at(place) for place in range(index, index + self.batches.per_epoch))
        heard = read_some(places, lambda name: self._hear(self.corpus.train[name]), self.bad)
        return Draw(heard, toss(self.seed, index))

    def _hear(self, item: Item) -> Heard | None:
        """Read an utterance, unless its features are kept."""
        return None if item.utterance.id in self.kept else hear(item)

    def batch(self, read: Draw) -> Batch:
        """Compute the features of what was read."""
        items, features = self._load(read.heard, self.corpus.train)
        return Batch(items, features, read.coin)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch, the share of tokens predicted rightly, and whether the batch was explicit."""
        style = self.model.config.style
        if self.stage == "implicit" and batch.coin < explicit_probability(step, self.steps):
            style = "explicit"
        figures = self._ask(self._augmented(batch.features), batch.items, style)
        return {**figures, "explicit": figures["loss"].new_tensor(float(style == "explicit"))}

    def _ask(self, features: Features, items: Sequence[Item], style: Style) -> dict[str, Tensor]:
        prompts = [instruction(style)] * len(items)
        return self.model(features, prompts, [item.answers[style] for item in items])

    def _augmented(self, features: Features) -> Features:
        if self.corpus.spec_augment is None or features.mel is None:
            return features
        mel = augment(features.mel.values, features.mel.lengths, self.corpus.spec_augment)
        return Features(Vectors(mel, features.mel.lengths), features.acoustic)

    def _load(self, heard: Read[Heard | None], corpus: Mapping[str, Item]) -> tuple[list[Item], Features | None]:
        """Return the items that were heard, and their features as one batch on the model's device; None of nothing."""
        leave_out(heard.flaws, self.bad)
        items = [corpus[name] for name in heard.found]
        if not self.corpus.batches.keep_features:
            return items, self._features([*heard.found.values()]) if items else None
        for name, one in heard.found.items():
            if name not in self.kept:
                # alone, so that the vectors do not depend, in their last bits, on who shared a batch first
                self.kept[name] = self._features([one])
        return items, Features.join([self.kept[name] for name in heard.found]) if items else None

    def _features(self, heard: Sequence[Heard]) -> Features:
        vectors = [part.acoustic for part in heard if part.acoustic is not None]
        return self.model.features([part.wave for part in heard], vectors or None)

    def validate(self, step: int) -> dict[str, float]:
        """Return the mean loss with given answers and, from the model's own answers, UA in the style of the stage."""
        losses, answers, reference, style = [], {}, {}, self.model.config.style
        for heard in read_ahead(self.valid_batches, lambda name: self._hear(self.corpus.valid[name])):
            items, features = self._load(heard, self.corpus.valid)
            if features is None:
                continue
            names = [item.utterance.id for item in items]
            with enough_memory(f"the validation after step {step}", names, "lower validation.seconds"):
                losses += [float(self._ask(features, items, style)["loss"])] * len(items)
                said, _ = self.model.answer(features, style, self.corpus.validation.max_new_tokens)
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
        corpus, vocabulary = self.corpus, self.model.language.tokenizer.get_vocab().items()
        return {
            "stage": self.stage,
            "model": self.model.config,
            "frozen weights": self.frozen[:16],
            "vocabulary": fingerprint(vocabulary),
            "acoustic": any(item.acoustic for item in corpus.train.values()),
            "batches": corpus.batches,
            "spec_augment": corpus.spec_augment,
            "validation": corpus.validation,
            "train": len(corpus.train),
            "valid": len(corpus.valid),
            "data": [_fingerprint(part) for part in (corpus.train, corpus.valid)],
        }


def toss(seed: int, index: int) -> float:
    """Return the coin of the index-th micro-batch, uniform in [0, 1)."""
    return float(rng(seed, index, 2).random())


def _tokens(model: C2SER, items: Mapping[str, Item]) -> dict[str, int]:
    """Return the longest sequence that each utterance gives in the language model, whichever style is drawn."""
    longest = {name: 0 for name in items}
    styles = {style for item in items.values() for style in item.answers}
    for style in sorted(styles):
        lengths = model.language.lengths(instruction(style), [item.answers[style] for item in items.values()])
        longest = {name: max(longest[name], length) for name, length in zip(items, lengths, strict=True)}
    return {name: longest[name] + model.length(item.seconds) for name, item in items.items()}


def _fingerprint(items: Mapping[str, Item]) -> str:
    """Return a hash of what is learnt from utterances, and of what decides their batches."""
    rows = ((i, item.seconds, item.utterance.emotion or "", sorted(item.answers.items())) for i, item in items.items())
    return fingerprint(rows)
