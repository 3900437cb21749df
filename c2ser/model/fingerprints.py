"""Fingerprints of what a model folder does not hold, or holds apart: two models of one size can be told apart."""

import hashlib
import json
from collections.abc import Iterable

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from c2ser.cot.prompts import INSTRUCTIONS, SENTENCES
from c2ser.emotions import WORDS

SAMPLE = 16
"""How many numbers of each weight are looked at."""


def weights_print(weights: Iterable[nn.Parameter]) -> str:
    """Return a hash of a few numbers of each weight, in bfloat16 so that it is the same in every precision."""
    digest = hashlib.sha256()
    for parameter in weights:
        flat = parameter.detach().flatten()
        # spread out: the first row of an embedding is often all zeros
        some = flat[:: max(1, len(flat) // SAMPLE)].to(torch.bfloat16).cpu()
        digest.update(f"{tuple(parameter.shape)}".encode() + some.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def llm_print(llm: PreTrainedModel) -> str:
    """Return the hash of a language model's weights; LoRA adapters do not count."""
    return weights_print(parameter for name, parameter in llm.named_parameters() if ".lora_" not in name)


def tokenizer_print(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a hash of how a tokeniser splits what models are asked and what they answer."""
    texts = [*INSTRUCTIONS.values(), *(text for row in SENTENCES.values() for text in row.values())]
    texts += [word for names in WORDS.values() for word in names.values()]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return hashlib.sha256(json.dumps([ids, tokenizer.eos_token_id]).encode()).hexdigest()
