"""The network that a training of C²SER starts from, and the models that it writes."""

from collections.abc import Callable
from pathlib import Path

import torch

from c2ser.label_sets import SEVEN, LabelSet
from c2ser.log import get_logger
from c2ser.model.c2ser import C2SER
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig
from c2ser.model.folder import load_network
from c2ser.model.hub import find_model
from c2ser.training import checkpoint
from c2ser.training.config import Stage
from c2ser.training.settings import flat, plain
from c2ser.training.weights import check_fit

logger = get_logger(__name__)

PREFIX = "model."
"""Prefix of the network's weights in a checkpoint: its name in the objective."""

FREE = ("trainable", "style", "checkpointing")
"""Settings that a training may change in the model that it starts from."""


def start(
    stage: Stage,
    config: C2SERConfig,
    init: Path | None,
    seed: int,
    labels: LabelSet = SEVEN,
    mapped: bool = False,
) -> C2SERNetwork:
    """Return the network that a stage starts from; each call gives the same one.

    Args:
        stage: the stage.
        config: settings of a new model; with `init`, only `trainable` and `checkpointing` count.
        init: folder of a trained model.
        seed: decides new weights.
        labels: the classes of the data; a model that starts from one with others learns to name these instead.
        mapped: leave the language model in its files until processes divide it; see `load_llm`.

    Raises:
        ValueError: the stage needs a trained model, or `init` differs from the configuration.
    """
    if init is None and stage not in ("explicit", "direct"):
        what = "the explicit stage's folder" if stage == "implicit" else "its folder"
        raise ValueError(f"the {stage} stage starts from a model; give {what} with --init")
    torch.manual_seed(seed)
    network = load_network(find_model(init), mapped) if init else C2SER.build(config, labels, mapped).network
    if init:
        _check_same(config, network.config, init)
        if network.labels != labels:
            logger.info("%s: names %s; now it learns %s", init, ", ".join(network.labels), ", ".join(labels))
            network.labels = labels
    network.set_trainable(config.trainable)
    network.set_checkpointing(config.checkpointing)
    if stage != "finetune":
        network.config.style = "explicit" if stage == "explicit" else "implicit"
    return network


def _check_same(given: C2SERConfig, stored: C2SERConfig, init: Path) -> None:
    """Refuse settings that were given (they differ from the defaults) and are not those of the model."""
    wanted, default, there = (flat(plain(part)) for part in (given, C2SERConfig(), stored))
    differences = [
        f"model.{name}: {value} wanted, {there[name]} there"
        for name, value in wanted.items()
        if name not in FREE and value not in (default[name], there[name])
    ]
    if differences:
        raise ValueError(
            f"{init}: another model than the configuration asks for ({'; '.join(differences)}); leave these out"
        )


@torch.no_grad()
def export(make: Callable[[], C2SERNetwork], weights: Path | None, folder: Path) -> None:
    """Write a model folder.

    The network is made again: several processes may shard the one that was trained.

    Args:
        make: returns the network that training started from.
        weights: checkpoint with the trained weights; None keeps those of the start.
        folder: where to write.

    Raises:
        ValueError: the checkpoint is missing or damaged, or of another model.
    """
    network = make()
    if weights is not None:
        if not checkpoint.is_valid(weights):
            raise ValueError(f"{weights}: missing or damaged; remove {weights.parent} and train again")
        trained = checkpoint.load(weights)[0]["trained"]
        tensors = {name.removeprefix(PREFIX): t for name, t in trained.items() if name.startswith(PREFIX)}
        parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        check_fit(tensors, parameters, weights)
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    C2SER(network).save_pretrained(folder)


def export_epochs(make: Callable[[], C2SERNetwork], checkpoints: Path, epochs: list[int], out: Path) -> None:
    """Write `<out>/epoch_<N>` for every kept epoch; epoch 0 is the model that training started from."""
    for epoch in epochs:
        export(make, checkpoints / f"epoch_{epoch}" if epoch else None, out / f"epoch_{epoch}")
