"""The parts of emotion2vec: convolutions, ALiBi, post-norm Transformer blocks, the decoder of the pre-training.

Parameter names are those of the published fairseq checkpoints, hence the numbered members of some containers.
"""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, layer_norm, linear, pad, scaled_dot_product_attention

PIECE = 64
"""Frames that the convolutions compute at a time without gradients, where memory bandwidth is the limit."""


Kind = TypeVar("Kind", bound=nn.Module)
Number = TypeVar("Number", int, Tensor)


def _parts(container: nn.Module, kind: type[Kind]) -> list[Kind]:
    """Return the modules of a class that are anywhere in a container, in order."""
    return [module for module in container.modules() if isinstance(module, kind)]


class ConvExtractor(nn.Module):
    """Convolutions from the waveform to local features, without padding.

    A convolution whose kernel is at most two strides wide is computed as two matrix products over blocks of one stride:
    the second is for the part of the kernel in the next block. So nothing is copied or transposed, and the channels are
    contiguous for the norms.

    Args:
        spec: (channels, kernel, stride) of each layer.

    Raises:
        ValueError: a kernel is narrower than its stride, or wider than two.
    """

    def __init__(self, spec: list[list[int]]) -> None:
        super().__init__()
        self.spec = spec
        self.conv_layers = nn.ModuleList()
        channels = 1
        for out, kernel, stride in spec:
            if not stride <= kernel <= 2 * stride:
                raise ValueError(f"convs: kernel {kernel} with stride {stride}; take a kernel of one to two strides")
            conv = nn.Conv1d(channels, out, kernel, stride, bias=False)
            nn.init.kaiming_normal_(conv.weight)
            norm = nn.Sequential(nn.Identity(), nn.LayerNorm(out, eps=1e-5))
            self.conv_layers.append(nn.Sequential(conv, nn.Identity(), norm, nn.GELU()))
            channels = out

    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Turn waveforms (batch, samples) into features (batch, frames, channels).

        Args:
            waves: shape (batch, samples).
            lengths: samples of each, (batch,), if the features of the padding after them are not needed.
        """
        if torch.compiler.is_exporting():  # the loops below depend on the lengths
            return self._plain_features(waves)
        weights = [conv.weight.permute(0, 2, 1).flatten(1) for conv in _parts(self.conv_layers, nn.Conv1d)]
        count = self.frames(waves.shape[1])
        if waves.is_cuda or torch.is_grad_enabled():
            return self._features(waves, count, weights)
        counts = [count] * len(waves) if lengths is None else self.frames(lengths).tolist()
        rows = [self._piecewise(wave, number, weights) for wave, number in zip(waves, counts, strict=True)]
        return torch.stack([pad(row, (0, 0, 0, count - len(row))) for row in rows])

    def _plain_features(self, waves: Tensor) -> Tensor:
        """Return the features (batch, frames, channels) by convolutions as such, which other runtimes make fast."""
        states = waves[:, None]
        for conv, norm in zip(_parts(self, nn.Conv1d), _parts(self, nn.LayerNorm), strict=True):
            states = gelu(norm(conv(states).transpose(1, 2))).transpose(1, 2)
        return states.transpose(1, 2)

    def _piecewise(self, wave: Tensor, count: int, weights: list[Tensor]) -> Tensor:
        """Return the frames of one waveform (samples,), piece by piece, in memory that fits a cache."""
        pieces = []
        for start in range(0, count, PIECE):
            size = min(PIECE, count - start)
            end = (start + size - 1) * self.hop + self.receptive_field
            pieces.append(self._features(wave[None, start * self.hop : end], size, weights)[0])
        return torch.cat(pieces)

    def _features(self, waves: Tensor, count: int, weights: list[Tensor]) -> Tensor:
        """Return `count` frames (batch, count, channels) of waveforms that are long enough for them.

        The rows of the batch are concatenated, each padded to a multiple of the hop. Frames that mix the end of one row
        with the beginning of the next come after the row's last frame and are dropped.
        """
        batch, hops = len(waves), -(-waves.shape[1] // self.hop)
        states = pad(waves, (0, hops * self.hop - waves.shape[1])).reshape(-1, 1)
        norms = _parts(self.conv_layers, nn.LayerNorm)
        for weight, norm, (_, kernel, stride) in zip(weights, norms, self.spec, strict=True):
            channels = states.shape[1]
            blocks = states[: len(states) // stride * stride].view(-1, stride * channels)
            states = linear(blocks, weight[:, : stride * channels])
            if kernel > stride:
                beyond = blocks[1:, : (kernel - stride) * channels]
                states = torch.addmm(states[:-1], beyond, weight[:, stride * channels :].T)
            states = gelu(norm(states))
        return pad(states, (0, 0, 0, batch * hops - len(states))).view(batch, hops, -1)[:, :count]

    def frames(self, samples: Number) -> Number:
        """Return the number of frames that this number of samples gives, each a tensor of such numbers or one."""
        for _, kernel, stride in self.spec:
            samples = (samples - kernel) // stride + 1
        return samples

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(stride for _, _, stride in self.spec)

    @property
    def receptive_field(self) -> int:
        """The fewest samples that give a frame."""
        field, step = 1, 1
        for _, kernel, stride in self.spec:
            field, step = field + (kernel - 1) * step, step * stride
        return field


@torch.no_grad()
def set_filter_bank(extractor: ConvExtractor) -> None:
    """Initialise the first two convolutions as a filter bank, evenly spaced in mel from 60 Hz to 7,600 Hz.

    The first has each band at four phases, a quarter of a period apart: after the norm and the GELU their sum hardly
    depends on the phase. The first channels of the second give the mean of each band over its kernel and how much it
    falls within it; other channels stay random.

    Raises:
        ValueError: there are not two convolutions, or not channels enough.
    """
    spec = extractor.spec
    if len(spec) < 2 or spec[0][0] % 4 or spec[1][0] < spec[0][0] // 2:
        raise ValueError(
            f"convs: {spec[:2]} cannot hold a filter bank; give the first layer four channels for each band "
            "and the second at least two"
        )
    first, second = (conv.weight for conv in _parts(extractor.conv_layers, nn.Conv1d)[:2])
    bands, width = len(first) // 4, first.shape[2]
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (60, 7600))
    mels = torch.linspace(lowest, highest, bands)
    centres = 700 * (10 ** (mels / 2595) - 1)  # Hz
    times = (torch.arange(width) - (width - 1) / 2) / 16000  # s
    phases = math.pi / 2 * torch.arange(4)[:, None, None]
    waves = torch.hann_window(width, periodic=False) * torch.cos(2 * math.pi * centres[:, None] * times + phases)
    first.copy_((waves / waves.norm(dim=2, keepdim=True)).view_as(first))
    same_band = torch.eye(bands).repeat(1, 4)[:, :, None] / second.shape[2]  # (bands, channels, 1)
    falls = torch.where(torch.arange(second.shape[2]) < second.shape[2] / 2, 1.0, -1.0)
    second[:bands], second[bands : 2 * bands] = same_band, same_band * falls


class PositionalConvs(nn.ModuleList):
    """Relative positions by stacked grouped convolutions; member 0 replaces a transpose of the checkpoints."""

    def __init__(self, dim: int, depth: int, kernel: int, groups: int) -> None:
        convs = (nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups) for _ in range(depth))
        super().__init__([nn.Identity(), *(nn.ModuleList([conv]) for conv in convs)])

    def forward(self, states: Tensor, mask: Tensor | None, zero_once: bool = False) -> Tensor:
        """Return the positions (batch, time, dim) to be added to `states`.

        Args:
            states: shape (batch, time, dim).
            mask: shape (batch, time), True for real frames; the others are set to zero before each convolution, so that
                an utterance gives the same in any batch.
            zero_once: do not set padded frames to zero, as the published code does.
        """
        states = states.transpose(1, 2)
        for conv in _parts(self, nn.Conv1d):
            if mask is not None and not zero_once:
                states = states * mask[:, None].to(states.dtype)
            states = conv(states)
            states = gelu(layer_norm(states.transpose(1, 2), states.shape[1:2], eps=1e-5)).transpose(1, 2)
        return states.transpose(1, 2)


def alibi_slopes(heads: int) -> Tensor:
    """Return ALiBi's slope of each head (Press et al. 2022; for other numbers than powers of two as in its code)."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    between = [2 ** (-8 * (i + 1) / (2 * power)) for i in range(0, 2 * power, 2)]
    return torch.tensor([*slopes, *between[: heads - power]])


