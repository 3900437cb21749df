"""The whole of C²SER at real size on a GPU: a training step, and the time of an answer.

The peer is what transformers and PEFT give: Whisper on 30 s, logits at all positions in training; in answering it has
the same merged weights and the same batches. On speech of 30 s both compute the same; that is checked on small models,
where single precision is affordable.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmark import transformers_peer as plain
from benchmark.c2ser_cases import (
    LABELS,
    batch_answers,
    decoding_cost,
    endless,
    same_answers,
    same_probabilities,
    scoring_cost,
    tree_scores,
)
from benchmark.cases import RATE, case, durations, signals
from benchmark.harness import Case, Equivalence, Setting
from benchmark.random_models import (
    Asked,
    explicit_answer,
    learning_flops,
    listening_flops,
    system,
    weight_bytes,
)
from c2ser.cot.prompts import Style, instruction
from c2ser.data.sampler import by_length
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.export import merge_lora
from c2ser.model.perception import FULL_SECONDS


def small_setting(setting: Setting) -> Setting:
    """Return the setting in which outputs are compared."""
    return Setting(setting.device, "quick", setting.seed)


def _require_gpu(name: str, setting: Setting) -> None:
    if setting.size == "real" and setting.device != "cuda":
        raise ValueError(f"{name}: 7B parameters need a GPU; use --device cuda or --size quick")


@case
def train_step(setting: Setting) -> Case:
    """A step of the explicit stage, from waveforms to AdamW; the peer runs Whisper on 30 s and computes all logits."""
    _require_gpu("train_step", setting)
    number, seconds = (24, 6.5) if setting.size == "real" else (2, 0.5)
    model = system(setting, dropout=0.1)
    model.train()
    waves = signals([seconds] * number, setting.seed)
    answers = [explicit_answer(place) for place in range(number)]
    step = make_update(model, setting.device, setting.device == "cuda")

    def check() -> Equivalence:
        """Compare losses and gradients of a small model on 30 s."""
        small = system(small_setting(setting))
        words = small, signals([FULL_SECONDS], setting.seed), answers[:1]
        return same_gradients(small, our_loss(*words), their_loss(*words))

    asking = _encode(model, waves, "explicit")
    flops, labels = _training_cost(model, asking, answers, len(waves[0]))
    work = {"utterances": number, "audio_s": number * seconds, "positions": sum(asking.positions) + labels}
    precision = "bf16 autocast" if setting.device == "cuda" else "fp32"
    settings = f"{plain.name()} and PEFT, Whisper padded to 30 s, labels=, {precision}"
    ours, theirs = (partial(step, partial(loss, model, waves, answers)) for loss in (our_loss, their_loss))
    return Case(ours, theirs, settings, check, work, flops, 2.0 * weight_bytes(model))


def our_loss(model: C2SERNetwork, waves: Sequence[np.ndarray], answers: Sequence[str]) -> Tensor:
    """Return the loss of explicit answers as it is trained."""
    return model(model.extract_features(waves), [instruction("explicit")] * len(answers), answers)["loss"]


def their_loss(model: C2SERNetwork, waves: Sequence[np.ndarray], answers: Sequence[str]) -> Tensor:
    """Return it as transformers computes it, with Whisper on 30 s."""
    return plain.loss(Asked.of(model, plain.listen(model, waves), "explicit"), answers)


def make_update(model: C2SERNetwork, device: str, bfloat16: bool) -> Callable[[Callable[[], Tensor]], None]:
    """Return a function that does an optimiser step on a loss, which is computed under autocast if in bfloat16."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=5e-5, betas=(0.9, 0.99), weight_decay=0.01)

    def step(loss: Callable[[], Tensor]) -> None:
        """Do one update on a loss."""
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def same_gradients(model: C2SERNetwork, ours: Tensor, theirs: Tensor) -> Equivalence:
    """Compare losses and their gradients, each over its largest value; the model drops nothing."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    own, other = (torch.autograd.grad(loss, trained) for loss in (ours, theirs))
    largest = torch.stack([part.abs().max() for part in other]).max()
    gaps = [(one - two).abs().max() / largest for one, two in zip(own, other, strict=True)]
    gap = torch.stack([(ours - theirs).abs().detach() / theirs.detach(), *gaps]).max()
    return Equivalence("relative difference of loss and gradients, small models in fp32 on 30 s", float(gap), 1e-5)


def _training_cost(model: C2SERNetwork, asking: Asked, answers: Sequence[str], samples: int) -> tuple[float, int]:
    """Return the operations of a step and its labels."""
    encoder, acoustic, connector = listening_flops(model, samples)
    language, labels = learning_flops(asking, answers)
    return len(answers) * (3 * (encoder + connector) + acoustic) + language, labels


@case
def decode_latency_implicit(setting: Setting) -> Case:
    """From one waveform of 6.5 s to an answer of 8 tokens."""
    _require_gpu("decode_latency_implicit", setting)
    return _answering(setting, "implicit", _alone(setting), 8)


@case
def decode_latency_explicit(setting: Setting) -> Case:
    """From one waveform of 6.5 s to an answer of 60 tokens."""
    _require_gpu("decode_latency_explicit", setting)
    return _answering(setting, "explicit", _alone(setting), 60)


@case
def decode_throughput(setting: Setting) -> Case:
    """Answers of 8 tokens to utterances of any length, in batches as `decode` makes them."""
    _require_gpu("decode_throughput", setting)
    number, longest = (256, 20.0) if setting.size == "real" else (4, 1.0)
    waves = signals(durations(number, setting.seed, longest), setting.seed)
    return _answering(setting, "implicit", waves, 8)


@case
def decode_latency_labels(setting: Setting) -> Case:
    """From one waveform of 6.5 s to the probabilities of seven names."""
    _require_gpu("decode_latency_labels", setting)
    waves, model = _alone(setting), _answerer(setting)

    def check() -> Equivalence:
        """Compare the probabilities of small models on 30 s."""
        small, whole = _answerer(small_setting(setting)), signals([FULL_SECONDS], setting.seed)
        other = plain.scores(_encode_padded(small, whole, "implicit"), LABELS)
        gap = same_probabilities(tree_scores(_encode(small, whole, "implicit")), other)
        return Equivalence(f"{gap.metric}, small models in fp32 on 30 s", gap.value, gap.tolerance)

    flops, memory = scoring_cost(_encode(model, waves, "implicit"))
    return Case(
        lambda: tree_scores(_encode(model, waves, "implicit")),
        lambda: plain.scores(_encode_padded(model, waves, "implicit"), LABELS),
        _settings(setting), check, {"utterances": 1, "audio_s": len(waves[0]) / RATE, "names": len(LABELS)},
        flops + sum(listening_flops(model, len(waves[0]))), memory,
    )  # fmt: skip


def _alone(setting: Setting) -> list[np.ndarray]:
    return signals([6.5 if setting.size == "real" else 0.5], setting.seed)


def _answering(setting: Setting, style: Style, waves: Sequence[np.ndarray], tokens: int) -> Case:
    model = _answerer(setting)
    names = {str(number): len(wave) / RATE for number, wave in enumerate(waves)}
    groups = [[waves[int(name)] for name in group] for group in by_length(names, 240.0, 64)]

    def check() -> Equivalence:
        """Compare the answers of small models on 30 s."""
        small, whole = _answerer(small_setting(setting)), signals([FULL_SECONDS], setting.seed)
        other = plain.generate(_encode_padded(small, whole, style), tokens)
        gap = same_answers(batch_answers(_encode(small, whole, style), tokens), other)
        return Equivalence(f"{gap.metric}, small models in fp32 on 30 s", gap.value, gap.tolerance)

    costs = [decoding_cost(_encode(model, group, style), tokens, 1) for group in groups]
    flops = sum(cost[0] for cost in costs) + sum(sum(listening_flops(model, len(wave))) for wave in waves)
    work = {"utterances": len(waves), "audio_s": round(sum(names.values()), 1), "tokens": tokens}
    return Case(
        lambda: [row for group in groups for row in batch_answers(_encode(model, group, style), tokens)],
        lambda: [row for group in groups for row in plain.generate(_encode_padded(model, group, style), tokens)],
        _settings(setting), check, work, flops, sum(cost[1] for cost in costs),
    )  # fmt: skip


def _answerer(setting: Setting) -> C2SERNetwork:
    """Return a model with its adapters merged, as `export_model` does, whose answers do not end."""
    model = system(setting)
    merge_lora(model)
    endless(model.language)
    return model.requires_grad_(False)


def _settings(setting: Setting) -> str:
    precision = "bf16" if setting.size == "real" else "fp32"
    return f"{plain.name()} generate, Whisper padded to 30 s, adapters merged, the same batches, {precision}"


@torch.no_grad()
def _encode(model: C2SERNetwork, waves: Sequence[np.ndarray], style: Style) -> Asked:
    """Return the model with the speech embeddings of waveforms, each at its exact length."""
    return Asked.of(model, model.encode(waves), style)


@torch.no_grad()
def _encode_padded(model: C2SERNetwork, waves: Sequence[np.ndarray], style: Style) -> Asked:
    """Return the same with Whisper on 30 s, in the same precision."""
    with model.autocast():
        return Asked.of(model, plain.listen(model, waves, exact=False), style)
