"""The C²SER model that a training starts from, and the models that it ends with."""

from collections.abc import Callable
from pathlib import Path

import torch

from c2ser.model.c2ser import C2SER
from c2ser.model.config import C2SERConfig
from c2ser.training import checkpoint
from c2ser.training.config import Stage
from c2ser.training.settings import flat, plain
from c2ser.training.weights import check_fit

OWN = "model."
"""How the names of a model's weights begin in a checkpoint: as the objective holds it."""

FREE = ("trainable", "style", "checkpointing")
"""What a training may choose anew for a model that it starts from; the rest comes with that model."""


def start(stage: Stage, config: C2SERConfig, init: Path | None, seed: int) -> C2SER:
    """Return the model that a stage starts from, the same one each time.

    Args:
        stage: the stage.
        config: what a new model is made of; with `init`, only `trainable` and `checkpointing` count.
        init: folder of a trained model.
        seed: decides new weights.

    Raises:
        ValueError: the stage needs a trained model, or the configuration asks for another one than `init`.
    """
    if init is None and stage not in ("explicit", "direct"):
        what = "the explicit stage's folder" if stage == "implicit" else "its folder"
        raise ValueError(f"the {stage} stage starts from a model; give {what} with --init")
    torch.manual_seed(seed)
    model = C2SER.from_pretrained(init) if init else C2SER.build(config)
    if init:
        _check_same(config, model.config, init)
    model.set_trainable(config.trainable)
    model.set_checkpointing(config.checkpointing)
    if stage != "finetune":
        model.config.style = "explicit" if stage == "explicit" else "implicit"
    return model


def _check_same(given: C2SERConfig, stored: C2SERConfig, init: Path) -> None:
    """Refuse settings that were given, that is differ from the defaults, and are not those of the model."""
    wanted, default, there = (flat(plain(part)) for part in (given, C2SERConfig(), stored))
    odd = [
        f"model.{name}: {value} wanted, {there[name]} there"
        for name, value in wanted.items()
        if name not in FREE and value not in (default[name], there[name])
    ]
    if odd:
        raise ValueError(f"{init}: another model than the configuration asks for ({'; '.join(odd)}); leave these out")


@torch.no_grad()
def export(make: Callable[[], C2SER], weights: Path | None, folder: Path) -> None:
    """Write a model folder.

    The model is made anew: the one that was trained may be shared by several processes.

    Args:
        make: gives the model that training started from.
        weights: checkpoint with the weights that were trained; None keeps those of the start.
        folder: where to write.

    Raises:
        ValueError: the checkpoint is missing or damaged, or of another model.
    """
    model = make()
    if weights is not None:
        if not checkpoint.is_valid(weights):
            raise ValueError(f"{weights}: missing or damaged; remove {weights.parent} and train again")
        tensors = {name.removeprefix(OWN): t for name, t in checkpoint.load(weights)[0]["trained"].items()}
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        check_fit(tensors, parameters, weights)
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    model.save_pretrained(folder)


def export_epochs(make: Callable[[], C2SER], checkpoints: Path, epochs: list[int], out: Path) -> None:
    """Write `<out>/epoch_<N>` for every kept epoch; epoch 0 is the model that training started from."""
    for epoch in epochs:
        export(make, checkpoints / f"epoch_{epoch}" if epoch else None, out / f"epoch_{epoch}")
