"""The parts of C²SER: Whisper at its exact length, labels from one pass, answers in batches, the loss, the batches."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from benchmark import transformers_peer as plain
from benchmark.cases import RATE, case, durations, signals
from benchmark.emotion2vec_cases import autocast
from benchmark.harness import Case, Count, Equivalence, Setting
from benchmark.random_models import (
    Asked,
    asked,
    decoder_flops,
    explicit_answer,
    language,
    learning_flops,
    linear_flops,
    weight_bytes,
    whisper,
    whisper_flops,
)
from c2ser.data.collate import pad_waves
from c2ser.data.sampler import Batches
from c2ser.model.label_scores import probabilities, short_answers
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import Vectors, WhisperEncoder
from c2ser.model.tiny import END

BATCH = 32
"""Utterances that an encoder gets at once."""

STEP = 0.02
"""Seconds of two frames: the encoder of transformers takes even numbers of frames only."""

LABELS = short_answers("en")[0]

FLATTENING = 10.0
"""Temperature at which the names' probabilities under random models are compared; at 1 a single one has nearly all."""


@case
def whisper_encoder(setting: Setting) -> Case:
    """Utterances of about 6.5 s: ours at the exact length, transformers' encoder on 30 s as it demands."""
    real, cuda = setting.size == "real", setting.device == "cuda"
    encoder = whisper(setting, ("medium" if cuda else "small") if real else "quick")
    around, number = (6.5, 256 if cuda else 8) if real else (0.5, 3)
    seconds = STEP * np.round(np.linspace(0.94 * around, 1.06 * around, number) / STEP)
    waves = signals(seconds + STEP / 10, setting.seed)
    groups = [waves[start : start + BATCH] for start in range(0, number, BATCH)]
    exact = [_mel(encoder, group, setting) for group in groups]
    padded = [plain.padded_mel(encoder, group, torch.device(setting.device)) for group in groups]

    @torch.no_grad()
    def ours() -> list[Vectors]:
        """Encode the spectrograms at their exact lengths."""
        with autocast(setting):
            return [encoder(mel) for mel in exact]

    @torch.no_grad()
    def theirs() -> list[Vectors]:
        """Encode them on 30 s."""
        with autocast(setting):
            return [plain.padded_states(encoder, mel) for mel in padded]

    settings = f"{plain.name()} WhisperEncoder, padded to 30 s, {'bf16 autocast' if cuda else 'fp32'}"
    work = {"utterances": number, "audio_s": round(sum(map(len, waves)) / RATE, 1)}
    flops = sum(whisper_flops(encoder, len(wave)) for wave in waves)
    return Case(ours, theirs, settings, lambda: _same_states(encoder, exact[0]), work, flops, weight_bytes(encoder))


def _mel(encoder: WhisperEncoder, waves: Sequence[np.ndarray], setting: Setting) -> Vectors:
    return encoder.log_mel(*(tensor.to(setting.device) for tensor in pad_waves(waves)))


@torch.no_grad()
def _same_states(encoder: WhisperEncoder, mel: Vectors) -> Equivalence:
    """Compare a padded batch with transformers' encoder made for the length of each utterance."""
    states, gap = encoder(mel), 0.0
    for row, (frames, length) in enumerate(zip(mel.lengths[:8].tolist(), states.lengths.tolist(), strict=False)):
        theirs = plain.unpadded_states(encoder, mel.values[row : row + 1, :, :frames])[0]
        gap = max(gap, float((states.values[row, :length] - theirs).abs().max()))
    return Equivalence("states in fp32, a batch against transformers made for each length", gap, 1e-4)


@case
def label_score(setting: Setting) -> Case:
    """The probabilities of seven names: ours in one pass over a tree, the peer in two, contexts and then all names."""
    asking = asked(_language(setting), "implicit", 4, setting.seed)

    def check() -> Equivalence:
        """Compare the probabilities of the names."""
        gap = same_probabilities(tree_scores(asking), plain.scores(asking, LABELS))
        return Equivalence(f"{gap.metric}, one pass against two", gap.value, gap.tolerance)

    settings = f"{plain.name()}, the contexts in one batch, then all names in one on their cache, fp32"
    work = {"utterances": len(asking.prompts), "names": len(LABELS)}
    flops, memory = scoring_cost(asking)
    return Case(lambda: tree_scores(asking), lambda: plain.scores(asking, LABELS), settings, check, work, flops, memory)


@torch.no_grad()
def tree_scores(asking: Asked) -> Tensor:
    """Return the log-probabilities (batch, 7) of the seven short answers."""
    rows = [LABELS] * len(asking.prompts)
    return torch.stack(asking.language.score(asking.speech, asking.boundaries, asking.prompts, rows))


def same_probabilities(ours: Tensor, theirs: Tensor) -> Equivalence:
    """Compare probabilities by log-probabilities (batch, 7), flattened so that no name has all."""
    gap = probabilities(ours, FLATTENING) - probabilities(theirs, FLATTENING)
    return Equivalence(f"probabilities at temperature {FLATTENING:g}", float(gap.abs().max()), 1e-5)


def scoring_cost(asking: Asked) -> tuple[float, float]:
    """Return operations and bytes of the contexts alone; the names add a few places."""
    model = asking.language
    heads = linear_flops(model.llm.get_output_embeddings(), len(asking.prompts))
    return sum(decoder_flops(model, places) for places in asking.positions) + heads, weight_bytes(model)


