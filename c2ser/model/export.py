"""A trained model as a folder to publish: without checkpoints, with a full model card, on request with LoRA merged."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from c2ser.corpus import read_data_dir
from c2ser.log import get_logger
from c2ser.model.adapters import merge_adapters
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.folder import CALIBRATION, load_network, save_network
from c2ser.model.hub import find_model
from c2ser.model.model_card import format_card
from c2ser.tables import read_json, write_text
from c2ser.tensors import whole_folder
from c2ser.yaml_files import read_yaml

logger = get_logger(__name__)


def export(source: str | Path, out: str | Path, merge: bool) -> None:
    """Write a trained model as a new folder, complete or not at all.

    Args:
        source: folder of a trained model, or its id on the hub.
        out: the new folder.
        merge: add the LoRA adapters to the language model's weights, which are then stored in the folder.

    Raises:
        ValueError: `out` exists, `source` is no model, or there are no adapters to merge.
    """
    out = Path(out)
    if out.exists():
        raise ValueError(f"{out}: exists; choose a new folder, or remove it first")
    source = find_model(source)
    network = load_network(source)
    if merge:
        merge_lora(network)
    elif not network.llm_inside:
        logger.warning("%s: reads its language model from %s; --merge_lora makes one that is complete",
                       out, network.config.llm)  # fmt: skip
    with whole_folder(out) as temporary:
        save_network(network, temporary)
        if (source / CALIBRATION).exists():
            shutil.copy(source / CALIBRATION, temporary / CALIBRATION)
        write_text(temporary / "README.md", _card(network, source))
    logger.info("%s: written", out)


def merge_lora(network: C2SERNetwork) -> None:
    """Add each adapter to the weight that it adapts; the model gives the same answers, without adapters.

    Raises:
        ValueError: the model has none.
    """
    if not merge_adapters(network.language.llm):
        raise ValueError("the model has no LoRA adapters; export it without --merge_lora")
    network.config.lora = dataclasses.replace(network.config.lora, r=0)
    network.llm_inside = True
    network.set_trainable([part for part in network.config.trainable if part != "lora"])


def write_card(network: C2SERNetwork, folder: Path) -> None:
    """Write a trained model's card anew, with the settings and scores that its folder has by now."""
    write_text(folder / "README.md", _card(network, folder))


def _card(network: C2SERNetwork, source: Path) -> str:
    """Return the model card, with the training settings and scores that the source folder has."""
    training, scores = _settings(source / "config.yaml"), {}
    for path in sorted(source.glob("decode_*/scores.json")):
        scores[path.parent.name.removeprefix("decode_")] = read_json(path)
    folders = [Path(str(training[name])) for name in ("train", "valid") if name in training]
    counts = {
        folder.name: Counter(u.emotion for u in read_data_dir(folder).values() if u.emotion)
        for folder in folders
        if (folder / "wav.scp").exists()
    }
    return format_card(network.config, network.llm_inside, network.labels, training, counts, scores)


def _settings(path: Path) -> dict[str, Any]:
    values = read_yaml(path) if path.exists() else None
    return values if isinstance(values, dict) else {}
