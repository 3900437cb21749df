"""The objectives of trainings whose networks have no weights, and their micro-batches without audio."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from c2ser.audio import SAMPLE_RATE
from c2ser.cot.prompts import Style
from c2ser.data.config import CropConfig, SpecAugment
from c2ser.data.crops import Crops
from c2ser.data.datasets import Item, LoadedItem, read_items
from c2ser.data.prefetch import LoadedBatch
from c2ser.data.sampler import Batches, rng
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.acoustic import AcousticEncoder
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig
from c2ser.planning.hollow import emptied, hollow_c2ser, settings_of
from c2ser.planning.workload import usual_items
from c2ser.training.c2ser_data import Corpus, RawBatch
from c2ser.training.c2ser_objective import C2SERObjective
from c2ser.training.config import BatchConfig, Emotion2VecValidConfig, GuardConfig, Stage, TeacherConfig
from c2ser.training.config import LossConfig as C2SERLossConfig
from c2ser.training.emotion2vec_objective import Emotion2VecObjective, Material
from c2ser.training.emotion2vec_setup import read_material

NUMBER = 500
"""Made-up utterances of an epoch."""


class HollowObjective(C2SERObjective):
    """The objective of C²SER over a network without weights."""

    def fingerprint_frozen(self) -> str:
        """Return nothing: there are no weights."""
        return ""

    def _check_acoustic(self) -> None:
        """Compute nothing."""


@dataclass
class C2SERPlan:
    """A training of C²SER that is planned.

    Attributes:
        stage: its stage.
        model: what the model is made of.
        batches: how utterances become batches.
        losses: weights of further losses.
        spec_augment: masks.
        items: its utterances.
        extracted: whether acoustic vectors are read and not computed.
        stand_in: whether tokens are estimated; known after `make`.
        network: the network itself, where it is there; else one of `model`'s sizes is made.
    """

    stage: Stage
    model: C2SERConfig
    batches: BatchConfig
    losses: C2SERLossConfig | None
    spec_augment: SpecAugment | None
    items: dict[str, Item]
    extracted: bool
    stand_in: bool = False
    network: C2SERNetwork | None = None

    @classmethod
    def read(
        cls, stage: Stage, model: C2SERConfig, batches: BatchConfig, losses: C2SERLossConfig | None,
        spec_augment: SpecAugment | None, data: Path | None, init: Path | None, extracted: bool,
    ) -> "C2SERPlan":  # fmt: skip
        """Read the data, and the settings of the model that training starts from.

        Raises:
            ValueError: one of them is not there.
        """
        if init:
            given, model = model, settings_of(init)
            model = replace(model, trainable=given.trainable, checkpointing=given.checkpointing)
        if stage != "finetune":
            model = replace(model, style="explicit" if stage == "explicit" else "implicit")
        styles: list[Style] = ["explicit", "implicit"] if stage == "implicit" else [model.style]
        items = read_items(data, styles) if data else usual_items(NUMBER, styles)
        return cls(stage, model, batches, losses, spec_augment, items, extracted)

    def make(self) -> C2SERObjective:
        """Return the objective, on the meta device.

        Raises:
            ValueError: an utterance fits into no batch, or a part of the model is unknown.
        """
        if self.network:
            network, valid = emptied(self.network), dict(islice(self.items.items(), 7))
        else:
            texts = [text for item in list(self.items.values())[:50] for text in item.answers.values()]
            network, self.stand_in = hollow_c2ser(replace(self.model), texts)
            valid = usual_items(7, [self.model.style])
        # nothing is validated; features that are kept cost a step nothing, and one by one they would take longer here
        corpus = Corpus(self.items, valid, replace(self.batches, keep_features=False), self.spec_augment)
        with torch.device("meta"):
            objective = HollowObjective(network, self.stage, corpus, 777, self.losses)
        objective.steps = 1
        return objective

    def raw(self, objective: C2SERObjective, names: Sequence[str], explicit: bool) -> RawBatch:
        """Return the data of a micro-batch of these utterances: silence, whose features cost as much as speech's."""
        loaded: dict[str, LoadedItem | None] = {}
        encoder, vectors = objective.model.acoustic, None
        if isinstance(encoder, AcousticEncoder):
            vectors = np.zeros((encoder.model.config.tokens, encoder.dim), np.float32)
        for name in names:
            item = self.items[name]
            wave = np.zeros(int(item.seconds * SAMPLE_RATE), np.float32)
            loaded[name] = LoadedItem(item, wave, vectors if self.extracted else None)
        return RawBatch(LoadedBatch(loaded), 0.0 if explicit else 1.0)


@dataclass
class Emotion2VecPlan:
    """A training of Emotion2Vec-S that is planned.

    Attributes:
        model: sizes of the encoder.
        masks: how utterances are masked.
        losses: weights and variants of the losses.
        teacher: how the teacher follows the student.
        material: its utterances.
    """

    model: Emotion2VecConfig
    masks: MaskConfig
    losses: LossConfig
    teacher: TeacherConfig
    material: Material

    @classmethod
    def read(
        cls, model: Emotion2VecConfig, masks: MaskConfig, losses: LossConfig, teacher: TeacherConfig,
        batches: CropConfig, data: Path | None,
    ) -> "Emotion2VecPlan":  # fmt: skip
        """Read the data.

        Raises:
            ValueError: it is not there.
        """
        validation = Emotion2VecValidConfig()
        if data:
            material = read_material(data, data, [], batches, validation)
        else:
            items = usual_items(NUMBER, [])
            utterances = {name: item.utterance for name, item in items.items()}
            seconds = {name: item.seconds for name, item in items.items()}
            material = Material(utterances, utterances, seconds, batches, validation)
        return cls(model, masks, losses, teacher, material)

    def make(self) -> Emotion2VecObjective:
        """Return the objective, on the meta device."""
        with torch.device("meta"):
            encoder = Emotion2Vec(self.model)
            return Emotion2VecObjective(
                encoder, self.material, self.masks, self.losses, self.teacher, GuardConfig(), 777
            )

    def raw(self, names: Sequence[str]) -> Crops:
        """Return the data of a micro-batch of these utterances."""
        seconds = [min(self.material.crops.crop_seconds, self.material.seconds[name]) for name in names]
        waves = np.zeros((len(names), int(min(seconds) * SAMPLE_RATE)), np.float32)
        emotions = [self.material.train[name].emotion for name in names]
        return Crops(list(names), waves, emotions, rng(777))


def batches_of(objective: C2SERObjective | Emotion2VecObjective) -> Batches:
    """Return the order of an objective's micro-batches."""
    return objective.batches if isinstance(objective, C2SERObjective) else objective.stream.order
