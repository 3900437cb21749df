"""Load a language model of transformers that takes speech, and what makes its inputs; nothing in their files is run."""

import re
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForMultimodalLM,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    PreTrainedModel,
)

from c2ser.baselines.config import BaselineConfig
from c2ser.log import one_line
from c2ser.pretrained import find_model, load_pretrained, readable

LOADER = re.compile(r"[A-Z]\w+For(ConditionalGeneration|CausalLM)", re.ASCII)
"""Names of classes that load such models."""

BASE64 = ("VoxtralProcessor",)
"""Processors that take audio as the text of a file, not as numbers."""

PACKAGES = {
    "mistral": "mistral-common[audio]",
    "torchvision": "torchvision",
    "pil": "pillow",
    "peft": "peft",
    "timm": "timm",
}
"""What to install, by a word in the message about a package that is missing."""


def load_audio_llm(config: BaselineConfig) -> tuple[PreTrainedModel, Any]:
    """Return the model that a configuration names, and its processor.

    Raises:
        ValueError: there is no such model, it is of another kind or damaged, or a package is missing or half-installed.
    """
    if not config.model:
        raise ValueError("baseline.model: missing; give the model's folder or hub id")
    name = find_model(config.model, "audio language model")
    processor = _load_processor(name)
    loader, dtype = _loader(name, config.loader), getattr(torch, config.dtype)
    try:
        model = load_pretrained(loader, name, "audio language model", dtype=dtype)
    except ValueError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        raise ValueError(broken(name, "model", error.__cause__)) from error
    if config.adapter:
        try:
            model.load_adapter(name, adapter_name="speech", adapter_kwargs={"subfolder": config.adapter})
        except Exception as error:  # files of strangers make transformers raise nearly anything
            raise ValueError(broken(name, f"adapter {config.adapter}", error)) from error
        model.set_adapter("speech")
    return model, processor


def _load_processor(name: str) -> Any:
    """Return what makes a model's inputs."""
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
        if type(processor).__name__ in BASE64 and type(processor.tokenizer).__name__ != "MistralCommonBackend":
            raise ImportError("it needs mistral-common")
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # files of strangers make transformers raise nearly anything
        raise ValueError(broken(name, "processor", error)) from error
    return processor


def broken(name: str, what: str, error: Exception) -> str:
    """Return what is wrong with a model, and what to do: an error in loading it may be a package that is missing."""
    if name.startswith(("/", ".")) and not Path(name).is_dir():
        return f"{name}: no such folder; put the model's files there"
    text = str(error)
    package = next((name for word, name in PACKAGES.items() if word in text.lower()), None)
    remedy = f"pip install -U '{package}'" if package else "check its folder or hub id"
    return f"{name}: no {what} that loads ({one_line(error)}); {remedy}"


def _loader(name: str, loader: str | None) -> Any:
    """Return the class of transformers that loads a model."""
    if loader:
        kind = getattr(transformers, loader, None) if LOADER.fullmatch(loader) else None
        if kind is None:
            raise ValueError(f"baseline.loader: {loader} is no class of transformers that answers; correct the name")
        return kind
    with readable(name, "audio language model", "check its folder or hub id"):
        sizes = AutoConfig.from_pretrained(name, trust_remote_code=False)
    for kind in (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM):
        if type(sizes) in kind._model_mapping:
            return kind
    raise ValueError(f"{name}: {sizes.model_type} is no language model that takes speech; see docs/baselines.md")
