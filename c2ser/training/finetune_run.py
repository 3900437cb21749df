"""From data directories to the folder of an encoder with a head: trained, calibrated, scored, described."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from c2ser.cli import save_config
from c2ser.corpus import Utterance
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.data.targets import target_names
from c2ser.label_sets import LabelSet, own_classes, read_label_set
from c2ser.log import get_logger
from c2ser.model.config import Tuning
from c2ser.model.folder import CALIBRATION
from c2ser.model.head_card import HeadFacts, format_head_card
from c2ser.model.head_folder import save_head
from c2ser.model.head_model import HeadModel
from c2ser.model.head_network import HeadNetwork
from c2ser.model.speech_encoders import read_encoder
from c2ser.ratings import Target
from c2ser.scoring.probabilities import fit_to_shares
from c2ser.tables import write_json, write_text
from c2ser.training.config import HeadBatchConfig, HeadTrainConfig, OptimConfig
from c2ser.training.finetune_scores import score_set, shown_figures
from c2ser.training.finetune_sets import FinetuneSets
from c2ser.training.head_objective import HeadMaterial, HeadObjective
from c2ser.training.loop import train

logger = get_logger(__name__)

OPTIMS: Mapping[Tuning, OptimConfig] = {
    "frozen": OptimConfig(lr=1e-4, warmup=0.01, schedule="constant"),
    "lora": OptimConfig(lr=5e-4, lr_by_part={"head": 1e-3}, betas=(0.9, 0.98), warmup=0.1, schedule="cosine"),
    "full": OptimConfig(lr=2e-5, lr_by_part={"head": 1e-3}, betas=(0.9, 0.98), warmup=0.1, schedule="cosine"),
}
"""What suits a way to train. A head alone has EmoBox's rate: ten times that was worse (docs/finetune.md)."""

TRAININGS: Mapping[Tuning, HeadTrainConfig] = {
    "frozen": HeadTrainConfig(epochs=100, patience=20),
    "lora": HeadTrainConfig(),
    "full": HeadTrainConfig(),
}
"""How long; an epoch of a head alone takes seconds."""


@dataclass
class FinetuneConfig:
    """What is trained.

    Attributes:
        encoder: the encoder, as `c2ser.model.speech_encoders.read_encoder` takes it.
        layer: how many of its layers are kept; see there.
        tuning: what of it is trained.
        rank: of its adapters, if they are trained.
        hidden: size of the head's projection.
        target: what is learnt.
        batches: how utterances become batches.
        optim: optimiser and schedule; None takes what suits `tuning`.
        training: how long to train and how often to look; None takes what suits `tuning`.
        spec_augment: masks on spectrograms; None for none.
    """

    encoder: str
    layer: int | None = None
    tuning: Tuning = "frozen"
    rank: int = 8
    hidden: int = 256
    target: Target = "emotion"
    batches: HeadBatchConfig = field(default_factory=HeadBatchConfig)
    optim: OptimConfig | None = None
    training: HeadTrainConfig | None = None
    spec_augment: SpecAugment | None = None

    def __post_init__(self) -> None:
        """Take the defaults of the way to train."""
        self.optim = self.optim or OPTIMS[self.tuning]
        self.training = self.training or TRAININGS[self.tuning]


