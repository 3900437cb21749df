"""The folder of a trained probe: config.json and model.safetensors."""

import dataclasses
import hashlib
from pathlib import Path

from c2ser.emotion2vec.checkpoints import find_mismatch
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import Probe, TrainedProbe
from c2ser.log import one_line
from c2ser.tables import read_json
from c2ser.tensors import read_tensors, write_weights

KIND = "c2ser.probe"
"""What config.json calls such a folder."""

WEIGHTS = "model.safetensors"


def save_probe(probe: TrainedProbe, folder: str | Path) -> None:
    """Write a probe; each file appears when it is complete, config.json, which loading needs, last."""
    described = {"kind": KIND, "names": probe.names, "dim": probe.network.hidden.in_features}
    chosen = {"valid_quality": probe.quality, "epoch": probe.epoch, "encoder_sha256": probe.encoder}
    settings = {"probe": dataclasses.asdict(probe.config)}
    write_weights(folder, WEIGHTS, probe.network.state_dict(), {**described, **chosen, **settings})


def load_probe(folder: str | Path) -> TrainedProbe:
    """Read the folder that `save_probe` wrote; the probe is in evaluation mode.

    Raises:
        ValueError: the folder is no probe, or its weights do not fit or are not finite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json, so no probe is here; give the folder that train_probe wrote")
    values = read_json(folder / "config.json")
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ValueError(f"{folder}: not a probe; give the folder that train_probe wrote")
    tensors = read_tensors(folder / WEIGHTS)
    try:
        config, names = ProbeConfig(**values["probe"]), [str(name) for name in values["names"]]
        network = Probe(values["dim"], config.hidden, len(names))
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        if mismatch := find_mismatch(tensors, shapes):
            raise ValueError(mismatch)
        network.load_state_dict(tensors)
        chosen = (values["valid_quality"], values["epoch"], values["encoder_sha256"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{folder}: damaged ({one_line(error, 300)}); train the probe again") from None
    return TrainedProbe(network.eval(), names, config, *chosen)


def weights_sha256(encoder: str | Path) -> str | None:
    """Return the SHA-256 of an encoder's weights, a file or a folder with model.safetensors; None if there are none.

    A probe keeps it, so that it is not used on the embeddings of another encoder.
    """
    path = Path(encoder) / WEIGHTS if Path(encoder).is_dir() else Path(encoder)
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
