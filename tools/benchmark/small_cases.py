"""A training step of `--size small` on any machine: a connector and adapters between frozen small models.

The peer is the same training written with transformers and PEFT: once plainly, once at its best.
"""

import copy
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmark import transformers_peer as plain
from benchmark.cases import RATE, case, signals
from benchmark.harness import Case, Equivalence, Setting
from benchmark.random_models import Asked, learning_flops, linear_flops, small_system, weight_bytes
from benchmark.system_cases import make_update, same_gradients, small_setting
from c2ser.cot.prompts import Style, instruction
from c2ser.devices import computes_in_bfloat16
from c2ser.model.adapters import hold_frozen_in_bfloat16
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
    ours = small_system(setting)
    peer = copy.deepcopy(ours)
    number, around = (16, 2.8) if setting.size == "real" else (2, 0.5)
    waves = signals(np.linspace(0.6 * around, 1.4 * around, number), setting.seed)  # as in EMO-DB
    answers = [short_answers("en")[0][place % 7] for place in range(number)]
    bfloat16 = computes_in_bfloat16("auto", setting.device)
    if bfloat16:
        ours.use_bfloat16()
        hold_frozen_in_bfloat16(peer.language.llm)  # as loading it so does
        if tuned and setting.device == "cpu":  # where its default is the slower one
            peer.language.llm.set_attn_implementation("eager")
    features = ours.encode_semantic(ours.extract_features(waves))  # kept from the first epoch on
    update, peers_update = (make_update(one, setting.device, bfloat16) for one in (ours, peer))
    speak: Callable[[], Vectors] = partial(plain.listen, peer, waves)
    if tuned:
        speak = partial(peer.encode_features, features)
    settings = f"{plain.name()} and PEFT, labels=, {'bf16 autocast' if bfloat16 else 'fp32'}, "
    settings += "Whisper's states kept, the faster attention" if tuned else "Whisper on 30 s in each step"
    asking = Asked.of(ours, ours.encode_features(features), STYLE)
    language, labels = learning_flops(asking, answers)
    connector = sum(linear_flops(ours.connector, ours.max_embeddings(len(wave) / RATE)) for wave in waves)
    work = {"utterances": number, "audio_s": round(sum(map(len, waves)) / RATE, 1)}
    return Case(
        lambda: update(lambda: ours(features, [instruction(STYLE)] * number, answers)["loss"]),
        lambda: peers_update(lambda: plain.loss(Asked.of(peer, speak(), STYLE), answers)),
        settings,
        lambda: _check(setting),
        {**work, "positions": sum(asking.positions) + labels},
        3 * connector + language,
        2.0 * weight_bytes(ours),
        bfloat16,
    )


def _check(setting: Setting) -> Equivalence:
    """Compare losses and gradients of a small model on 30 s."""
    model, answers = small_system(small_setting(setting)), short_answers("en")[0][:1]
    waves = signals([FULL_SECONDS], setting.seed)
    features = model.encode_semantic(model.extract_features(waves))
    ours = model(features, [instruction(STYLE)], answers)["loss"]
    return same_gradients(model, ours, plain.loss(Asked.of(model, plain.listen(model, waves), STYLE), answers))