def finetune(sets: FinetuneSets, config: FinetuneConfig, out: Path, score: bool = True) -> dict[str, dict[str, Any]]:
    """Train, and write the model's folder with its results; a run that was killed goes on.

    Args:
        sets: data directories.
        config: what is trained.
        out: the folder.
        score: whether the validation and test sets are scored.

    Returns:
        figures by set, as scores.json has them; none in all but the first of several processes.

    Raises:
        ValueError: the encoder or a set cannot be used, or training fails.
    """
    assert config.optim and config.training
    learnt, held_out = (read_items(folder, []) for folder in (sets.train, sets.valid))
    utterances = {name: item.utterance for name, item in learnt.items()}
    outputs = target_names(utterances, config.target)
    if config.target != "dimensions" and len(outputs) < 2:
        raise ValueError(f"{sets.train}: has {', '.join(outputs)} alone; a classifier needs two classes")
    labels = _labels(sets.train, outputs, config.target)
    torch.manual_seed(config.training.seed)
    network = HeadNetwork(read_encoder(config.encoder, config.layer), outputs, config.hidden)
    network.tune(config.tuning, config.rank)
    material = HeadMaterial(learnt, held_out, config.target, config.batches, config.spec_augment)
    objective = HeadObjective(network, material, config.training.seed)
    train(objective, config.optim, config.training, out)
    if not PartialState().is_main_process:
        return {}
    network.eval()
    logits = {}
    if config.target != "dimensions":
        logits = objective.outputs(objective.valid_batches, "the calibration")
    objective.finish()
    save_head(network, out, config.target, labels, _source(config))
    model = HeadModel(network, config.target, labels)
    if logits:
        model.temperature = _calibrate(logits, objective.rows, out, sets.valid)
    save_config(out, train=sets.train, valid=sets.valid, tests=list(sets.tests), **vars(config))
    scored = sets.scored() if score else {}
    figures = {name: score_set(model, folder, out / f"decode_{name}") for name, folder in scored.items()}
    counts = {"train": _counts(utterances), "valid": _counts({i: item.utterance for i, item in held_out.items()})}
    write_text(out / "README.md", _card(config, network, figures, counts if config.target != "dimensions" else {}))
    logger.info("%s: written; try it with c2ser predict --model %s", out, out)
    return figures


def _labels(data: Path, outputs: Sequence[str], target: Target) -> LabelSet:
    """Return all classes of a data directory, also those that no utterance has."""
    labels = read_label_set(data)
    return labels if target == "dimensions" or {*outputs} <= {*labels} else own_classes(outputs)


def _source(config: FinetuneConfig) -> dict[str, Any]:
    return {"encoder": config.encoder, "layer": config.layer, "tuned": _tuned(config)}


def _tuned(config: FinetuneConfig) -> str:
    return {"frozen": "nothing", "lora": f"adapters of rank {config.rank}, merged", "full": "all"}[config.tuning]


def _calibrate(logits: Mapping[str, np.ndarray], shares: Mapping[str, np.ndarray], out: Path, valid: Path) -> float:
    """Fit the temperature to the classes or votes of the validation set, write it into the folder and return it."""
    known = sorted(name for name in logits if shares[name].any())  # not those of classes that the training set lacks
    if not known:
        raise ValueError(f"{valid}: no utterance is of a class of the training set; give another one with --valid")
    fitted = fit_to_shares(np.stack([logits[n] for n in known]), np.stack([shares[n] for n in known]).astype(float))
    write_json(out / CALIBRATION, {**fitted, "data": valid.name})
    logger.info("temperature %.3f, fitted on %d utterances", fitted["temperature"], fitted["utterances"])
    return float(fitted["temperature"])


def _counts(utterances: Mapping[str, Utterance]) -> dict[str, int]:
    return dict(Counter(u.emotion for u in utterances.values() if u.emotion))


def _card(
    config: FinetuneConfig,
    network: HeadNetwork,
    figures: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, Mapping[str, int]],
) -> str:
    layers = f", the first {len(network.encoder.layers())} layers"
    notes = ["The validation set chose the weights" + (" and the temperature" if config.target != "dimensions" else "")
             + ", so its figures are too good."]  # fmt: skip
    settings = {"optim": config.optim, "training": config.training}
    facts = HeadFacts(
        encoder=config.encoder + layers,
        tuned=_tuned(config),
        counts=counts,
        figures={name: shown_figures(row) for name, row in figures.items()},
        training={name: {key: _plain(value) for key, value in vars(part).items()} for name, part in settings.items()},
        notes=notes,
    )
    return format_head_card(config.target, network.outputs, facts)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
