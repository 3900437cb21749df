"""Emotion2Vec-S: the encoder, for whole utterances and for training on masked ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from c2ser.data.collate import pad_waves
from c2ser.emotion2vec.config import Emotion2VecConfig, Level
from c2ser.emotion2vec.layers import Block, ConvExtractor, Decoder, PositionalConvs, alibi_bias, alibi_slopes


@dataclass
class Emotion2VecOutput:
    """The encoder's output for a batch.

    Attributes:
        frames: shape (batch, frames, dim), 50 per second.
        tokens: utterance tokens, (batch, tokens, dim).
        mask: shape (batch, frames), True for real frames.
        layers: the feed-forward's output of each main block for the frames, each (batch, frames, dim).
    """

    frames: Tensor
    tokens: Tensor
    mask: Tensor
    layers: list[Tensor]


class _ContextEncoder(nn.Module):
    def __init__(self, config: Emotion2VecConfig, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, eps=1e-5)
        self.blocks = blocks


class _Audio(nn.Module):
    """The checkpoints' audio modality: everything before the main blocks."""

    def __init__(self, config: Emotion2VecConfig, prenet: nn.ModuleList) -> None:
        super().__init__()
        layers = config.prenet_depth + config.depth if config.alibi_per_layer else 1
        self.extra_tokens = nn.Parameter(torch.randn(1, config.tokens, config.dim))
        self.alibi_scale = nn.Parameter(torch.ones(layers, 1, config.heads, 1, 1))
        self.local_encoder = ConvExtractor(config.convs)
        channels = config.convs[-1][0]
        self.project_features = nn.Sequential(
            nn.Identity(), nn.LayerNorm(channels, eps=1e-5), nn.Linear(channels, config.dim)
        )
        self.relative_positional_encoder = PositionalConvs(
            config.dim, config.position_depth, config.position_kernel, config.position_groups
        )
        self.context_encoder = _ContextEncoder(config, prenet)
        self.decoder: Decoder | None = None
        if config.decoder_layers:
            self.decoder = Decoder(
                config.dim, config.decoder_dim, config.decoder_kernel, config.decoder_groups, config.decoder_layers
            )


