"""A trained C²SER model as one folder: config.json, model.safetensors, tokeniser, model card."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, WhisperConfig

from c2ser.emotion2vec.model import Emotion2Vec, Emotion2VecConfig
from c2ser.model.c2ser import C2SER, C2SERConfig
from c2ser.model.connector import ConnectorConfig
from c2ser.model.lm import LanguageModel, LoraSettings, empty_llm, load_llm, load_tokenizer
from c2ser.model.perception import AcousticEncoder, WhisperEncoder
from c2ser.tables import read_json, write_json, write_text

FORMAT = 1
"""Raised when the folder's layout changes in a way that older versions cannot read."""

CARD = """---
license: other
tags: [speech-emotion-recognition, c2ser]
---

# C²SER model

Recognises seven emotions in speech and gives its reasons in words ({style} chain of thought).

| part | what |
|---|---|
| semantic encoder | {whisper} |
| acoustic encoder | {emotion2vec} |
| language model | {llm} ({inside}) |
| trained parts | {trainable} |

```python
from c2ser.model.c2ser import C2SER

answers, tokens = C2SER.from_pretrained("this/folder").generate([waveform])  # float32, mono, 16 kHz, up to 30 s
```

`config.yaml`, where present, holds the settings of the training. A recognised emotion is a guess about how speech
sounds to others, not a fact about what a person feels; decide nothing about people by it.
"""


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("tmp", "old"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    yield temporary
    for path in [*temporary.rglob("*"), temporary]:
        _flush(path)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(model: C2SER, folder: str | Path) -> None:
    """Write a model; each file appears when it is whole, config.json, without which nothing loads, last.

    The language model's own weights are stored if they were trained; else its name is, and they are read from there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    with whole_folder(folder / "tokenizer") as temporary:
        model.language.tokenizer.save_pretrained(temporary)
    temporary = folder / ".model.safetensors.tmp"
    save_file(_stored(model), temporary)
    _flush(temporary)
    os.replace(temporary, folder / "model.safetensors")
    write_text(folder / "README.md", _card(model))
    write_json(folder / "config.json", _description(model))


def load(folder: str | Path) -> C2SER:
    """Read a model that `save` wrote, ready to answer.

    Raises:
        ValueError: the folder is not a C²SER model, or its weights do not fit its configuration.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder}: no config.json, so no trained model is here; finish its training first")
    model = _empty(folder, read_json(folder / "config.json"))
    tensors = load_file(folder / "model.safetensors")
    expected = set(_stored(model))
    if expected != set(tensors):
        odd = sorted(expected ^ set(tensors))
        raise ValueError(f"{folder}: {len(odd)} weights are missing or unknown, as {odd[0]}; save the model again")
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def _stored(model: C2SER) -> dict[str, Tensor]:
    """Return the tensors that a model folder holds, each once even if two modules share it."""
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        base = name.startswith("language.") and ".lora_" not in name
        if (base and not model.llm_inside) or tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        tensors[name] = tensor.detach().cpu().contiguous()
    return tensors


def _description(model: C2SER) -> dict[str, Any]:
    config = dataclasses.asdict(model.config)
    if not model.llm_inside and Path(model.config.llm).is_dir():
        config["llm"] = str(Path(model.config.llm).resolve())
    return {
        "format": FORMAT,
        "c2ser": config,
        "whisper": model.whisper and model.whisper.config.to_dict(),
        "emotion2vec": model.acoustic and dataclasses.asdict(model.acoustic.model.config),
        "llm_inside": model.llm_inside,
        "llm": model.language.llm.config.to_dict(),
    }


def _empty(folder: Path, description: dict[str, Any]) -> C2SER:
    """Build a model as described, its weights yet to be filled in."""
    if description.get("format") != FORMAT:
        raise ValueError(f"{folder}/config.json: not a C²SER model of format {FORMAT}; use the version that wrote it")
    config = read_config(description["c2ser"])
    whisper, emotion2vec = description["whisper"], description["emotion2vec"]
    tokenizer = load_tokenizer(folder / "tokenizer")
    if description["llm_inside"]:
        llm = empty_llm(_llm_config(description["llm"]), config.llm_dtype)
    else:
        llm, _ = load_llm(config.llm, config.llm_dtype)
    return C2SER(
        config,
        WhisperEncoder(WhisperConfig.from_dict(whisper)) if whisper else None,
        AcousticEncoder(Emotion2Vec(Emotion2VecConfig(**emotion2vec)), config.acoustic) if emotion2vec else None,
        LanguageModel(llm, tokenizer, config.lora, config.chat_template),
        llm_inside=description["llm_inside"],
    )


def _llm_config(values: dict[str, Any]) -> PretrainedConfig:
    values = dict(values)
    return AutoConfig.for_model(values.pop("model_type"), **values)


def read_config(values: dict[str, Any]) -> C2SERConfig:
    """Return the configuration that `dataclasses.asdict` wrote."""
    parts = {"connector": ConnectorConfig(**values["connector"]), "lora": LoraSettings(**values["lora"])}
    return C2SERConfig(**{**values, **parts})


def _card(model: C2SER) -> str:
    config = model.config
    return CARD.format(
        style=config.style,
        whisper=config.whisper or "none",
        emotion2vec=config.emotion2vec and f"Emotion2Vec-S, frozen ({config.acoustic})" or "none",
        llm=config.llm,
        inside="weights inside" if model.llm_inside else "weights from there, adapters inside",
        trainable=", ".join(config.trainable),
    )
