"""Language models and their tokenisers, from a folder or a hub."""

from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from c2ser.cot.prompts import INSTRUCTIONS
from c2ser.model.config import Dtype
from c2ser.pretrained import load_pretrained, map_causal_lm, read_sizes, readable


def load_llm(name: str, dtype: Dtype, mapped: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer from a folder or a hub id.

    Args:
        name: the folder or the id.
        dtype: precision of the weights.
        mapped: leave the weights in their files, if possible, until they are used; see `map_causal_lm`.

    Raises:
        ValueError: there is no such model, it is of another kind or damaged, or it has no tokenizer.
    """
    sizes = read_sizes(name, "language model")
    if sizes.is_encoder_decoder:
        raise ValueError(f"{name}: {sizes.model_type} is no causal language model; choose one such as Qwen2")
    precision = getattr(torch, dtype)
    llm = map_causal_lm(name, sizes, precision) if mapped else None
    llm = llm or load_pretrained(AutoModelForCausalLM, name, "language model", dtype=precision)
    return llm, load_tokenizer(name)


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or a hub id.

    A generic tokenizer stays generic beside a model of a known family; `AutoTokenizer` alone would take it for the
    family's own and split texts differently.

    Raises:
        ValueError: there is none.
    """
    with readable(str(name), "tokenizer", "download it again"):
        kind = get_tokenizer_config(str(name)).get("tokenizer_class")
        generic = kind in ("TokenizersBackend", "PreTrainedTokenizerFast")
        options = {"config": PretrainedConfig()} if generic else {}
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **options)
    # without its files transformers makes one that knows only special tokens
    if not {*tokenizer(INSTRUCTIONS["explicit"], add_special_tokens=False)["input_ids"]} - {tokenizer.unk_token_id}:
        raise ValueError(f"{name}: its tokenizer knows no words; download it again")
    return tokenizer


def empty_llm(config: PretrainedConfig, dtype: Dtype) -> PreTrainedModel:
    """Build a causal language model without trained weights."""
    return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype), trust_remote_code=False)
