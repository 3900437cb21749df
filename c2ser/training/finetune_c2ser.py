"""A trained C²SER on data of one's own: its adapters and connector learn the classes, in implicit chains of thought."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState

from c2ser.chat.config import ChatConfig
from c2ser.cli import save_config
from c2ser.corpus import read_data_dir
from c2ser.cot.generate import generate_cot
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.data.subset import write_subset
from c2ser.devices import move
from c2ser.label_sets import read_label_set
from c2ser.model.c2ser import C2SER
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, DecodeConfig
from c2ser.model.decoding import calibrate, decode
from c2ser.model.export import write_card
from c2ser.model.hub import find_model
from c2ser.ratings import Target
from c2ser.scoring.labels import read_label
from c2ser.tables import read_json, read_table, write_table
from c2ser.training.c2ser_data import Corpus
from c2ser.training.c2ser_objective import C2SERObjective
from c2ser.training.config import BatchConfig, HeadBatchConfig, HeadTrainConfig, LossConfig, OptimConfig, ValidConfig
from c2ser.training.finetune_scores import label_figures, write_figures
from c2ser.training.finetune_sets import FinetuneSets
from c2ser.training.head_objective import keeps_features
from c2ser.training.loop import train
from c2ser.training.models import export, start

OPTIM = OptimConfig(lr=3e-4, betas=(0.9, 0.98), warmup=0.1, schedule="cosine")
"""As in the recipes' fine-tuning of the small size."""

TOKENS = 20000
"""Padded tokens in one batch, at most; `batches.seconds` is the limit that counts."""


@dataclass
class C2SERFinetuneConfig:
    """What is trained.

    Attributes:
        model: folder or hub id of a trained C²SER.
        target: the emotion or, drawn anew each time, one of the votes.
        batches: how utterances become batches.
        optim: optimiser and schedule; None takes `OPTIM`.
        training: how long to train and how often to look; None takes the defaults.
        spec_augment: masks on spectrograms; None for none.
    """

    model: str
    target: Target = "emotion"
    batches: HeadBatchConfig = field(default_factory=HeadBatchConfig)
    optim: OptimConfig | None = None
    training: HeadTrainConfig | None = None
    spec_augment: SpecAugment | None = None


def finetune_c2ser(
    sets: FinetuneSets, config: C2SERFinetuneConfig, out: Path, score: bool = True
) -> dict[str, dict[str, Any]]:
    """Train, and write the model's folder with its results; see `c2ser.training.finetune_run.finetune`.

    Raises:
        ValueError: there is no such model, a set cannot be used, or training fails.
    """
    if config.target == "dimensions":
        raise ValueError("--target dimensions: C²SER names classes; leave --model out, and a head learns dimensions")
    folder, training = find_model(config.model), config.training or HeadTrainConfig()
    learnt, held_out = (_with_answers(path, out / "data" / name) for name, path in
                        (("train", sets.train), ("valid", sets.valid)))  # fmt: skip
    make = partial(start, "direct", _wanted(folder), folder, training.seed, read_label_set(learnt))
    sizes, items = config.batches, [read_items(data, ["implicit"]) for data in (learnt, held_out)]
    batches = BatchConfig(sizes.seconds, TOKENS, sizes.utterances, keeps_features(sizes, items))
    corpus = Corpus(items[0], items[1], batches, config.spec_augment, ValidConfig())
    losses = LossConfig(emotion=1.0, sample_votes=config.target == "votes")
    objective = C2SERObjective(make(), "direct", corpus, training.seed, losses)
    best = train(objective, config.optim or OPTIM, training, out)
    if not PartialState().is_main_process:
        return {}
    return _written(make, best, sets, config, out, score)


def _written(
    make: Callable[[], C2SERNetwork],
    best: Path,
    sets: FinetuneSets,
    config: C2SERFinetuneConfig,
    out: Path,
    score: bool,
) -> dict[str, dict[str, Any]]:
    """Write the model with its temperature, and score it."""
    export(make, best, out)
    save_config(out, train=sets.train, valid=sets.valid, tests=list(sets.tests), **vars(config))
    model = move(C2SER.from_pretrained(out), "auto")
    calibrate(model, out, sets.valid, DecodeConfig())
    scored = sets.scored() if score else {}
    figures = {name: _score(model, data, out / f"decode_{name}") for name, data in scored.items()}
    write_card(model.network, out)
    return figures


def _wanted(folder: Path) -> C2SERConfig:
    """Return settings that leave a model as it is, and train of it what was trained."""
    values = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if not isinstance(values, dict) or not isinstance(values.get("c2ser"), dict):
        raise ValueError(f"{folder}: no C²SER model; give one with --model, or an encoder with --encoder")
    return C2SERConfig(trainable=values["c2ser"]["trainable"])


def _with_answers(data: Path, out: Path) -> Path:
    """Write a copy of a data directory with implicit chains of thought, and return it."""
    if data != out:
        write_subset(data, out, read_data_dir(data), {}, {})
    generate_cot(out, out / "cot_implicit", "implicit", ChatConfig(), "template", 1, "reject")
    return out


def _score(model: C2SER, data: Path, out: Path) -> dict[str, Any]:
    """Let a model answer for a data directory; write its labels and figures, and return these."""
    decode(model, data, out / "answer", DecodeConfig())
    answers = read_table(out / "answer")
    labels = {name: read_label(answer, labels=model.network.labels) for name, answer in answers.items()}
    write_table(out / "utt2emo", labels)
    figures = label_figures(read_data_dir(data), labels)
    write_figures(figures, out)
    return figures
