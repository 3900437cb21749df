"""The objective of C²SER: explicit chains of thought, then more and more implicit ones (sections III.C and III.D)."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from c2ser.corpus import emotions_of
from c2ser.cot.prompts import INSTRUCTIONS, Style, instruction
from c2ser.data.collate import augment
from c2ser.data.datasets import Item, LoadedItem, load_item
from c2ser.data.prefetch import LoadedBatch, load_batch, load_first_usable, log_rejected, prefetch_batches
from c2ser.data.sampler import Batches, balanced_subset, by_length, rng
from c2ser.label_sets import SEVEN
from c2ser.model.c2ser_network import C2SERNetwork, part_of
from c2ser.model.fingerprints import weights_fingerprint
from c2ser.model.perception import Features, Vectors
from c2ser.scoring.labels import read_label
from c2ser.scoring.metrics import scores
from c2ser.training.c2ser_data import Batch, Corpus, RawBatch
from c2ser.training.config import LossConfig, Stage
from c2ser.training.memory import explain_oom
from c2ser.training.objective import Objective
from c2ser.training.schedule import explicit_probability
from c2ser.training.secap_losses import SecapLosses, weights_of
from c2ser.training.settings import fingerprint
from c2ser.training.vote_sampling import Choices, all_choices, with_drawn_answer

LOSS_WEIGHT = 1e-4
"""Weight of the validation loss in the score: it decides between checkpoints of equal UA, never against UA."""

SHOWN = 4
"""Answers shown in TensorBoard after each validation."""


class C2SERObjective(Objective):
    """Trains a network to answer in the style of a stage.

    Args:
        model: the network to train; it is validated in its own style.
        stage: in the implicit stage, each micro-batch is explicit with a probability that falls from 1 to 0; in the
            others all are in the model's style.
        corpus: training and validation data.
        seed: decides batches and styles.
        losses: weights of further losses.

    Raises:
        ValueError: an utterance fits into no batch, bfloat16 weights would be trained, the extracted acoustic
            vectors are not the model's, a validation utterance has none of the model's classes, or answers are to be
            drawn from votes that are not there.
    """

    oom_hint = f"{Objective.oom_hint}, or set model.checkpointing: true"

    def __init__(
        self, model: C2SERNetwork, stage: Stage, corpus: Corpus, seed: int, losses: LossConfig | None = None
    ) -> None:
        super().__init__()
        self.losses = losses or LossConfig()
        self.model, self.stage, self.corpus, self.seed = model, stage, corpus, seed
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.dtype != torch.float32:
                raise ValueError(f"{name}: would lose small updates in {parameter.dtype}; set model.llm_dtype: float32")
        self.emotion_head = nn.Linear(model.language.dim, len(model.labels)) if self.losses.emotion else None
        self.secap = SecapLosses(model.language.dim, self.losses, corpus.train) if weights_of(self.losses) else None
        sizes, durations = corpus.batches, {i: item.seconds for i, item in corpus.train.items()}
        self.choices = all_choices(corpus.train, model.labels, model.config.style) if self.losses.sample_votes else {}
        tokens = _tokens(model, corpus.train, self.choices)
        self.batches = Batches(durations, sizes.seconds, sizes.utterances, seed, tokens=tokens, max_tokens=sizes.tokens)
        self.emotions = emotions_of({name: item.utterance for name, item in corpus.valid.items()})
        model.labels.check_table(self.emotions)
        subset = balanced_subset(self.emotions, corpus.validation.utterances, seed)
        self.chance = 1 / len({self.emotions[name] for name in subset})
        lengths = {name: corpus.valid[name].seconds for name in subset}
        self.valid_batches = by_length(lengths, corpus.validation.seconds, corpus.validation.utterances)
        self.feature_cache: dict[str, Features] = {}
        self.rejected: set[str] = set()
        self.shown: dict[str, str] = {}
        self.frozen_fingerprint = self.fingerprint_frozen()
        self._check_acoustic()

    def fingerprint_frozen(self) -> str:
        """Return a hash of the weights that are not trained."""
        return weights_fingerprint(p for p in self.model.parameters() if not p.requires_grad)

    def _check_acoustic(self) -> None:
        """Compute the acoustic vectors of one utterance and compare them with the extracted ones."""
        encoder = self.model.acoustic
        first = next((item for item in self.corpus.train.values() if item.acoustic), None)
        if encoder is None or first is None:
            return
        batch = load_batch([first.utterance.id], lambda name: load_item(first))
        log_rejected(batch.rejected, self.rejected)
        for loaded in batch.items.values():
            extracted, computed = loaded.acoustic, self.model.extract_features([loaded.wave]).acoustic
            assert extracted is not None and computed is not None
            vectors = computed.values[0].cpu().numpy()
            if vectors.shape != extracted.shape or not np.allclose(vectors, extracted, atol=0.01):
                raise ValueError(
                    f"{first.utterance.id}: acoustic vectors {extracted.shape} at {first.acoustic} are not the "
                    f"model's, {vectors.shape}; extract them with its Emotion2Vec-S at level {encoder.kind}"
                )

    def num_micro_batches(self, epochs: int) -> int:
        """Return the number of micro-batches in the first N epochs."""
        return self.batches.num_batches(epochs)

    def part_of(self, name: str) -> str:
        """Return the part of the network that a parameter belongs to."""
        return part_of(name.removeprefix("model."))

    def use_bfloat16(self) -> None:
        """Keep the language model's frozen weights in bfloat16."""
        self.model.use_bfloat16()

    def layers(self) -> list[nn.Module]:
        """Return those of Whisper, unless it is frozen, of the connector and of the language model."""
        return self.model.trained_layers

    def ignored_modules(self) -> list[nn.Module]:
        """Return Emotion2Vec-S, which `make_batch` uses."""
        return [self.model.acoustic] if self.model.acoustic else []

    @property
    def _no_split_modules(self) -> list[str]:
        """Classes of the modules that FSDP shards one by one: the layers that transformers names."""
        present = {type(module).__name__ for module in self.modules()}
        return sorted({name for part in self.model.transformers for name in part._no_split_modules or []} & present)

    def load_raw(self, index: int) -> RawBatch:
        """Load the index-th micro-batch; if all its audio is unusable, the next usable one."""
        batches = (self.batches.at(i) for i in range(index, index + self.batches.per_epoch))
        loaded = load_first_usable(batches, lambda name: self._load_item(self.corpus.train[name]), self.rejected)
        return RawBatch(
            loaded, draw_style(self.seed, index), rng(self.seed, index, 3).random(len(loaded.items)).tolist()
        )

    def _load_item(self, item: Item) -> LoadedItem | None:
        """Load an utterance, unless its features are cached."""
        return None if item.utterance.id in self.feature_cache else load_item(item)

    def make_batch(self, raw: RawBatch) -> Batch:
        """Compute the features of a batch."""
        log_rejected(raw.loaded.rejected, self.rejected)
        items, features = self._features_of(raw.loaded, self.corpus.train)
        if self.losses.sample_votes:
            drawn = zip(items, raw.vote_draws, strict=True)
            items = [with_drawn_answer(item, self.choices.get(item.utterance.id), draw) for item, draw in drawn]
        return Batch(items, features, raw.style_draw)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch, the share of tokens predicted rightly, and whether the batch was explicit."""
        style = self.model.config.style
        if self.stage == "implicit" and batch.style_draw < explicit_probability(step, self.steps):
            style = "explicit"
        speech = self.model.encode_features(self._augmented(batch.features))
        figures = self._answer_loss(speech, batch.items, style, self.losses.named)
        if self.emotion_head is not None:
            figures["emotion_loss"] = self._emotion_loss(speech, batch.items)
            figures["loss"] = figures["loss"] + self.losses.emotion * figures["emotion_loss"]
        if self.secap is not None:
            answers = [item.answers[style] for item in batch.items]
            figures |= self.secap(speech, batch.items, answers, self.model.language)
            figures["loss"] = figures["loss"] + figures.pop("secap_loss")
        return {**figures, "explicit": figures["loss"].new_tensor(float(style == "explicit"))}

    def _answer_loss(
        self, speech: Vectors, items: Sequence[Item], style: Style, named: float = 1.0
    ) -> dict[str, Tensor]:
        prompts = [instruction(style)] * len(items)
        return self.model.answer_loss(speech, prompts, [item.answers[style] for item in items], named)

    def _emotion_loss(self, speech: Vectors, items: Sequence[Item]) -> Tensor:
        """Return the auxiliary loss of a batch; utterances without an emotion do not count."""
        assert self.emotion_head is not None
        labels = self.model.labels
        mean = speech.values.sum(dim=1) / speech.lengths[:, None]  # padding is zero
        classes = [labels.index(item.utterance.emotion) if item.utterance.emotion else -100 for item in items]
        target = torch.tensor(classes, device=mean.device)
        total = cross_entropy(self.emotion_head(mean).float(), target, reduction="sum")
        return total / max(1, sum(index >= 0 for index in classes))

    def _augmented(self, features: Features) -> Features:
        if self.corpus.spec_augment is None or features.mel is None:
            return features
        mel = augment(features.mel.values, torch.tensor(features.mel.counts), self.corpus.spec_augment)
        return Features(Vectors(mel, features.mel.lengths, features.mel.counts), features.acoustic)

    def _features_of(
        self, loaded: LoadedBatch[LoadedItem | None], corpus: Mapping[str, Item]
    ) -> tuple[list[Item], Features]:
        """Return the loaded items, at least one, and their features as one batch on the model's device."""
        items = [corpus[name] for name in loaded.items]
        fresh = {name: item for name, item in loaded.items.items() if item is not None}
        if not self.corpus.batches.keep_features:
            return items, self._extract(list(fresh.values()))
        for name, item in fresh.items():
            if name not in self.feature_cache:
                # one at a time: in a batch, the last bits of the vectors depend on the other utterances
                self.feature_cache[name] = self._extract([item])
        return items, Features.join([self.feature_cache[name] for name in loaded.items])

    def _extract(self, loaded: Sequence[LoadedItem]) -> Features:
        vectors = [item.acoustic for item in loaded if item.acoustic is not None]
        features = self.model.extract_features([item.wave for item in loaded], vectors or None)
        masked = self.corpus.spec_augment is not None
        return self.model.encode_semantic(features) if self.model.whisper_frozen and not masked else features

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Return the mean loss of the given answers and, from the model's own answers, UA in the style of the stage."""
        losses, answers, style = [], {}, self.model.config.style
        for loaded in prefetch_batches(self.valid_batches, lambda name: self._load_item(self.corpus.valid[name])):
            log_rejected(loaded.rejected, self.rejected)
            if not loaded.items:
                continue
            items, features = self._features_of(loaded, self.corpus.valid)
            names = [item.utterance.id for item in items]
            with explain_oom(f"the validation after step {step}", names, "lower validation.seconds"):
                speech = self.model.encode_features(features)
                losses += [float(self._answer_loss(speech, items, style)["loss"])] * len(items)
                texts, _ = self.model.generate(speech, style, self.corpus.validation.max_new_tokens)
            for item, text in zip(items, texts, strict=True):
                answers[item.utterance.id] = text
        if not losses:
            raise ValueError("no validation utterance has readable audio; mend what the lines above say of each")
        loss, reference = sum(losses) / len(losses), {name: self.emotions[name] for name in answers}
        said = {name: read_label(answer, labels=self.model.labels) for name, answer in answers.items()}
        ua = scores(reference, said)["ua"]
        self.shown = {name: f"{reference[name]}: {answers[name]}" for name in sorted(answers)[:SHOWN]}
        return {"loss": loss, "ua": ua, "score": ua - LOSS_WEIGHT * loss}

    def samples(self, step: int) -> dict[str, str]:
        """Return a few answers of the last validation, after their true emotions."""
        return self.shown

    def settings(self) -> dict[str, Any]:
        """Return settings that a resumed run must share with the first one."""
        corpus, vocabulary = self.corpus, self.model.language.tokenizer.get_vocab().items()
        return {
            "stage": self.stage,
            "model": self.model.config,
            "frozen weights": self.frozen_fingerprint[:16],
            "vocabulary": fingerprint(vocabulary),
            "acoustic": any(item.acoustic for item in corpus.train.values()),
            "losses": {"emotion": self.losses.emotion, **weights_of(self.losses)},
            **({} if self.losses.named == 1 else {"named": self.losses.named}),
            "batches": corpus.batches,
            "spec_augment": corpus.spec_augment,
            "validation": corpus.validation,
            "train": len(corpus.train),
            "valid": len(corpus.valid),
            "data": [_fingerprint(part) for part in (corpus.train, corpus.valid)],
            **({} if self.model.labels == SEVEN else {"labels": self.model.labels.as_json()}),
            **({"votes": self._votes_fingerprint()} if self.choices else {}),
        }

    def _votes_fingerprint(self) -> str:
        """Return a hash of the answers that votes allow."""
        return fingerprint((name, some.answers, some.cumulated.tolist()) for name, some in self.choices.items())


