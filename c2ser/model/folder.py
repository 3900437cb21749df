"""A trained C²SER model as one folder: config.json, model.safetensors, tokenizer, model card."""

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, WhisperConfig

from c2ser.audio import SAMPLE_RATE
from c2ser.data.datasets import MAX_SECONDS
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.log import one_line
from c2ser.model.acoustic import empty_acoustic
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings, check_fields
from c2ser.model.fingerprints import llm_fingerprint, tokenizer_fingerprint
from c2ser.model.llm_loading import empty_llm, load_llm, load_tokenizer
from c2ser.model.lm import LanguageModel
from c2ser.model.model_card import format_card
from c2ser.model.perception import HOP, WINDOW, WhisperEncoder
from c2ser.pretrained import PLACE, find_model
from c2ser.tables import read_json, write_json, write_text
from c2ser.tensors import read_tensors, whole_folder, write_tensors

FORMAT = 3
"""Raised when the folder's layout changes in a way that older versions cannot read."""

OWN_CLASSES_FORMAT = 4
"""The format of models with classes other than the seven; older versions would take these for the seven."""

FORMATS = (2, FORMAT, OWN_CLASSES_FORMAT)
"""The formats that this version reads."""

OLD_KEYS = {"llm_print": "llm_fingerprint", "tokenizer_print": "tokenizer_fingerprint"}
"""Keys of config.json in format 2, and what they are called now."""

OLD_WEIGHTS = (
    (re.compile(r"(connector\.layers\.\d+)\.rise\."), r"\1.up_proj."),
    (re.compile(r"(connector\.layers\.\d+)\.fall\."), r"\1.down_proj."),
)
"""Names of weights in format 2, and what they are called now."""

WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"
"""The temperature of the label probabilities, once it is fitted."""

FEATURES = {"sample_rate": SAMPLE_RATE, "window": WINDOW, "hop": HOP, "max_seconds": MAX_SECONDS}
"""The input of models of this version: samples per second, per window and between windows, longest segment (s)."""


def save_network(network: C2SERNetwork, folder: str | Path) -> None:
    """Write a model; each file appears when it is complete, config.json, which loading needs, last.

    The language model's own weights are stored if they were trained; otherwise its name is stored, and they are read
    from there.

    Raises:
        ValueError: a weight is NaN or infinite; what the folder held before stays.
    """
    folder, tensors = Path(folder), _stored_tensors(network)
    _check_finite(tensors, folder, "its training diverged, go back to an earlier checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("config.json", CALIBRATION):
        (folder / stale).unlink(missing_ok=True)
    shutil.rmtree(folder / CALIBRATION.removesuffix(".json"), ignore_errors=True)
    with whole_folder(folder / "tokenizer") as temporary:
        network.language.tokenizer.save_pretrained(temporary)
    temporary = folder / f".{WEIGHTS}.tmp"
    write_tensors(temporary, tensors)
    os.replace(temporary, folder / WEIGHTS)
    write_text(folder / "README.md", format_card(network.config, network.llm_inside, network.labels))
    write_json(folder / "config.json", _describe(network))


def load_network(folder: str | Path, mapped: bool = False) -> C2SERNetwork:
    """Read the network of a model that `save_network` wrote, in evaluation mode.

    Args:
        folder: the model's folder.
        mapped: see `load_llm`.

    Raises:
        ValueError: the folder is not a C²SER model, its parts do not fit each other, or a weight is NaN or infinite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: no config.json, so no C²SER model is here; give the folder of one, or finish its training"
        )
    description = _read_description(folder)
    network = _build_empty(folder, description, mapped)
    tensors = read_tensors(folder / WEIGHTS)
    load_weights(network, _renamed(tensors) if description["format"] < FORMAT else tensors, folder)
    return network.eval()


def read_temperature(folder: str | Path) -> float:
    """Return the temperature of the label probabilities of a model, 1 if none was fitted.

    Raises:
        ValueError: the file holds no temperature.
    """
    path = Path(folder) / CALIBRATION
    if not path.exists():
        return 1.0
    values = read_json(path)
    temperature = values.get("temperature") if isinstance(values, dict) else None
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < inf:
        raise ValueError(f"{path}: holds no temperature above 0; delete it and calibrate again")
    return float(temperature)


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the content of config.json, with the keys of the present format."""
    description = read_json(folder / "config.json")
    if not isinstance(description, dict) or description.get("format") not in FORMATS:
        raise ValueError(
            f"{folder}/config.json: not a C²SER model of format 2 to {FORMATS[-1]}; use the version that wrote it"
        )
    return {OLD_KEYS[key] if key in OLD_KEYS else key: value for key, value in description.items()}


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of format 2 under their present names."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in OLD_WEIGHTS:
            name = pattern.sub(replacement, name)
        renamed[name] = tensor
    return renamed


def load_weights(network: C2SERNetwork, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Give a network its weights, all of them or none.

    Args:
        network: the network; weights that are not stored, such as an untrained language model's, stay as they are.
        tensors: weights by name.
        source: where they are from, for messages.

    Raises:
        ValueError: weights are missing, unknown, of another shape, NaN or infinite.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in _stored_tensors(network).items()}
    if mismatched := sorted(set(expected) ^ set(tensors)):
        first, number = mismatched[0], len(mismatched)
        raise ValueError(
            f"{source}: {number} weights do not fit its configuration, {first} is "
            f"{'missing' if first in expected else 'unknown'}; take both from one model"
        )
    for name, shape in expected.items():
        stored = tuple(tensors[name].shape)
        if stored != shape:
            hint = f" (lora.r is {network.config.lora.r})" if ".lora_" in name else ""
            raise ValueError(
                f"{source}: {name} is {stored}, but its configuration asks for {shape}{hint}; take both from one model"
            )
    _check_finite(tensors, source, "copy it again from its source, or train again")
    network.load_state_dict(dict(tensors), strict=False, assign=True)
    network.language.llm.tie_weights()
    network.set_trainable(network.config.trainable)


def _check_finite(tensors: Mapping[str, Tensor], folder: Path, remedy: str) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{folder}: {name} holds NaN or Inf; {remedy}")


def _stored_tensors(network: C2SERNetwork) -> dict[str, Tensor]:
    """Return the tensors that a model folder holds, each once even if two modules share it."""
    shared = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    shared -= {name for name, _ in network.named_parameters()}
    base = () if network.llm_inside else ("language.",)
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name not in shared and (".lora_" in name or not name.startswith(base))
    }