def alibi_bias(positions: Tensor, slopes: Tensor, tokens: int) -> Tensor:
    """Return -slope * distance between positions, zero for the tokens in front.

    Args:
        positions: frame number of each kept frame, (batch, time).
        slopes: shape (heads,).
        tokens: number of tokens before the frames.

    Returns:
        shape (batch, heads, tokens + time, tokens + time), float32.
    """
    distance = (positions[:, :, None] - positions[:, None, :]).abs().float()
    bias = -slopes[None, :, None, None] * distance[:, None]
    return pad(bias, (tokens, 0, tokens, 0))


class Attention(nn.Module):
    """Multi-head self-attention with an additive bias and fused projections."""

    def __init__(self, dim: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout, self.attention_dropout = heads, dropout, attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Attend over (batch, time, dim) with `bias` (batch or 1, heads, time, time) added to the scores."""
        batch, time, dim = states.shape
        parts = self.qkv(states).view(batch, time, 3, self.heads, dim // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (batch, heads, time, dim per head)
        chance = self.attention_dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype), dropout_p=chance)
        mixed = self.proj(mixed.transpose(1, 2).reshape(batch, time, dim))
        return dropout(mixed, self.dropout, self.training)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, states: Tensor) -> Tensor:
        """Map (..., dim) to (..., dim)."""
        return self.fc2(gelu(self.fc1(states)))


class Block(nn.Module):
    """A post-norm Transformer block, which also returns the feed-forward's output for a teacher."""

    def __init__(self, dim: int, heads: int, inner: int, eps: float, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=eps), nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads, dropout, attention_dropout)
        self.mlp = FeedForward(dim, inner)

    def forward(self, states: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its feed-forward's, both (batch, time, dim)."""
        states = self.norm1(states + self.attn(states, bias))
        inner = self.mlp(states)
        return self.norm2(states + dropout(inner, self.dropout, self.training)), inner


class Decoder(nn.Module):
    """Convolutions that predict masked frames in pre-training.

    Args:
        dim: size of the encoder's vectors.
        inner: channels of the convolutions.
        kernel: their width, odd.
        groups: their groups.
        layers: how many.
    """

    def __init__(self, dim: int, inner: int, kernel: int, groups: int, layers: int) -> None:
        super().__init__()
        sizes = [dim, *[inner] * layers]
        convs = (
            nn.Conv1d(before, after, kernel, padding=kernel // 2, groups=groups)
            for before, after in zip(sizes, sizes[1:], strict=False)
        )
        self.blocks = nn.ModuleList(nn.ModuleList([conv]) for conv in convs)
        self.proj = nn.Linear(inner, dim)

    def forward(self, states: Tensor) -> Tensor:
        """Map (batch, time, dim) to (batch, time, dim)."""
        states = states.transpose(1, 2)
        for conv in _parts(self.blocks, nn.Conv1d):
            new = conv(states).transpose(1, 2)
            new = gelu(layer_norm(new, new.shape[-1:], eps=1e-5)).transpose(1, 2)
            states = new + states if new.shape == states.shape else new
        return self.proj(states.transpose(1, 2))
