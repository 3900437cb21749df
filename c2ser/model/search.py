"""How answers are searched for: greedily, in beams, or drawn at random as the published system does."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.nn.functional import pad
from transformers import PreTrainedModel

from c2ser.model.perception import real


@dataclass
class Search:
    """How the tokens of an answer are chosen.

    Attributes:
        beams: width of the search; 1 is greedy.
        sample: draw tokens at random instead of taking the most probable ones.
        top_k: draw among so many tokens; 0 for all.
        top_p: draw among the most probable tokens that together have this probability; with beams, at least two.
        temperature: above 1 draws more evenly.
        repetition_penalty: makes tokens that the answer holds already less probable; 1 is off.
        seed: decides, with the utterance's id, what is drawn.
    """

    beams: int = 1
    sample: bool = False
    top_k: int = 0
    top_p: float = 1.0
    temperature: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 777

    def __post_init__(self) -> None:
        """Refuse what transformers would take without a word, or fail at with a traceback."""
        if self.beams < 1 or not 0 <= self.top_p <= 1 or self.top_k < 0 or self.repetition_penalty <= 0:
            raise ValueError("search: no such search; set beams from 1, top_p from 0 to 1, top_k from 0")

    def options(self) -> dict[str, Any]:
        """Return what `generate` of transformers takes."""
        drawn = {"top_k": self.top_k, "top_p": self.top_p, "temperature": self.temperature} if self.sample else {}
        return {
            "num_beams": self.beams, "do_sample": self.sample, "repetition_penalty": self.repetition_penalty, **drawn
        }  # fmt: skip


GREEDY = Search()
"""The default: the same answer on every run."""


def search_tokens(
    llm: PreTrainedModel,
    contexts: Sequence[Tensor],
    max_new_tokens: int,
    search: Search,
    keys: Sequence[str] | None = None,
) -> list[list[int]]:
    """Return the tokens that follow each context, padded at the end by whatever the model's settings say.

    Args:
        llm: a causal language model; its generation settings hold the end token.
        contexts: embeddings before each answer, (time, dim).
        max_new_tokens: where an answer is cut off.
        search: how tokens are chosen.
        keys: what the random draws of each answer depend on, its utterance's id; None draws the same for all.
    """
    if not search.sample:
        return _search(llm, contexts, max_new_tokens, search)
    # one at a time: draws in a batch would depend on who shares it
    found = []
    devices = [contexts[0].device] if contexts[0].is_cuda else []
    for context, key in zip(contexts, keys or [""] * len(contexts), strict=True):
        with torch.random.fork_rng(devices):
            torch.manual_seed(_seed(search.seed, key))
            found += _search(llm, [context], max_new_tokens, search)
    return found


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:7])


def _search(llm: PreTrainedModel, contexts: Sequence[Tensor], max_new_tokens: int, search: Search) -> list[list[int]]:
    longest = max(map(len, contexts))
    # answers grow at the right end, so the padding goes to the left
    embedded = torch.stack([pad(row, (0, 0, longest - len(row), 0)) for row in contexts])
    lengths = torch.tensor([len(row) for row in contexts], device=embedded.device)
    mask = real(lengths, longest).flip(1).long()
    # processes that share the layers must ask for them equally often, even if one's answers end earlier
    shared = any(isinstance(module, FSDPModule) for module in llm.modules())
    ids = llm.generate(
        inputs_embeds=embedded, attention_mask=mask, max_new_tokens=max_new_tokens, synced_gpus=shared,
        **search.options(),
    )  # fmt: skip
    return ids.tolist()
