"""FunASR's emotion2vec as the peer: the same weights in its class, and a pre-training step put together from its parts.

FunASR (extra `[peer]`) leaves the training out of its class; here its modules are called in the order of fairseq's
data2vec 2.0, each clone with its own bias, so that the step is the plain one that ours is measured against.
"""

import contextlib
import copy
import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.losses import frame_loss, frame_targets, utterance_loss, utterance_targets
from c2ser.emotion2vec.model import Emotion2Vec


def funasr_name() -> str:
    """Return name and version for reports."""
    return f"FunASR {version('funasr')} Emotion2vec" if has_funasr() else "FunASR (not installed) Emotion2vec"


def has_funasr() -> bool:
    """Return whether FunASR is installed; without it our cases can be timed alone."""
    return importlib.util.find_spec("funasr") is not None


def funasr_model(model: Emotion2Vec) -> nn.Module:
    """Return FunASR's class with the weights of ours, in evaluation mode and on the same device.

    Raises:
        ValueError: FunASR is not installed.
    """
    level = logging.root.manager.disable
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its import prints
            logging.disable(logging.CRITICAL)
            peer_class = importlib.import_module("funasr.models.emotion2vec.model").Emotion2vec
    except ImportError as error:
        raise ValueError(f"FunASR cannot be imported ({error}); pip install funasr, or give --peer-path") from None
    finally:
        logging.disable(level)
    peer = peer_class(model_conf=_settings(model.config)).eval()
    peer.load_state_dict(model.state_dict())
    return peer.to(model.slopes.device)


def _settings(config: Emotion2VecConfig) -> dict[str, Any]:
    """Return FunASR's settings for our configuration."""
    off = {"start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0, "mae_init": False}
    return off | {
        "depth": config.depth,
        "num_heads": config.heads,
        "embed_dim": config.dim,
        "mlp_ratio": config.inner / config.dim,
        "norm_eps": config.norm_eps,
        "norm_affine": True,
        "encoder_dropout": config.dropout,
        "post_mlp_drop": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": 0.0,
        "dropout_input": 0.0,
        "layerdrop": config.layer_drop,
        "layer_norm_first": False,
        "end_of_block_targets": False,
        "average_top_k_layers": config.depth,
        "clone_batch": 1,
        "loss_beta": 0.0,
        "loss_scale": None,
        "normalize": config.normalize,
        "modalities": {"audio": _audio_settings(config)},
    }


def _audio_settings(config: Emotion2VecConfig) -> dict[str, Any]:
    decoder = {
        "decoder_dim": config.decoder_dim,
        "decoder_groups": config.decoder_groups,
        "decoder_kernel": config.decoder_kernel,
        "decoder_layers": config.decoder_layers,
        "input_dropout": 0.1,
        "add_positions_masked": False,
        "add_positions_all": False,
        "decoder_residual": True,
        "projection_layers": 1,
    }
    masks = {"mask_noise_std": 0.0, "keep_masked_pct": 0.0, "encoder_zero_mask": True, "mask_channel_prob": 0.0}
    alibi = {"use_alibi_encoder": True, "alibi_scale": 1.0, "learned_alibi": False, "learned_alibi_scale": True}
    return (
        masks
        | alibi
        | {
            "prenet_depth": config.prenet_depth,
            "prenet_layerdrop": config.layer_drop,
            "prenet_dropout": config.dropout,
            "start_drop_path_rate": 0.0,
            "end_drop_path_rate": 0.0,
            "num_extra_tokens": config.tokens,
            "init_extra_token_zero": True,
            "local_grad_mult": 1.0,
            "learned_alibi_scale_per_head": True,
            "learned_alibi_scale_per_layer": config.alibi_per_layer,
            "num_alibi_heads": config.heads,
            "model_depth": config.depth,
            "decoder": decoder if config.decoder_layers else None,
            "extractor_mode": "layer_norm",
            "feature_encoder_spec": str([tuple(layer) for layer in config.convs]),
            "conv_pos_width": config.position_kernel * config.position_depth,
            "conv_pos_groups": config.position_groups,
            "conv_pos_depth": config.position_depth,
            "conv_pos_pre_ln": False,
        }
    )


@torch.no_grad()
def funasr_frames(peer: Any, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return frames (frames, dim) of waveforms (samples,), one at a time as FunASR extracts them."""
    device, frames = next(peer.parameters()).device, []
    for wave in waves:
        source = torch.from_numpy(wave).to(device)
        source = layer_norm(source, source.shape) if peer.cfg.normalize else source
        frames.append(peer.extract_features(source[None])["x"][0].float().cpu().numpy())
    return frames


class FunasrStep(nn.Module):
    """The frame and utterance losses of pre-training, from FunASR's modules.

    Args:
        peer: its class, with a decoder.
    """

    def __init__(self, peer: Any) -> None:  # FunASR has no types
        super().__init__()
        self.peer: Any = peer
        self.teacher: Any = copy.deepcopy(peer).requires_grad_(False).eval()
        self.tokens: int = self.teacher.modality_encoders["AUDIO"].modality_cfg.num_extra_tokens

    def forward(self, waves: Tensor, masked: Tensor, weight: float) -> Tensor:
        """Return the loss of normalised waveforms (batch, samples), masked (batch * clones, frames)."""
        audio, clones = self.peer.modality_encoders["AUDIO"], len(masked) // len(waves)
        local = audio.local_features(waves)
        layers = self._teach(local.detach())
        seen = audio.contextualized_features(local, None, True, True, clones, None, masked)
        states, _ = _blocks(self.peer, seen)
        guess = audio.decoder(*audio.decoder_input(states, seen["encoder_mask"]))
        targets = frame_targets(layers).repeat_interleave(clones, dim=0)
        pooled = utterance_targets(layers, "layer_norm").repeat_interleave(clones, dim=0)
        return frame_loss(guess, targets, masked) + weight * utterance_loss(states[:, : self.tokens], pooled, "chunk")

    @torch.no_grad()
    def _teach(self, local: Tensor) -> list[Tensor]:
        inputs = self.teacher.modality_encoders["AUDIO"].contextualized_features(local, None, False, False)
        return [layer[:, self.tokens :] for layer in _blocks(self.teacher, inputs)[1]]

    @torch.no_grad()
    def after_step(self, decay: float) -> None:
        """Move the teacher towards the student."""
        for mean, parameter in zip(self.teacher.parameters(), self.peer.parameters(), strict=True):
            mean.lerp_(parameter, 1.0 - decay)


def _blocks(peer: Any, inputs: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
    """Run the main blocks; return the states and each block's feed-forward output."""
    states, layers, scale = inputs["x"], [], inputs["alibi_scale"]
    for number, block in enumerate(peer.blocks):
        bias = inputs["alibi_bias"]
        bias = bias if scale is None else bias * scale[number if len(scale) > 1 else 0]
        states, layer = block(states, padding_mask=None, alibi_bias=bias)
        layers.append(layer)
    return states, layers