class Emotion2Vec(nn.Module):
    """The encoder.

    Args:
        config: its sizes.

    Raises:
        ValueError: the heads do not share the dimensions evenly, or as `ConvExtractor`.
    """

    slopes: Tensor

    def __init__(self, config: Emotion2VecConfig) -> None:
        super().__init__()
        if config.heads < 1 or config.dim % config.heads:
            raise ValueError(
                f"heads: {config.dim} dimensions for {config.heads} heads; choose a number that divides them"
            )
        self.config = config
        self.modality_encoders = nn.ModuleDict({"AUDIO": _Audio(config, self._make_blocks(config.prenet_depth))})
        self.blocks = self._make_blocks(config.depth)
        self.register_buffer("slopes", alibi_slopes(config.heads), persistent=False)
        with torch.no_grad():
            self.audio.extra_tokens[:, :1].zero_()

    def _make_blocks(self, number: int) -> nn.ModuleList:
        c = self.config
        blocks = nn.ModuleList(
            Block(c.dim, c.heads, c.inner, c.norm_eps, c.dropout, c.attention_dropout) for _ in range(number)
        )
        for module in blocks.modules():
            if isinstance(module, nn.Linear):  # as BERT
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)
        return blocks

    @property
    def audio(self) -> _Audio:
        """Everything before the main blocks."""
        audio = self.modality_encoders["AUDIO"]
        assert isinstance(audio, _Audio)
        return audio

    def forward(self, waveform: Tensor, lengths: Tensor, peer_padding: bool = False) -> Emotion2VecOutput:
        """Encode whole utterances.

        Args:
            waveform: shape (batch, samples), 16 kHz, zero after each utterance's end.
            lengths: samples of each, shape (batch,); on the host nobody waits for a GPU to read them.
            peer_padding: let padding leak into short utterances of a batch, as the published code does.

        Returns:
            for each utterance the same as without a batch.

        Raises:
            ValueError: an utterance is too short for a frame.
        """
        padded = torch.compiler.is_exporting() or int(lengths.min()) < waveform.shape[1]
        local, mask = self.local(waveform, lengths, peer_padding)
        positions = torch.arange(local.shape[1], device=local.device)[None]
        states = local + self.audio.relative_positional_encoder(local, mask, peer_padding)
        return self.contextualise(states, positions, mask if padded else None)

    def local(self, waveform: Tensor, lengths: Tensor, peer_padding: bool = False) -> tuple[Tensor, Tensor]:
        """Return local features (batch, frames, dim) and the mask of real frames (batch, frames); see `forward`."""
        extractor = self.audio.local_encoder
        # a graph that is exported has no branches; who runs it knows the fewest samples from its metadata
        if not torch.compiler.is_exporting() and int(lengths.min()) < extractor.receptive_field:
            needed = extractor.receptive_field
            raise ValueError(f"audio of {int(lengths.min())} samples, under the encoder's {needed}; leave it out")
        lengths = lengths.to(waveform.device)
        if self.config.normalize:
            waveform = normalised(waveform, lengths)
        local = self.audio.project_features(extractor(waveform, None if peer_padding else lengths))
        frames = extractor.frames(lengths)
        return local, torch.arange(local.shape[1], device=local.device)[None] < frames[:, None]

    def contextualise(self, states: Tensor, positions: Tensor, mask: Tensor | None = None) -> Emotion2VecOutput:
        """Run the Transformer over frames with the tokens in front.

        Args:
            states: frames with their positions added, (batch, time, dim).
            positions: frame numbers, (batch or 1, time).
            mask: shape (batch, time), True for real frames; None if all are.
        """
        count, batch = self.config.tokens, states.shape[0]
        biases = self._biases(positions, mask, _computing_dtype(states))
        if mask is None:
            mask = states.new_ones(states.shape[:2], dtype=torch.bool)
        states = torch.cat([self.audio.extra_tokens.expand(batch, -1, -1), states], dim=1)
        context = self.audio.context_encoder
        states = dropout(context.norm(states), self.config.dropout, self.training)
        layers = []
        for number, (block, bias) in enumerate(zip([*context.blocks, *self.blocks], biases, strict=True)):
            if self.training and float(torch.rand(())) < self.config.layer_drop:
                continue
            states, inner = block(states, bias)
            if number >= len(context.blocks):
                layers.append(inner[:, count:])
        return Emotion2VecOutput(states[:, count:], states[:, :count], mask, layers)

    def _biases(self, positions: Tensor, mask: Tensor | None, dtype: torch.dtype) -> Iterator[Tensor]:
        """Yield the attention bias of each block; one tensor for all blocks if they share a scale."""
        distances = alibi_bias(positions, self.slopes, self.config.tokens)
        padding = None
        if mask is not None:
            padding = nn.functional.pad(~mask, (self.config.tokens, 0))[:, None, None] * -1e9
        sharing = 1 if self.config.alibi_per_layer else self.config.prenet_depth + self.config.depth
        for scale in self.audio.alibi_scale.clamp(min=0.0):
            bias = distances * scale if padding is None else distances * scale + padding
            yield from [bias.to(dtype)] * sharing

    def student(self, local: Tensor, masked: Tensor, noise: float = 0.01) -> tuple[Tensor, Emotion2VecOutput]:
        """Encode masked utterances of equal length, and predict the masked frames.

        Args:
            local: local features, (batch, frames, dim), one row per mask.
            masked: shape (batch, frames), True on masked frames; equally many in each row.
            noise: standard deviation of the decoder's input in place of masked frames.

        Returns:
            the prediction (batch, frames, dim), and the output for the visible frames.

        Raises:
            ValueError: the model has no decoder.
        """
        audio = self.audio
        if audio.decoder is None:
            raise ValueError("decoder_layers: 0, so nothing predicts masked frames; give 1 or more to train")
        visible = (~masked).nonzero()[:, 1].view(len(local), -1)  # (batch, kept)
        with_positions = local + audio.relative_positional_encoder(local * ~masked[:, :, None], None)
        output = self.contextualise(_take(with_positions, visible), visible)
        rate = 0.1 if self.training else 0.0
        output.frames, output.tokens = dropout(output.frames, rate), dropout(output.tokens, rate)
        filler = torch.randn_like(local) * noise
        filled = filler.scatter(1, visible[:, :, None].expand(-1, -1, local.shape[2]), output.frames.to(filler.dtype))
        return audio.decoder(filled), output

    @torch.no_grad()
    def teach(self, local: Tensor) -> list[Tensor]:
        """Return the feed-forward outputs of the main blocks for local features (batch, frames, dim) of full length."""
        states = local + self.audio.relative_positional_encoder(local, None)
        return self.contextualise(states, torch.arange(local.shape[1], device=local.device)[None]).layers


def _take(states: Tensor, places: Tensor) -> Tensor:
    return states.gather(1, places[:, :, None].expand(-1, -1, states.shape[2]))


def normalised(waveform: Tensor, lengths: Tensor) -> Tensor:
    """Give each waveform of a padded batch (batch, samples) zero mean and unit variance; padding stays zero."""
    mask, counts = torch.arange(waveform.shape[1], device=waveform.device) < lengths[:, None], lengths[:, None]
    centred = (waveform - (waveform * mask).sum(dim=1, keepdim=True) / counts) * mask
    return centred * (centred.square().sum(dim=1, keepdim=True) / counts + 1e-5).rsqrt()


def _computing_dtype(states: Tensor) -> torch.dtype:
    """Return the dtype of matrix products of these states, under autocast or not."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def pool(output: Emotion2VecOutput, level: Level) -> list[Tensor]:
    """Return each utterance's embeddings at a level: (frames, dim), (tokens, dim) or, for "utterance", (1, dim)."""
    if level == "tokens":
        return list(output.tokens)
    rows = [frames[:count] for frames, count in zip(output.frames, output.mask.sum(dim=1).tolist(), strict=True)]
    if level == "first-frames":
        return [row[: output.tokens.shape[1]] for row in rows]
    return rows if level == "frame" else [row.mean(dim=0, keepdim=True) for row in rows]


@torch.no_grad()
def embed(
    model: Emotion2Vec, waves: Sequence[np.ndarray], level: Level = "frame", peer_padding: bool = False
) -> list[np.ndarray]:
    """Return the embeddings of waveforms (samples,), each (rows, dim); see `pool` and `Emotion2Vec.forward`."""
    if not waves:
        return []
    padded, lengths = (tensor.to(model.slopes.device) for tensor in pad_waves(waves))
    matrices = pool(model(padded, lengths, peer_padding), level)
    joined = torch.cat(matrices).float().cpu()  # once: each copy waits for the GPU
    return [rows.numpy() for rows in joined.split([len(matrix) for matrix in matrices])]
