"""Emotion2Vec-S: extraction, batches of mixed lengths, and a step of pre-training."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.cases import RATE, case, durations, signals
from benchmark.funasr_peer import FunasrStep, funasr_frames, funasr_model, funasr_name, has_funasr
from benchmark.harness import Case, Equivalence, Setting
from c2ser.corpus import Utterance
from c2ser.data.sampler import by_length, rng
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.emotion2vec.encoders import Emotion2VecEncoder
from c2ser.emotion2vec.masking import block_masks
from c2ser.emotion2vec.model import Emotion2Vec, embed, normalised
from c2ser.training.config import GuardConfig, TeacherConfig
from c2ser.training.emotion2vec_objective import Batch, Emotion2VecObjective, Material

QUICK = Emotion2VecConfig(
    dim=48,
    heads=6,
    inner=96,
    prenet_depth=1,
    depth=2,
    convs=[[32, kernel, stride] for _, kernel, stride in Emotion2VecConfig().convs],
    decoder_dim=32,
)
"""Small sizes that show that a case runs."""

NOT_COMPARED = Equivalence("not compared: FunASR is not installed", 0.0, 0.0)
"""What stands in the report of a case that runs alone."""

TOLERANCE = 1e-4
"""How far frames may be apart; with these weights they are of the order of 1."""


def build(setting: Setting, **changes: float) -> Emotion2Vec:
    """Return the model of a setting: random weights, the tokens and the ALiBi scale too, never zeros."""
    torch.manual_seed(setting.seed)
    config = Emotion2VecConfig() if setting.size == "real" else QUICK
    model = Emotion2Vec(Emotion2VecConfig(**{**vars(config), **changes})).eval()
    with torch.no_grad():
        model.audio.extra_tokens.normal_()
        model.audio.alibi_scale.uniform_(0.2, 1.8)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
    return model.to(setting.device)


def autocast(setting: Setting) -> AbstractContextManager:
    """Return the precision of the timed runs: bf16 on a GPU, fp32 elsewhere."""
    return torch.autocast(setting.device, dtype=torch.bfloat16, enabled=setting.device == "cuda")


@case
def e2v_extract(setting: Setting) -> Case:
    """Frames of utterances: one at a time on a CPU, in batches on a GPU; FunASR takes one at a time."""
    number = {"cpu": 4, "cuda": 512}[setting.device] if setting.size == "real" else 8
    seconds = durations(number, setting.seed, 20.0 if setting.size == "real" else 2.0)
    waves = signals(seconds, setting.seed)
    return _extraction(setting, waves, batch=1 if setting.device == "cpu" else 64)


@case
def e2v_batched(setting: Setting) -> Case:
    """Eight utterances of very different length, equal in one padded batch, batched as on a GPU."""
    seconds = np.geomspace(1.0, 20.0, 8) if setting.size == "real" else np.geomspace(0.2, 1.0, 8)
    return _extraction(setting, signals(seconds, setting.seed), batch=32)


def _extraction(setting: Setting, waves: Sequence[np.ndarray], batch: int) -> Case:
    model = build(setting, decoder_layers=0)
    encoder = Emotion2VecEncoder(copy.deepcopy(model))
    encoder.only_embed()
    peer = cache(lambda: funasr_model(model))
    names = {str(number): len(wave) / RATE for number, wave in enumerate(waves)}
    batches = [[waves[int(name)] for name in group] for group in by_length(names, 20.0 * batch, batch, 1.25)]

    def ours() -> list[np.ndarray]:
        """Extract frames in batches of similar lengths."""
        with autocast(setting):
            return [frames for group in batches for frames in embed(encoder.model, group)]

    def theirs() -> list[np.ndarray]:
        """Let FunASR extract them one utterance at a time."""
        with autocast(setting):
            return funasr_frames(peer(), waves)

    def check() -> Equivalence:
        """Compare the frames of up to eight utterances."""
        if not has_funasr():
            return NOT_COMPARED
        some = waves[:8]
        pairs = zip(embed(encoder.model, some), funasr_frames(peer(), some), strict=True)
        gap = max(float(np.abs(one - other).max()) for one, other in pairs)
        return Equivalence("frames in fp32, one padded batch against one at a time", gap, TOLERANCE)

    settings = f"{funasr_name()}, one utterance at a time, {'bf16 autocast' if setting.device == 'cuda' else 'fp32'}"
    work = {"utterances": len(waves), "audio_s": round(sum(map(len, waves)) / RATE, 1)}
    needed = [sum(column) for column in zip(*(extraction_cost(model.config, len(wave)) for wave in waves), strict=True)]
    return Case(ours, theirs, settings, check, work, needed[0], needed[1] + _weight_bytes(model))


def _weight_bytes(model: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


@case
def e2v_pretrain_step(setting: Setting) -> Case:
    """A step of pre-training: frame and utterance losses, AdamW, teacher; the peer calls FunASR's modules plainly."""
    count, seconds, clones = (12, 5.0, 8) if setting.size == "real" else (2, 0.6, 2)
    model = build(setting, layer_drop=0.0)
    objective, batch = _objective(model, setting, [seconds] * count, clones)
    peer = cache(lambda: FunasrStep(funasr_model(model)))
    waves = normalised(batch.waves, torch.full((count,), batch.waves.shape[1], device=setting.device))

    def our_loss() -> Tensor:
        """Return the loss of our objective."""
        return objective(batch, 0)["loss"]

    def their_loss() -> Tensor:
        """Return that of FunASR's modules on the same masks."""
        return peer()(waves, batch.masked, objective.losses.utterance)

    def check() -> Equivalence:
        """Compare the losses without dropout."""
        if not has_funasr():
            return NOT_COMPARED
        objective.eval()
        with torch.no_grad():
            one, other = float(our_loss()), float(their_loss())
        objective.train(), peer().train()
        return Equivalence("relative difference of the losses in fp32", abs(one - other) / abs(other), 1e-5)

    settings = f"{funasr_name()}'s modules, {'bf16 autocast' if setting.device == 'cuda' else 'fp32'}"
    work = {"utterances": count, "audio_s": count * seconds, "clones": clones}
    flops = count * pretraining_flops(model.config, batch.waves.shape[1], clones, int(batch.masked[0].sum()))
    ours = _update(our_loss, objective.model, lambda: objective.update_ema(1), setting)

    @cache
    def their_step() -> Callable[[], None]:
        """Return the step of the peer, with its own optimiser."""
        after = lambda: peer().after_step(objective.teaching.decay(1))  # noqa: E731
        return _update(their_loss, peer().peer, after, setting)

    return Case(ours, lambda: their_step()(), settings, check, work, flops, 7 * _weight_bytes(model))


