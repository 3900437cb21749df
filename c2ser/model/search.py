"""Search for the tokens of answers: greedy, with beams, or drawn at random as the published system does."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.nn.functional import pad
from transformers import Cache, GenerationMixin, PreTrainedModel

from c2ser.devices import compiles_steps
from c2ser.model.config import SearchConfig
from c2ser.model.key_values import Reading, cache_name, repeated
from c2ser.model.perception import padding_mask

BUCKET = 64
"""Contexts that are compiled for have a length that is a multiple of this."""


def search_tokens(
    llm: PreTrainedModel,
    contexts: Sequence[Tensor],
    max_new_tokens: int,
    search: SearchConfig,
    keys: Sequence[str] | None = None,
    begun: Cache | None = None,
    reading: Reading | None = None,
) -> list[list[int]]:
    """Return the tokens that follow each context, padded at the end with the model's padding token.

    Args:
        llm: a causal language model; its generation settings hold the end token.
        contexts: embeddings before each answer, (time, dim).
        max_new_tokens: an answer is cut off after this many tokens.
        search: how tokens are chosen.
        keys: utterance ids, on which the random draws of each answer depend; None draws the same for all.
        begun: keys and values, of one row, of what all contexts begin with; None if they were not computed before.
        reading: keeps what is read of the contexts, if all of them are read at once.
    """
    if not search.sample:
        return _search(llm, contexts, max_new_tokens, search, begun, reading)
    # one at a time: draws in a batch would depend on its other utterances
    tokens: list[list[int]] = []
    devices = [contexts[0].device] if contexts[0].is_cuda else []
    for context, key in zip(contexts, keys or [""] * len(contexts), strict=True):
        with torch.random.fork_rng(devices):
            torch.manual_seed(draw_seed(search.seed, key))
            tokens += _search(llm, [context], max_new_tokens, search, begun)
    return tokens


def draw_seed(seed: int, key: str) -> int:
    """Return the seed of the draws of an utterance's answer."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:7])


def _rounded_up(contexts: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """Return as many contexts as a power of two, the first one in the places added, and a length for all of them."""
    added = (1 << (len(contexts) - 1).bit_length()) - len(contexts)
    return [*contexts, *[contexts[0]] * added], -(-max(map(len, contexts)) // BUCKET) * BUCKET


def _search(
    llm: PreTrainedModel,
    contexts: Sequence[Tensor],
    max_new_tokens: int,
    search: SearchConfig,
    begun: Cache | None,
    reading: Reading | None = None,
) -> list[list[int]]:
    # processes that shard the layers must call them equally often, even if one's answers end earlier
    sharded = any(isinstance(module, FSDPModule) for module in llm.modules())
    wanted, longest, compiled = len(contexts), max(map(len, contexts)), {}
    if search.compiled and compiles_steps(contexts[0].device.type) and not sharded:
        contexts, longest = _rounded_up(contexts)
        begun, compiled = None, {"cache_implementation": "static"}  # its keys and values lie in a place of their own
    shared = begun.get_seq_length() if begun is not None else 0
    rows, longest = [row[shared:] for row in contexts], longest - shared
    # answers grow at the right end, so the padding goes to the left, after what all rows begin with
    embedded = torch.stack([pad(row, (0, 0, longest - len(row), 0)) for row in rows])
    embedded = torch.cat([contexts[0][:shared].expand(len(rows), -1, -1), embedded], dim=1)
    lengths = torch.tensor([len(row) for row in rows], device=embedded.device)
    mask = pad(padding_mask(lengths, longest).flip(1), (shared, 0), value=True)
    assert isinstance(llm, GenerationMixin)  # as every causal language model of transformers is
    name = cache_name(llm.prepare_inputs_for_generation)
    start = {} if begun is None else {name: repeated(begun, len(rows) * search.beams)}
    output = llm.generate(
        inputs_embeds=embedded, attention_mask=mask.long(), max_new_tokens=max_new_tokens, synced_gpus=sharded,
        return_dict_in_generate=True, **start, **compiled, **search.options(),
    )  # fmt: skip
    if reading is not None:
        reading.keep(output[name], mask, search.beams)
    return output.sequences[:wanted].tolist()
