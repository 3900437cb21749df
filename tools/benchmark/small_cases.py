"""A training step of `--size small` on any machine: a connector and adapters between frozen small models.

The peer is the same training written with transformers and PEFT: once plainly, once at its best.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from benchmark import transformers_peer as plain
from benchmark.cases import RATE, case, signals
from benchmark.harness import Case, Equivalence, Setting
from benchmark.random_models import Asked, decoder_flops, linear_flops, small_system, weight_bytes
from benchmark.system_cases import make_update, same_gradients, small_setting
from c2ser.cot.prompts import Style, instruction
from c2ser.devices import computes_in_bfloat16
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.label_scores import short_answers
from c2ser.model.perception import FULL_SECONDS, Vectors

STYLE: Style = "implicit"


@case
def small_step(setting: Setting) -> Case:
    """A step of 16 utterances; the peer as one writes it: Whisper on 30 s in each step, transformers' defaults."""
    return _step(setting, tuned=False)


@case
def small_step_tuned(setting: Setting) -> Case:
    """The same; the peer too has Whisper's states from before, at their exact lengths, and the faster attention."""
    return _step(setting, tuned=True)


def _step(setting: Setting, tuned: bool) -> Case:
    model = small_system(setting)
    number, around = (16, 2.8) if setting.size == "real" else (2, 0.5)
    waves = signals(np.linspace(0.6 * around, 1.4 * around, number), setting.seed)  # as in EMO-DB
    answers = [short_answers("en")[0][place % 7] for place in range(number)]
    bfloat16 = computes_in_bfloat16("auto", setting.device)
    ours, peer = model, copy.deepcopy(model)
    if bfloat16:
        ours.use_bfloat16()
        _hold_half(peer, tuned)
    features = ours.encode_semantic(ours.extract_features(waves))  # kept from the first epoch on
    update, peers_update = (make_update(one, setting.device, bfloat16) for one in (ours, peer))
    speak: Callable[[], Vectors] = partial(plain.listen, peer, waves)
    if tuned:
        speak = partial(peer.encode_features, features)
    settings = f"{plain.name()} and PEFT, labels=, {'bf16 autocast' if bfloat16 else 'fp32'}, "
    settings += "Whisper's states kept, attention in products" if tuned else "Whisper on 30 s in each step"
    flops, places = _cost(ours, ours.encode_features(features), waves, answers)
    return Case(
        lambda: update(lambda: ours(features, [instruction(STYLE)] * number, answers)["loss"]),
        lambda: peers_update(lambda: plain.loss(_asked(peer, speak()), answers)),
        settings,
        lambda: _check(setting),
        {"utterances": number, "audio_s": round(sum(map(len, waves)) / RATE, 1), "positions": places},
        flops,
        2.0 * weight_bytes(ours),
        bfloat16,
    )


def _hold_half(peer: C2SERNetwork, tuned: bool) -> None:
    """Hold the frozen weights of the language model in bfloat16, as loading them so does."""
    llm = peer.language.llm
    for parameter in llm.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    if tuned:
        llm.set_attn_implementation("eager")


def _asked(model: C2SERNetwork, speech: Vectors) -> Asked:
    return Asked(model.language, speech, model.connector.boundaries, [instruction(STYLE)] * len(speech.values))


def _check(setting: Setting) -> Equivalence:
    """Compare losses and gradients of a small model on 30 s."""
    model, answers = small_system(small_setting(setting)), short_answers("en")[0][:1]
    waves = signals([FULL_SECONDS], setting.seed)
    features = model.encode_semantic(model.extract_features(waves))
    ours = model(features, [instruction(STYLE)], answers)["loss"]
    return same_gradients(model, ours, plain.loss(_asked(model, plain.listen(model, waves)), answers))


@torch.no_grad()
def _cost(
    model: C2SERNetwork, speech: Vectors, waves: Sequence[np.ndarray], answers: Sequence[str]
) -> tuple[float, int]:
    """Return the operations of a step after its features, and its positions; frozen weights need no gradient."""
    llm, positions = model.language, _asked(model, speech).positions
    labels = sum(llm.sequence_lengths("", answers)) - len(answers) * (llm.sequence_lengths("", [""])[0] - 1)
    connector = sum(linear_flops(model.connector, model.max_embeddings(len(wave) / RATE)) for wave in waves)
    decoder = sum(decoder_flops(llm, places + labels // len(answers)) for places in positions)
    return 3 * connector + 2 * (decoder + linear_flops(llm.llm.get_output_embeddings(), labels)), sum(
        positions
    ) + labels
