"""Hashes of language models and tokenizers, to check that a model folder gets those that it was trained with."""

import hashlib
import json
from collections.abc import Iterable

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from c2ser.cot.prompts import INSTRUCTIONS, SENTENCES
from c2ser.label_sets import PROSES, SEVEN, LabelSet

SAMPLE = 16
"""How many numbers of each weight are hashed."""


def weights_fingerprint(weights: Iterable[nn.Parameter]) -> str:
    """Return a hash of a few numbers of each weight, in bfloat16 so that it is the same in every precision."""
    digest = hashlib.sha256()
    for parameter in weights:
        flat = parameter.detach().flatten()
        # from the whole weight: the first row of an embedding is often all zeros
        sample = flat[:: max(1, len(flat) // SAMPLE)].to(torch.bfloat16).cpu()
        digest.update(f"{tuple(parameter.shape)}".encode() + sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def llm_fingerprint(llm: PreTrainedModel) -> str:
    """Return the hash of a language model's weights; LoRA adapters do not count."""
    return weights_fingerprint(parameter for name, parameter in llm.named_parameters() if ".lora_" not in name)


def weights_digest(module: nn.Module) -> str:
    """Return a hash of every number of a module's weights, which no other weights have."""
    digest = hashlib.sha256()
    for name, parameter in module.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase, labels: LabelSet = SEVEN) -> str:
    """Return a hash of how a tokenizer splits the prompts and the answers of models with these classes."""
    texts = [*INSTRUCTIONS.values(), *(text for row in SENTENCES.values() for text in row.values())]
    texts += [labels.word(name, prose) for name in labels for prose in PROSES]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return hashlib.sha256(json.dumps([ids, tokenizer.eos_token_id]).encode()).hexdigest()
