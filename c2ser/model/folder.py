"""A trained C²SER model as one folder: config.json, model.safetensors, tokeniser, model card."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, WhisperConfig

from c2ser.audio import SAMPLE_RATE
from c2ser.data.datasets import MAX_SECONDS
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.log import one_line
from c2ser.model.c2ser import C2SER
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings
from c2ser.model.fingerprints import llm_print, tokenizer_print
from c2ser.model.lm import LanguageModel, empty_llm, load_llm, load_tokenizer
from c2ser.model.model_card import card
from c2ser.model.perception import HOP, WINDOW, AcousticEncoder, WhisperEncoder
from c2ser.tables import read_json, write_json, write_text
from c2ser.tensors import read_tensors, whole_folder, write_tensors

FORMAT = 2
"""Raised when the folder's layout changes in a way that older versions cannot read."""

WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"
"""The temperature of the label probabilities, once it is fitted."""

FEATURES = {"sample_rate": SAMPLE_RATE, "window": WINDOW, "hop": HOP, "max_seconds": MAX_SECONDS}
"""What models of this version hear: samples per second, samples of a window and between two, longest piece (s)."""


def save(model: C2SER, folder: str | Path) -> None:
    """Write a model; each file appears when it is whole, config.json, without which nothing loads, last.

    The language model's own weights are stored if they were trained; else its name is, and they are read from there.

    Raises:
        ValueError: a weight is NaN or infinite; what the folder held before stays.
    """
    folder, tensors = Path(folder), _stored(model)
    _check_finite(tensors, folder, "its training diverged, go back to an earlier checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("config.json", CALIBRATION):
        (folder / stale).unlink(missing_ok=True)
    shutil.rmtree(folder / CALIBRATION.removesuffix(".json"), ignore_errors=True)
    with whole_folder(folder / "tokenizer") as temporary:
        model.language.tokenizer.save_pretrained(temporary)
    temporary = folder / f".{WEIGHTS}.tmp"
    write_tensors(temporary, tensors)
    os.replace(temporary, folder / WEIGHTS)
    write_text(folder / "README.md", card(model.config, model.llm_inside))
    write_json(folder / "config.json", _description(model))


def load(folder: str | Path) -> C2SER:
    """Read a model that `save` wrote, ready to answer.

    Raises:
        ValueError: the folder is not a C²SER model, its parts do not fit each other, or a weight is NaN or infinite.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json, so no trained model is here; finish its training first")
    model = _empty(folder, read_json(folder / "config.json"))
    fill(model, read_tensors(folder / WEIGHTS), folder)
    if (folder / CALIBRATION).exists():
        model.temperature = _temperature(folder / CALIBRATION)
    return model.eval()


def _temperature(path: Path) -> float:
    values = read_json(path)
    temperature = values.get("temperature") if isinstance(values, dict) else None
    if not isinstance(temperature, int | float) or not temperature > 0:
        raise ValueError(f"{path}: holds no temperature above 0; delete it and calibrate again")
    return float(temperature)


def fill(model: C2SER, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Give a model its weights, all of them or none.

    Args:
        model: the model; what `save` does not store, such as an untrained language model, keeps its weights.
        tensors: weights by name.
        source: where they are from, for messages.

    Raises:
        ValueError: weights are missing, unknown, of another shape, NaN or infinite.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in _stored(model).items()}
    if odd := sorted(set(expected) ^ set(tensors)):
        what = "missing" if odd[0] in expected else "unknown"
        raise ValueError(f"{source}: {len(odd)} weights do not fit its configuration, {odd[0]} is {what}; "
                         "take both from one model")  # fmt: skip
    for name, shape in expected.items():
        found = tuple(tensors[name].shape)
        if found != shape:
            hint = f" (lora.r is {model.config.lora.r})" if ".lora_" in name else ""
            raise ValueError(
                f"{source}: {name} is {found}, but its configuration asks for {shape}{hint}; take both from one model"
            )
    _check_finite(tensors, source, "copy it again from its source, or train again")
    model.load_state_dict(dict(tensors), strict=False, assign=True)
    model.language.llm.tie_weights()
    model.set_trainable(model.config.trainable)


def _check_finite(tensors: Mapping[str, Tensor], folder: Path, remedy: str) -> None:
    bad = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
    if bad:
        raise ValueError(f"{folder}: {bad} holds NaN or Inf; {remedy}")


def _stored(model: C2SER) -> dict[str, Tensor]:
    """Return the tensors that a model folder holds, each once even if two modules share it."""
    shared = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    shared -= {name for name, _ in model.named_parameters()}
    base = () if model.llm_inside else ("language.",)
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name not in shared and (".lora_" in name or not name.startswith(base))
    }


def _description(model: C2SER) -> dict[str, Any]:
    config = dataclasses.asdict(model.config)
    if not model.llm_inside and Path(model.config.llm).is_dir():
        config["llm"] = str(Path(model.config.llm).resolve())
    return {
        "format": FORMAT,
        "c2ser": config,
        "features": FEATURES,
        "whisper": model.whisper and model.whisper.config.to_dict(),
        "emotion2vec": model.acoustic and dataclasses.asdict(model.acoustic.model.config),
        "llm_inside": model.llm_inside,
        "llm": model.language.llm.config.to_dict(),
        "llm_print": None if model.llm_inside else llm_print(model.language.llm),
        "tokenizer_print": tokenizer_print(model.language.tokenizer),
    }


def _empty(folder: Path, description: Any) -> C2SER:
    """Build a model as described, its weights yet to be filled in."""
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{folder}/config.json: not a C²SER model of format {FORMAT}; use the version that wrote it")
    try:
        if description["features"] != FEATURES:
            raise ValueError("its features are others than this version's")
        config = read_config(description["c2ser"])
        whisper = description["whisper"] and WhisperEncoder(WhisperConfig.from_dict(description["whisper"]))
        acoustic = description["emotion2vec"] and AcousticEncoder(
            Emotion2Vec(Emotion2VecConfig(**known(Emotion2VecConfig, description["emotion2vec"]))), config.acoustic
        )
        tokenizer = load_tokenizer(folder / "tokenizer")
        if tokenizer_print(tokenizer) != description["tokenizer_print"]:
            raise ValueError("its tokenizer splits texts otherwise than the one that it was trained with")
        llm = _language_model(config, description)
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template, config.end_token)
        return C2SER(config, whisper, acoustic, language, llm_inside=description["llm_inside"])
    except KeyError as error:
        raise ValueError(f"{folder}/config.json: {error} is missing; copy the model again from its source") from None
    except (TypeError, ValueError, OSError) as error:
        raise ValueError(f"{folder}: {one_line(error, 300)}; copy the model again from its source") from None


def _language_model(config: C2SERConfig, description: Mapping[str, Any]) -> PreTrainedModel:
    if description["llm_inside"]:
        values = dict(description["llm"])
        with init_empty_weights():  # random numbers for billions of weights would take minutes
            llm = empty_llm(AutoConfig.for_model(values.pop("model_type"), **values), config.llm_dtype)
        llm.tie_weights()
        return llm
    llm, _ = load_llm(config.llm, config.llm_dtype)
    if llm_print(llm) != description["llm_print"]:
        raise ValueError(f"{config.llm} is not the language model that it was trained with")
    return llm


def read_config(values: Mapping[str, Any]) -> C2SERConfig:
    """Return the configuration that `dataclasses.asdict` wrote.

    Raises:
        ValueError: a setting is unknown.
    """
    values = known(C2SERConfig, values)
    parts = {
        "connector": ConnectorConfig(**known(ConnectorConfig, values["connector"])),
        "lora": LoraSettings(**known(LoraSettings, values["lora"])),
    }
    return C2SERConfig(**{**values, **parts})


def known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a dataclass.

    Raises:
        ValueError: it has no setting of that name.
    """
    strange = sorted(set(values) - {field.name for field in dataclasses.fields(kind)})
    if strange:
        raise ValueError(f"{kind.__name__} has no setting '{strange[0]}'")
    return dict(values)