def _describe(network: C2SERNetwork) -> dict[str, Any]:
    config = dataclasses.asdict(network.config)
    if not network.llm_inside and Path(network.config.llm).is_dir():
        config["llm"] = str(Path(network.config.llm).resolve())
    seven = network.labels == SEVEN
    return {
        "format": FORMAT if seven else OWN_CLASSES_FORMAT,
        "c2ser": config,
        "features": FEATURES,
        "whisper": network.whisper and network.whisper.config.to_dict(),
        "emotion2vec": network.acoustic and network.acoustic.describe(),
        "llm_inside": network.llm_inside,
        "llm": network.language.llm.config.to_dict(),
        "llm_fingerprint": None if network.llm_inside else llm_fingerprint(network.language.llm),
        "tokenizer_fingerprint": tokenizer_fingerprint(network.language.tokenizer, network.labels),
        **({} if seven else {"labels": network.labels.as_json()}),
    }


def _build_empty(folder: Path, description: Mapping[str, Any], mapped: bool) -> C2SERNetwork:
    """Build a network as described, without its trained weights."""
    try:
        if description["features"] != FEATURES:
            raise ValueError("its features differ from this version's")
        config = read_config(description["c2ser"])
        whisper = description["whisper"] and WhisperEncoder(WhisperConfig.from_dict(description["whisper"]))
        acoustic = description["emotion2vec"] and empty_acoustic(description["emotion2vec"], config.acoustic)
        labels = LabelSet.from_json(description["labels"], "its classes") if "labels" in description else SEVEN
        tokenizer = load_tokenizer(folder / "tokenizer")
        if tokenizer_fingerprint(tokenizer, labels) != description["tokenizer_fingerprint"]:
            raise ValueError("its tokenizer splits texts differently from the one that it was trained with")
        llm = _language_model(config, description, mapped)
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template, config.end_token)
        return C2SERNetwork(config, whisper, acoustic, language, description["llm_inside"], labels)
    except KeyError as error:
        raise ValueError(f"{folder}/config.json: {error} is missing; copy the model again from its source") from None
    except (TypeError, ValueError, OSError) as error:
        raise ValueError(f"{folder}: {one_line(error, 300)}; copy the model again from its source") from None


def _language_model(config: C2SERConfig, description: Mapping[str, Any], mapped: bool) -> PreTrainedModel:
    if description["llm_inside"]:
        values = dict(description["llm"])
        with init_empty_weights():  # random numbers for billions of weights would take minutes
            llm = empty_llm(AutoConfig.for_model(values.pop("model_type"), **values), config.llm_dtype)
        llm.tie_weights()
        return llm
    config.llm = _found(config.llm)
    llm, _ = load_llm(config.llm, config.llm_dtype, mapped)
    if llm_fingerprint(llm) != description["llm_fingerprint"]:
        raise ValueError(f"{config.llm} is not the language model that it was trained with")
    return llm


def _found(llm: str) -> str:
    """Return where a language model lies; one of `make small` is found where the project is now, if that has moved."""
    if f"/{PLACE}" in llm and not Path(llm).exists():
        return find_model(PLACE + llm.rpartition(PLACE)[2], "language model")
    return llm


def read_config(values: Mapping[str, Any]) -> C2SERConfig:
    """Return the configuration that `dataclasses.asdict` wrote.

    Raises:
        ValueError: a setting is unknown.
    """
    values = check_fields(C2SERConfig, values)
    parts = {
        "connector": ConnectorConfig(**check_fields(ConnectorConfig, values["connector"])),
        "lora": LoraSettings(**check_fields(LoraSettings, values["lora"])),
    }
    return C2SERConfig(**{**values, **parts})