def draw_style(seed: int, index: int) -> float:
    """Return the style draw of the index-th micro-batch, uniform in [0, 1)."""
    return float(rng(seed, index, 2).random())


def _tokens(model: C2SERNetwork, items: Mapping[str, Item], allowed: Mapping[str, Choices]) -> dict[str, int]:
    """Return the longest sequence that each utterance gives in the language model, in any style."""
    longest = {name: 0 for name in items}
    styles = [style for style in INSTRUCTIONS if any(style in item.answers for item in items.values())]
    for style in styles:
        others = {name: some.answers for name, some in allowed.items()} if style == "implicit" else {}
        names = chain(items, (name for name, some in others.items() for _ in some))
        answers = chain((item.answers[style] for item in items.values()), chain.from_iterable(others.values()))
        for name, length in zip(names, model.language.sequence_lengths(instruction(style), answers), strict=True):
            longest[name] = max(longest[name], length)
    return {name: longest[name] + model.max_embeddings(item.seconds) for name, item in items.items()}


def _fingerprint(items: Mapping[str, Item]) -> str:
    """Return a hash of the utterances' answers, and of what decides their batches."""
    said = {i: [item.utterance.text] if item.utterance.text else [] for i, item in items.items()}
    rows = ((i, item.seconds, item.utterance.emotion or "", sorted(item.answers.items())) for i, item in items.items())
    return fingerprint((*row, *said[row[0]]) for row in rows)
