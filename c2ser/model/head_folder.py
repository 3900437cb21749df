"""The folder of an encoder with a head: config.json, model.safetensors, calibration.json and a model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from c2ser.emotion2vec.checkpoints import find_mismatch
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.log import one_line
from c2ser.model.folder import CALIBRATION, WEIGHTS
from c2ser.model.head_network import HeadNetwork
from c2ser.model.speech_encoders import empty_encoder
from c2ser.ratings import Target
from c2ser.tables import read_json
from c2ser.tensors import read_tensors, write_weights

KIND = "c2ser.head"
"""What config.json calls such a folder."""

FORMAT = 1
"""Raised when the folder's layout changes in a way that older versions cannot read."""


def save_head(
    network: HeadNetwork, folder: str | Path, target: Target, labels: LabelSet, source: Mapping[str, Any]
) -> None:
    """Write a trained network, its adapters merged; config.json, which loading needs, appears last.

    Args:
        network: the network.
        folder: where to; an older temperature there is removed.
        target: what its outputs are.
        labels: all classes of its data.
        source: what the encoder was and how it was trained, for people.

    Raises:
        ValueError: a weight is NaN or infinite; what the folder held before stays.
    """
    network.merge()
    tensors = network.state_dict()
    if damaged := _not_finite(tensors):
        raise ValueError(
            f"{folder}: {damaged} holds NaN or Inf; its training diverged, repeat it with a lower optim.lr"
        )
    (Path(folder) / CALIBRATION).unlink(missing_ok=True)
    described = {
        "kind": KIND,
        "format": FORMAT,
        "target": target,
        "outputs": network.outputs,
        **({} if labels == SEVEN else {"labels": labels.as_json()}),
        "hidden": network.head.hidden.out_features,
        "encoder": network.encoder.describe(),
        "source": source,
    }
    write_weights(folder, WEIGHTS, tensors, described)


def is_head(folder: Path) -> bool:
    """Return whether a folder says that it is one of these."""
    values = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    return isinstance(values, dict) and values.get("kind") == KIND


def load_head(folder: str | Path) -> tuple[HeadNetwork, Target, LabelSet]:
    """Read the folder that `save_head` wrote; the network is in evaluation mode.

    Returns:
        the network, what its outputs are, and all classes of its data.

    Raises:
        ValueError: the folder is none of these, or its weights do not fit or are not finite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json, so no model is here; give another, or finish its training")
    values = read_json(folder / "config.json")
    if not isinstance(values, dict) or values.get("kind") != KIND or values.get("format") != FORMAT:
        raise ValueError(f"{folder}: no model of c2ser finetune, of format {FORMAT}; give the folder that it wrote")
    tensors = read_tensors(folder / WEIGHTS)
    try:
        if values["target"] not in get_args(Target):
            raise ValueError(f"unknown target {values['target']}")
        outputs = [str(name) for name in values["outputs"]]
        labels = LabelSet.from_json(values["labels"], "its classes") if "labels" in values else SEVEN
        if values["target"] != "dimensions" and (strange := sorted({*outputs} - {*labels})):
            raise ValueError(f"{strange[0]} is none of its classes")
        network = HeadNetwork(empty_encoder(values["encoder"]), outputs, values["hidden"])
        if mismatch := find_mismatch(tensors, {name: t.shape for name, t in network.state_dict().items()}):
            raise ValueError(mismatch)
        network.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error, 300)
        raise ValueError(f"{folder}: damaged ({reason}); copy it again from its source, or train again") from None
    return network.eval(), values["target"], labels


def _not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of a tensor that is not finite, if there is one."""
    return next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
