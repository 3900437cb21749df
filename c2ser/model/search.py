"""Search for the tokens of answers: greedy, with beams, or drawn at random as the published system does."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.nn.functional import pad
from transformers import GenerationMixin, PreTrainedModel

from c2ser.model.config import SearchConfig
from c2ser.model.perception import padding_mask


def search_tokens(
    llm: PreTrainedModel,
    contexts: Sequence[Tensor],
    max_new_tokens: int,
    search: SearchConfig,
    keys: Sequence[str] | None = None,
) -> list[list[int]]:
    """Return the tokens that follow each context, padded at the end with the model's padding token.

    Args:
        llm: a causal language model; its generation settings hold the end token.
        contexts: embeddings before each answer, (time, dim).
        max_new_tokens: an answer is cut off after this many tokens.
        search: how tokens are chosen.
        keys: utterance ids, on which the random draws of each answer depend; None draws the same for all.
    """
    if not search.sample:
        return _search(llm, contexts, max_new_tokens, search)
    # one at a time: draws in a batch would depend on its other utterances
    tokens: list[list[int]] = []
    devices = [contexts[0].device] if contexts[0].is_cuda else []
    for context, key in zip(contexts, keys or [""] * len(contexts), strict=True):
        with torch.random.fork_rng(devices):
            torch.manual_seed(_seed(search.seed, key))
            tokens += _search(llm, [context], max_new_tokens, search)
    return tokens


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:7])


def _search(
    llm: PreTrainedModel, contexts: Sequence[Tensor], max_new_tokens: int, search: SearchConfig
) -> list[list[int]]:
    longest = max(map(len, contexts))
    # answers grow at the right end, so the padding goes to the left
    embedded = torch.stack([pad(row, (0, 0, longest - len(row), 0)) for row in contexts])
    lengths = torch.tensor([len(row) for row in contexts], device=embedded.device)
    mask = padding_mask(lengths, longest).flip(1).long()
    # processes that shard the layers must call them equally often, even if one's answers end earlier
    sharded = any(isinstance(module, FSDPModule) for module in llm.modules())
    assert isinstance(llm, GenerationMixin)  # as every causal language model of transformers is
    ids = llm.generate(
        inputs_embeds=embedded, attention_mask=mask, max_new_tokens=max_new_tokens, synced_gpus=sharded,
        **search.options(),
    )  # fmt: skip
    return ids.tolist()
