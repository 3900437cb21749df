"""Padded batches and masks in a few kernels, however many utterances there are, and without waiting for the device."""

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor
from transformers import PretrainedConfig


class Table:
    """Rows (count, dim) from which batches are gathered at once; slices of each utterance would be a kernel each."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []
        self._size = 0

    def add(self, rows: Tensor) -> range:
        """Add rows (count, dim), of one dtype with those before them, and return their places."""
        places = range(self._size, self._size + len(rows))
        self._parts.append(rows)
        self._size += len(rows)
        return places

    def batch(self, places: Sequence[Sequence[int]]) -> Tensor:
        """Return the rows at these places for each utterance, (batch, time, dim), zero where padded."""
        first = self._parts[0]
        table = torch.cat([*self._parts, first.new_zeros(1, first.shape[1])])
        longest = max(map(len, places))
        # the last utterance first: so gradients of a row that many share add up in the order of autograd's slices
        filled = [[*row, *[self._size] * (longest - len(row))] for row in reversed(places)]
        chosen = table.index_select(0, torch.tensor(filled, device=table.device).flatten())
        return chosen.view(len(filled), longest, -1).flip(0)


def arrange(
    around: Sequence[Sequence[Tensor]],
    speech: Tensor,
    counts: Sequence[int],
    boundaries: Tensor,
    answers: Tensor,
    sizes: Sequence[int],
) -> tuple[Table, list[list[int]]]:
    """Return the embeddings of what a language model reads, and their places in each sequence.

    A sequence is what comes before the speech, begin, speech, end, what comes after it, the answer.

    Args:
        around: for each utterance what comes before and after the speech, (time, dim); of one prompt the same tensors.
        speech: (batch, time, dim).
        counts: how many of the speech are no padding.
        boundaries: begin and end of speech, (2, dim).
        answers: those of all utterances one after the other, (time, dim).
        sizes: how many belong to each.
    """
    table, dtype, batch, time = Table(), answers.dtype, len(counts), speech.shape[1]
    once = {id(part): part for pair in around for part in pair}
    known = {number: table.add(part) for number, part in once.items()}
    said, values = iter(table.add(answers)), table.add(speech.flatten(0, 1).to(dtype))
    pairs = torch.tensor([0, 1] * batch, device=boundaries.device)  # one for each utterance, as their gradients add up
    edges = table.add(boundaries.index_select(0, pairs).to(dtype))  # before they lose precision
    places = []
    for row, ((before, after), count, size) in enumerate(zip(around, counts, sizes, strict=True)):
        edge = 2 * (batch - 1 - row)
        middle = [edges[edge], *values[row * time : row * time + count], edges[edge + 1]]
        places.append([*known[id(before)], *middle, *known[id(after)], *islice(said, size)])
    return table, places


def causal_mask(lengths: Sequence[int], states: Tensor, config: PretrainedConfig) -> Tensor | None:
    """Return the mask of padded sequences for a language model of transformers; None if none is padded.

    It is that of transformers, made once for all layers. transformers makes its own, and waits for the device to see
    whether it needs one, for other kinds of attention and for layers that see only what is near.

    Args:
        lengths: of the sequences, which are padded at the right.
        states: the sequences, (batch, time, dim).
        config: the model's configuration.
    """
    time = states.shape[1]
    if min(lengths) == time:
        return None
    real = torch.arange(time, device=states.device) < torch.tensor(lengths, device=states.device)[:, None]
    kinds = {"full_attention", *(getattr(config, "layer_types", None) or ())}
    near = len(kinds) > 1 or getattr(config, "sliding_window", None)
    if near or config._attn_implementation not in ("sdpa", "eager"):
        return real.long()
    visible = real[:, None, None, :] & torch.ones(time, time, dtype=torch.bool, device=states.device).tril()
    return additive(visible, states)


def additive(visible: Tensor, states: Tensor) -> Tensor:
    """Return what is added to the scores of an attention over `states`: zero where something is visible."""
    return states.new_zeros(visible.shape).masked_fill(~visible, float("-inf"))
