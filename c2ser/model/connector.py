"""The connector: maps the encoders' output to the language model's embedding space (sections III.B and V.A).

The paper gives four Transformer layers with a feed-forward size of 2,560 and a linear layer; everything else follows
the authors' published inference code.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, relu, scaled_dot_product_attention

from c2ser.model.arranging import Table
from c2ser.model.config import ConnectorConfig
from c2ser.model.perception import Vectors, padding_mask


class Downsampler(nn.Module):
    """Causal convolutions (kernel 3) that shorten Whisper's states."""

    def __init__(self, size: int, dim: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides = strides
        sizes = [size, *[dim] * len(strides)]
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, 3, stride)
            for before, after, stride in zip(sizes[:-1], sizes[1:], strides, strict=True)
        )

    def forward(self, states: Vectors) -> Vectors:
        """Turn (batch, time, size) into (batch, time / product of strides, dim)."""
        values, lengths, counts = states.values.transpose(1, 2), states.lengths, states.counts
        for conv, stride in zip(self.convs, self.strides, strict=True):
            # after a convolution padding holds biases; the next one must not get them
            values = values * padding_mask(lengths, values.shape[2])[:, None, :].to(values.dtype)
            values = gelu(conv(pad(values, (2, 0))))
            lengths, counts = (lengths - 1) // stride + 1, [(count - 1) // stride + 1 for count in counts]
        return Vectors(values.transpose(1, 2), lengths, counts)

    def output_length(self, time: int) -> int:
        """Return the number of vectors that this number of states gives."""
        return -(-time // math.prod(self.strides))


class Layer(nn.Module):
    """A pre-norm Transformer layer with ReLU."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads, self.rate = config.heads, config.dropout
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.up_proj, self.down_proj = nn.Linear(dim, config.feed_forward), nn.Linear(config.feed_forward, dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return values of the same shape (batch, time, dim); `mask` (batch, 1, 1, time) is False on padding."""
        x = self.attention_norm(values)
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        values = values + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        return values + self.dropout(self.down_proj(self.dropout(relu(self.up_proj(self.feed_norm(values))))))


class Connector(nn.Module):
    """Joins semantic states and acoustic vectors on the time axis and maps them to the language model's size.

    Args:
        config: its sizes.
        semantic: size of Whisper's states, or None without Whisper.
        acoustic: size of the acoustic vectors, or None without Emotion2Vec-S.
        out: hidden size of the language model.

    Raises:
        ValueError: both encoders are missing, sizes do not divide, or acoustic vectors do not fit and would only
            be padded.
    """

    def __init__(self, config: ConnectorConfig, semantic: int | None, acoustic: int | None, out: int) -> None:
        super().__init__()
        if semantic is None and acoustic is None:
            raise ValueError("the model has neither Whisper nor Emotion2Vec-S; configure at least one encoder")
        dim = config.dim
        if dim % config.heads or dim % 2:
            raise ValueError(f"connector.dim {dim} does not divide into {config.heads} heads; choose other sizes")
        self.config = config
        self.downsampler = None if semantic is None else Downsampler(semantic, dim, tuple(config.strides))
        self.acoustic = _acoustic_projection(config, acoustic)
        self.enter, self.enter_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, out)
        self.boundaries = nn.Parameter(0.02 * torch.randn(2, out))  # before and after the speech

    def forward(self, semantic: Vectors | None, acoustic: Vectors | None) -> Vectors:
        """Connect a batch.

        Args:
            semantic: Whisper's states (batch, time, size).
            acoustic: acoustic vectors (batch, count, size); they come first.

        Returns:
            speech embeddings (batch, count + time / 4, out); positions follow each other without gaps.
        """
        parts = [self._pad_or_project(acoustic)] if acoustic is not None else []
        if self.downsampler is not None:
            parts.append(self.downsampler(semantic))
        joined = join(parts)
        values, lengths = joined.values, joined.lengths
        mask = padding_mask(lengths, values.shape[1])
        x = self.dropout(self.enter_norm(self.enter(values)))
        x = self.dropout(x * math.sqrt(self.config.dim) + positions(x.shape[1], self.config.dim).to(x))
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        x = self.project(self.norm(x))
        return Vectors(x * mask[:, :, None].to(x.dtype), lengths, joined.counts)

    def max_embeddings(self, states: int, acoustic: int) -> int:
        """Return how many embeddings so many states and acoustic vectors give."""
        return acoustic + (self.downsampler.output_length(states) if self.downsampler else 0)

    def _pad_or_project(self, acoustic: Vectors) -> Vectors:
        values = acoustic.values
        if self.acoustic is not None:
            return Vectors(self.acoustic(values), acoustic.lengths, acoustic.counts)
        return Vectors(pad(values, (0, self.config.dim - values.shape[-1])), acoustic.lengths, acoustic.counts)


def join(parts: list[Vectors]) -> Vectors:
    """Concatenate vectors on the time axis, for each utterance without padding between them."""
    if len(parts) == 1:
        return parts[0]
    dtype, table = parts[-1].values.dtype, Table()
    held = [table.add(part.values.flatten(0, 1).to(dtype)) for part in parts]
    places: list[list[int]] = []
    for row in range(len(parts[0].counts)):
        starts = [row * part.values.shape[1] for part in parts]
        pieces = zip(parts, held, starts, strict=True)
        places.append([place for part, rows, start in pieces for place in rows[start : start + part.counts[row]]])
    values, counts = table.batch(places), [len(row) for row in places]
    return Vectors(values, torch.tensor(counts, device=values.device), counts)


def _acoustic_projection(config: ConnectorConfig, size: int | None) -> nn.Linear | None:
    if size is None or config.acoustic == "pad" or (config.acoustic == "auto" and size <= config.dim):
        if size is not None and size > config.dim:
            raise ValueError(f"acoustic vectors of {size} do not fit into {config.dim}; set connector.acoustic: linear")
        return None
    return nn.Linear(size, config.dim)


def positions(time: int, dim: int) -> Tensor:
    """Return sinusoidal positions (time, dim): sine in the even places, cosine in the odd ones."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angles = torch.arange(time)[:, None] * rates[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
