"""Networks of given sizes without weights: everything of a C²SER model but its numbers."""

import copy
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, PretrainedConfig, PreTrainedTokenizerBase, Qwen2Config, WhisperConfig

from c2ser.cot.prompts import INSTRUCTIONS
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.acoustic import AcousticEncoder
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig
from c2ser.model.folder import read_config
from c2ser.model.llm_loading import empty_llm, load_tokenizer
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import WhisperEncoder
from c2ser.model.tiny import train_tokenizer
from c2ser.pretrained import read_sizes
from c2ser.tables import read_json

Network = TypeVar("Network", bound=nn.Module)

WHISPERS = {
    "tiny": (128, 2, 4, 80),
    "whisper-tiny": (384, 4, 6, 80),
    "whisper-base": (512, 6, 8, 80),
    "whisper-small": (768, 12, 12, 80),
    "whisper-medium": (1024, 24, 16, 80),
    "whisper-large-v2": (1280, 32, 20, 80),
    "whisper-large-v3": (1280, 32, 20, 128),
}
"""Dimension, layers, heads and mel bins of encoders, by the last part of their name; "tiny" is the tiny size's."""

LLMS = {
    "tiny": (128, 512, 3, 4, 2, 800, True),
    "qwen2-0.5b-instruct": (896, 4864, 24, 14, 2, 151936, True),
    "qwen2-1.5b-instruct": (1536, 8960, 28, 12, 2, 151936, True),
    "qwen2-7b-instruct": (3584, 18944, 28, 28, 4, 152064, False),
    "qwen2.5-7b-instruct": (3584, 18944, 28, 28, 4, 152064, False),
    "smollm2-135m-instruct": (576, 1536, 30, 9, 3, 49152, True),
}
"""Hidden size, inner size, layers, heads, key-value heads, tokens, and whether the head is the table of embeddings."""

TOKENS = 400
"""Size of the stand-in for a tokenizer that is not here. It splits our answers into about as many tokens as Qwen2's."""

CHAT = "<|user|>{{ messages[0].content }}<|assistant|>"


def hollow_c2ser(config: C2SERConfig, texts: Sequence[str]) -> tuple[C2SERNetwork, bool]:
    """Return a network on the meta device, and whether its tokenizer is only a stand-in.

    Args:
        config: its settings; a model that is here as a folder, or is well known, needs no network. `emotion2vec` may be
            "base" for the published size.
        texts: answers, from which a stand-in for the tokenizer learns.

    Raises:
        ValueError: a part is unknown.
    """
    with torch.device("meta"):
        whisper = None
        if config.whisper:
            whisper = WhisperEncoder(_whisper_sizes(config.whisper, config.whisper_dropout))
            if config.whisper_layers is not None:
                whisper.cut(config.whisper_layers)
        acoustic = None
        if config.emotion2vec:
            acoustic = AcousticEncoder(Emotion2Vec(_emotion2vec_sizes(config.emotion2vec)), config.acoustic)
        tokenizer, stand_in = _tokenizer(config, texts)
        llm = empty_llm(_llm_sizes(config.llm), config.llm_dtype)
        end = None if stand_in else config.end_token
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template, end)
        return C2SERNetwork(config, whisper, acoustic, language), stand_in


def emptied(network: C2SERNetwork) -> C2SERNetwork:
    """Return a copy of a network on the meta device."""
    known: dict[int, Any] = {id(network.language.tokenizer): network.language.tokenizer}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            empty = torch.empty_like(tensor, device="meta", requires_grad=False)
            trained = tensor.requires_grad
            known[id(tensor)] = nn.Parameter(empty, trained) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(network, known)


def settings_of(folder: Path) -> C2SERConfig:
    """Return the settings of a trained model, from which a training starts.

    Raises:
        ValueError: there is none.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        values = dict(read_json(folder / "config.json")["c2ser"])
        return read_config(values)
    raise ValueError(f"{folder}: no trained model is here; leave out --init to plan with model.* alone")


def filled_with_fakes(module: Network) -> Network:
    """Replace all weights and buffers by fake tensors, as `pretended` makes them; those shared stay shared."""
    made: dict[int, tuple[Tensor, Tensor]] = {}

    def fake(tensor: Tensor) -> Tensor:
        """Return the fake of a tensor, always the same one."""
        if id(tensor) not in made:
            new = torch.empty(tensor.shape, dtype=tensor.dtype)
            if isinstance(tensor, nn.Parameter):
                new = nn.Parameter(new, tensor.requires_grad)
            made[id(tensor)] = (tensor, new)  # the old one stays, so that its id is not given again
        return made[id(tensor)][1]

    for part in module.modules():
        groups: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for group in groups:
            for name, tensor in group.items():
                if tensor is not None and tensor.is_floating_point():
                    group[name] = fake(tensor)
    return module


def _known(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()


def _whisper_sizes(name: str, dropout: float) -> WhisperConfig:
    known = WHISPERS.get(_known(name))
    if Path(name).is_dir() or known is None:
        sizes = read_sizes(name, "Whisper")
        if not isinstance(sizes, WhisperConfig):
            raise ValueError(f"{name}: a model of the kind {sizes.model_type}, not Whisper; choose a Whisper model")
        sizes.dropout = dropout
        return sizes
    dim, layers, heads, bins = known
    return WhisperConfig(
        d_model=dim, encoder_layers=layers, encoder_attention_heads=heads, encoder_ffn_dim=4 * dim, num_mel_bins=bins,
        dropout=dropout,
    )  # fmt: skip


def _llm_sizes(name: str) -> PretrainedConfig:
    known = LLMS.get(_known(name))
    if Path(name).is_dir() or known is None:
        return read_sizes(name, "language model")
    dim, inner, layers, heads, pairs, tokens, tied = known
    kind = LlamaConfig if "llm" in _known(name) else Qwen2Config
    return kind(
        hidden_size=dim, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=pairs, vocab_size=tokens, tie_word_embeddings=tied, max_position_embeddings=8192,
    )  # fmt: skip


def _emotion2vec_sizes(name: str) -> Emotion2VecConfig:
    if name == "base":
        return Emotion2VecConfig(decoder_layers=0)
    with suppress(OSError, ValueError, TypeError):
        values = read_json(Path(name) / "config.json")
        values.pop("kind")
        return Emotion2VecConfig(**values)
    raise ValueError(f"{name}: no folder of an Emotion2Vec-S model; give one, or base for the published size")


def _tokenizer(config: C2SERConfig, texts: Sequence[str]) -> tuple[PreTrainedTokenizerBase, bool]:
    if Path(config.llm).is_dir():
        return load_tokenizer(config.llm), False
    samples = [*INSTRUCTIONS.values(), *texts]
    words = [word for text in samples for word in re.findall(" ?[^ ]+", text)]
    tokenizer = train_tokenizer([*samples, *words] * 8, TOKENS)
    tokenizer.chat_template = CHAT
    return tokenizer, True