@case
def batched_decode(setting: Setting) -> Case:
    """Greedy answers of fixed length, one padded batch; both call `generate`, ours has read the instruction before."""
    tokens = 24 if setting.size == "real" else 6
    asking = asked(endless(_language(setting)), "explicit", 8, setting.seed)
    settings = f"{plain.name()} generate, one batch, fp32"
    work = {"utterances": len(asking.prompts), "tokens": tokens}
    flops, memory = decoding_cost(asking, tokens, 1)
    return Case(
        lambda: batch_answers(asking, tokens), lambda: plain.generate(asking, tokens), settings,
        lambda: same_answers(batch_answers(asking, tokens), plain.generate(asking, tokens)), work, flops, memory,
    )  # fmt: skip


def endless(model: LanguageModel) -> LanguageModel:
    """Return the model without an end token: all its answers have as many tokens as are asked for."""
    model.llm.generation_config = GenerationConfig(pad_token_id=model.tokenizer.convert_tokens_to_ids(END))
    return model


def batch_answers(asking: Asked, tokens: int) -> list[list[int]]:
    """Return the tokens of answers, from one batch."""
    return asking.language.answer_tokens(asking.speech, asking.boundaries, asking.prompts, tokens)


def same_answers(ours: Sequence[list[int]], theirs: Sequence[list[int]]) -> Equivalence:
    """Count the answers that differ in any token."""
    differing = sum(answer != other for answer, other in zip(ours, theirs, strict=True))
    return Equivalence("answers that differ in any token", float(differing), 0.0)


def decoding_cost(asking: Asked, tokens: int, batches: int) -> tuple[float, float]:
    """Return operations of answers of so many tokens, and the bytes of the weights, read for each token of a batch."""
    model, rows = asking.language, asking.positions
    steps = sum(decoder_flops(model, places) + decoder_flops(model, tokens - 1, places) for places in rows)
    heads = linear_flops(model.llm.get_output_embeddings(), tokens * len(rows))
    return steps + heads, float(batches * tokens * weight_bytes(model))


@case
def loss(setting: Setting) -> Case:
    """The loss of explicit answers and its gradient: ours with the head at labels only, the peer with all logits."""
    asking = asked(language(setting, "wide" if setting.size == "real" else "quick"), "explicit", 4, setting.seed)
    answers = [explicit_answer(number) for number in range(4)]
    speech = asking.speech.values.requires_grad_()
    model, (flops, labels) = asking.language, learning_flops(asking, answers)

    def ours() -> Tensor:
        """Return the loss with the head at labels only."""
        return model.answer_loss(asking.speech, asking.boundaries, asking.prompts, answers)[0]

    def theirs() -> Tensor:
        """Return it from all logits."""
        return plain.loss(asking, answers)

    def check() -> Equivalence:
        """Compare the losses, and their gradients in the speech."""
        (one, own), (other, reference) = (_gradient(function, speech) for function in (ours, theirs))
        gap = float(
            torch.stack([(one - other).abs() / other, (own - reference).abs().max() / reference.abs().max()]).max()
        )
        return Equivalence("relative difference of loss and gradient in fp32", gap, 1e-6)

    places = sum(asking.positions) + labels - len(answers)
    work = {"positions": places, "labels": labels, "vocabulary": model.llm.config.vocab_size}
    settings = f"{plain.name()} labels=, logits at all positions, torch cross-entropy, fp32"
    functions = (lambda: _gradient(ours, speech), lambda: _gradient(theirs, speech))
    return Case(*functions, settings, check, work, flops, weight_bytes(model))


def _gradient(function: Callable[[], Tensor], leaf: Tensor) -> tuple[Tensor, Tensor]:
    """Return a loss and its gradient at a leaf."""
    value = function()
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def _language(setting: Setting) -> LanguageModel:
    return language(setting, "47M" if setting.size == "real" else "quick")


@case
def packing(setting: Setting) -> Count:
    """How much of the padded batches of an epoch is speech: ours against batches of 32 that transformers groups."""
    number = 20000 if setting.size == "real" else 1000
    seconds = {f"u{place:05d}": float(length) for place, length in enumerate(durations(number, setting.seed))}
    sampler = Batches(seconds, max_seconds=312.0, seed=setting.seed)
    ours = [sampler.at(index) for index in range(sampler.per_epoch)]
    names = list(seconds)
    grouped = plain.grouped_by_length(list(seconds.values()), BATCH, setting.seed)
    theirs = [[names[place] for place in batch] for batch in grouped]

    def check() -> Equivalence:
        """Count the utterances that are not in both equally often."""
        own, other = (Counter(name for batch in batches for name in batch) for batches in (ours, theirs))
        different = ((own - other) + (other - own)).total()
        return Equivalence("utterances that are not in both exactly once", float(different), 0.0)

    work = {"utterances": number, "batches": len(ours), "noise": sampler.noise}
    peer = f"{plain.name()} group_by_length, 32 at once"
    return Count("real share of the padded seconds", _fill(ours, seconds), _fill(theirs, seconds), peer, check, work)


def _fill(batches: Sequence[Sequence[str]], seconds: dict[str, float]) -> float:
    padded = sum(max(seconds[name] for name in batch) * len(batch) for batch in batches)
    return sum(seconds.values()) / padded