def _objective(
    model: Emotion2Vec, setting: Setting, seconds: Sequence[float], clones: int
) -> tuple[Emotion2VecObjective, Batch]:
    """Return what trains the model without noise, and a batch for it."""
    names = [f"u{number}" for number in range(len(seconds))]
    utterances = {name: Utterance("train", "s", name, "", None, "", "") for name in names}
    material = Material(utterances, utterances, dict(zip(names, seconds, strict=True)))
    masks = MaskConfig(clones=clones, noise=0.0)
    parts = (masks, LossConfig(category=0.0), TeacherConfig(), GuardConfig(), setting.seed)
    objective = Emotion2VecObjective(model, material, *parts).to(setting.device)
    waves = torch.from_numpy(np.stack(signals(seconds, setting.seed)))
    frames = int(model.audio.local_encoder.frames(torch.tensor(waves.shape[1])))
    masked = torch.from_numpy(block_masks(len(names) * clones, frames, masks, rng(setting.seed, 13)))
    tensors = (tensor.to(setting.device) for tensor in (waves, torch.full((len(names),), -1), masked))
    return objective, Batch(names, *tensors)


def _update(
    loss: Callable[[], Tensor], model: nn.Module, after: Callable[[], None], setting: Setting
) -> Callable[[], None]:
    """Return a function that does an optimiser step on a loss and then moves the teacher."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=7.5e-5, betas=(0.9, 0.98), eps=1e-6)

    def step() -> None:
        """Do one update, and what follows it."""
        with autocast(setting):
            value = loss()
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        after()

    return step


def extraction_cost(config: Emotion2VecConfig, samples: int) -> tuple[float, float]:
    """Return floating-point operations for the frames of an utterance, and bytes in fp32 between its convolutions."""
    local, frames, moved = _local_cost(config, samples)
    return local + _positions_flops(config, frames) + _blocks_flops(config, frames + config.tokens), moved


def pretraining_flops(config: Emotion2VecConfig, samples: int, clones: int, masked: int) -> float:
    """Return the operations of a step for one utterance; a backward pass counts as two forward ones.

    Args:
        config: sizes.
        samples: of the utterance.
        clones: masks of it.
        masked: frames that each of them hides.
    """
    local, frames, _ = _local_cost(config, samples)
    positions = _positions_flops(config, frames)
    teacher = positions + _blocks_flops(config, frames + config.tokens)
    student = positions + _blocks_flops(config, frames - masked + config.tokens) + _decoder_flops(config, frames)
    return 3 * local + teacher + 3 * clones * student


def _local_cost(config: Emotion2VecConfig, samples: int) -> tuple[float, int, float]:
    """Return operations, frames, and the bytes of each layer's output, once written and once read."""
    frames, channels, flops, moved = samples, 1, 0, 0
    for out, kernel, stride in config.convs:
        frames = (frames - kernel) // stride + 1
        flops, moved, channels = flops + 2 * frames * out * kernel * channels, moved + 8 * frames * out, out
    return flops + 2 * frames * channels * config.dim, frames, moved


def _positions_flops(config: Emotion2VecConfig, frames: int) -> float:
    width = config.position_kernel * config.dim // config.position_groups
    return config.position_depth * 2 * frames * config.dim * width


def _blocks_flops(config: Emotion2VecConfig, places: int) -> float:
    linear = 2 * places * (4 * config.dim**2 + 2 * config.dim * config.inner)
    return (config.prenet_depth + config.depth) * (linear + 4 * places**2 * config.dim)


def _decoder_flops(config: Emotion2VecConfig, frames: int) -> float:
    inputs = config.dim + (config.decoder_layers - 1) * config.decoder_dim
    convs = config.decoder_kernel * inputs * config.decoder_dim // config.decoder_groups
    return 2 * frames * (convs + config.decoder_dim * config.dim)
