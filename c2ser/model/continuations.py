"""The log-probabilities of several continuations of one context, from one forward pass.

The continuations form a tree of tokens after the context: common beginnings are computed once. A mask lets each token
attend to the context and to its own branch, and positions count along the branch, so every token gets the same result
as in a pass over its continuation alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from c2ser.model.key_values import KeyValues, cache_name


@dataclass
class Tree:
    """Continuations with their common beginnings merged.

    Attributes:
        tokens: the token of each node; last tokens of continuations are no nodes, as nothing follows them.
        parents: the node before each, -1 for the context.
        steps: for each continuation its tokens, each as (node that it follows, token).
    """

    tokens: list[int]
    parents: list[int]
    steps: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, continuations: Sequence[Sequence[int]]) -> "Tree":
        """Merge continuations, each a list of at least one token."""
        tree, nodes = cls([], [], []), {}
        for ids in continuations:
            parent, steps = -1, []
            for place, token in enumerate(ids):
                steps.append((parent, token))
                if place == len(ids) - 1:
                    break
                if (parent, token) not in nodes:
                    nodes[parent, token] = len(tree.tokens)
                    tree.tokens.append(token)
                    tree.parents.append(parent)
                parent = nodes[parent, token]
            tree.steps.append(steps)
        return tree

    def branches(self) -> tuple[Tensor, Tensor]:
        """Return which nodes each node attends to (nodes, nodes), itself included, and its depth (nodes,) from 0."""
        seen = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen, seen.sum(dim=1) - 1


@torch.no_grad()
def log_probabilities(
    llm: PreTrainedModel,
    contexts: Sequence[Tensor],
    continuations: Sequence[Sequence[Sequence[int]]],
    read: KeyValues | None = None,
) -> list[Tensor]:
    """Return the log-probability of each continuation, the sum over its tokens.

    Args:
        llm: a causal language model.
        contexts: embeddings before the continuations, each (time, dim), one for each utterance of the batch.
        continuations: token ids of each utterance's continuations.
        read: keys and values of what each context begins with, all but its end at most; it is used up.

    Returns:
        for each utterance a float32 tensor (continuations,), in one forward pass for all.
    """
    trees = [Tree.of(ids) for ids in continuations]
    table = llm.get_input_embeddings()
    device = contexts[0].device
    known = read.lengths if read else [0] * len(contexts)
    rows = [
        torch.cat([context[n:], table(torch.tensor(tree.tokens, dtype=torch.long, device=device)).to(context.dtype)])
        for context, tree, n in zip(contexts, trees, known, strict=True)
    ]
    embedded = pad_sequence(rows, batch_first=True)  # (batch, longest, dim)
    lengths = [len(context) - n for context, n in zip(contexts, known, strict=True)]
    mask, positions = _layout(lengths, trees, embedded.shape[1])
    mask, positions = mask.to(device), positions.to(device) + torch.tensor(known, device=device)[:, None]
    decoder, past = llm.get_decoder(), {}
    if read:
        mask = torch.cat([read.mask[:, None].expand(-1, mask.shape[1], -1), mask], dim=2)
        past = {cache_name(decoder.forward): read.cache}
    hidden = decoder(
        inputs_embeds=embedded,
        attention_mask=_additive(mask, embedded.dtype),
        position_ids=positions,
        use_cache=bool(past),
        **past,
    ).last_hidden_state
    head = llm.get_output_embeddings()
    # one row at a time: the vocabulary is large
    scored = zip(hidden, lengths, trees, strict=True)
    return [_sums(head(row[n - 1 : n + len(tree.tokens)]).float(), tree) for row, n, tree in scored]


def _layout(lengths: Sequence[int], trees: Sequence[Tree], size: int) -> tuple[Tensor, Tensor]:
    """Return which positions each position attends to, (batch, size, size), and position ids (batch, size)."""
    mask = torch.eye(size, dtype=torch.bool).repeat(len(trees), 1, 1)
    positions = torch.arange(size).repeat(len(trees), 1)
    for row, (length, tree) in enumerate(zip(lengths, trees, strict=True)):
        seen, depths = tree.branches()
        end = length + len(tree.tokens)
        mask[row, :length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
        mask[row, length:end, :length] = True
        mask[row, length:end, length:end] = seen
        positions[row, length:end] = length + depths
    return mask, positions


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask (batch, size, seen) as an additive one, (batch, 1, size, seen), for any attention."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[:, None]


def _sums(logits: Tensor, tree: Tree) -> Tensor:
    """Sum log-probabilities along each continuation; `logits` (1 + nodes, vocabulary) begin at the context's end."""
    normalisers = logits.logsumexp(dim=-1)
    totals = []
    for steps in tree.steps:
        places, tokens = (torch.tensor(part, device=logits.device) for part in zip(*steps, strict=True))
        totals.append((logits[places + 1, tokens] - normalisers[places + 1]).sum())
    return torch.stack(totals)
