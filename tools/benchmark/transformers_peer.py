"""transformers as the peer, at its best: batches, a cache that answers share, length-grouped batches of a training.

What stays is what it demands: an encoder that wants 30 s, and logits at all positions where it computes a loss itself.
"""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from torch.nn.utils.rnn import pad_sequence
from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperLayers
from transformers.trainer_pt_utils import LengthGroupedSampler

from benchmark.random_models import Asked
from c2ser.data.collate import pad_waves
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.key_values import cache_name
from c2ser.model.perception import Vectors, WhisperEncoder, padding_mask


def name() -> str:
    """Return name and version for reports."""
    return f"transformers {version('transformers')}"


def padded_mel(encoder: WhisperEncoder, waves: Sequence[np.ndarray], device: torch.device) -> Vectors:
    """Return the spectrogram (batch, bins, 3000) of waveforms (samples,) with silence up to 30 s."""
    before, encoder.padding = encoder.padding, "30s"
    mel = encoder.log_mel(*(tensor.to(device) for tensor in pad_waves(waves)))
    encoder.padding = before
    return mel


def padded_states(encoder: WhisperEncoder, mel: Vectors) -> Vectors:
    """Return states (batch, time, dim) by the forward of transformers on 30 s, those of the silence cut off."""
    lengths = (mel.lengths + 1) // 2
    states = encoder.layers(mel.values).last_hidden_state[:, : int(lengths.max())]
    return Vectors(states * padding_mask(lengths, states.shape[1])[:, :, None].to(states.dtype), lengths)


def unpadded_states(encoder: WhisperEncoder, mel: Tensor) -> Tensor:
    """Return states (1, frames / 2, dim) of a spectrogram (1, bins, frames) by transformers, made for that length."""
    config = copy.deepcopy(encoder.config)
    config.max_source_positions = mel.shape[2] // 2
    weights = dict(encoder.layers.state_dict())
    weights["embed_positions.weight"] = weights["embed_positions.weight"][: config.max_source_positions]
    with torch.device("meta"):
        layers = WhisperLayers(config).eval()
    layers.load_state_dict(weights, assign=True)
    return layers(mel).last_hidden_state


def listen(model: C2SERNetwork, waves: Sequence[np.ndarray], exact: bool = True) -> Vectors:
    """Return speech embeddings (batch, time, dim) of waveforms (samples,), with Whisper on 30 s."""
    assert model.whisper is not None  # as in every model of the benchmark
    single = torch.autocast(model.device.type, enabled=False)
    with single:
        mel = padded_mel(model.whisper, waves, model.device)
    acoustic = None
    if model.acoustic is not None:
        with single if exact else nullcontext():
            acoustic = model.acoustic(*(tensor.to(model.device) for tensor in pad_waves(waves)))
    with torch.set_grad_enabled(torch.is_grad_enabled() and not model.whisper_frozen):
        states = padded_states(model.whisper, mel)
    return model.connector(states, acoustic)


def context(asked: Asked, number: int) -> Tensor:
    """Return what precedes an utterance's answer, as embeddings (time, dim)."""
    before, after = (_embed(asked, ids) for ids in asked.language.prompt_ids(asked.prompts[number]))
    speech = asked.speech.values[number, : int(asked.speech.lengths[number])]
    middle = torch.cat([asked.boundaries[:1], speech.to(asked.boundaries.dtype), asked.boundaries[1:]])
    return torch.cat([before, middle.to(before.dtype), after])


def _embed(asked: Asked, ids: Sequence[int]) -> Tensor:
    table = asked.language.llm.get_input_embeddings()
    return table(torch.tensor(ids, dtype=torch.long, device=asked.language.llm.device))


def _labels(asked: Asked, answer: str) -> list[int]:
    return [*asked.language.tokenizer(answer, add_special_tokens=False)["input_ids"], asked.language.end]


def _left_padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return embeddings (batch, time, dim) and the mask (batch, time) of rows (time, dim), padded at the left."""
    ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    padded, mask = (pad_sequence(part, batch_first=True, padding_side="left") for part in (list(rows), ones))
    return padded, mask


@torch.no_grad()
def scores(asked: Asked, answers: Sequence[str]) -> Tensor:
    """Return log-probabilities (batch, answers): a pass over the contexts, one over all answers on their cache."""
    llm: Any = asked.language.llm
    embedded, mask = _left_padded([context(asked, number) for number in range(len(asked.prompts))])
    begun = llm(inputs_embeds=embedded, attention_mask=mask, use_cache=True, logits_to_keep=1)
    name = cache_name(llm.forward)
    cache = begun[name]
    cache.batch_repeat_interleave(len(answers))
    rows = [torch.tensor(_labels(asked, answer), device=mask.device) for answer in answers]
    ids = pad_sequence(rows, batch_first=True, padding_value=-1).repeat(len(mask), 1)  # (batch x answers, longest)
    real = ids >= 0
    seen = torch.cat([mask.repeat_interleave(len(answers), 0), real[:, :-1].long()], 1)
    logits = llm(input_ids=ids[:, :-1].clamp(min=0), attention_mask=seen, **{name: cache}).logits
    first = begun.logits[:, -1:].repeat_interleave(len(answers), 0)
    logs = log_softmax(torch.cat([first, logits], 1).float(), -1)
    chosen = logs.gather(-1, ids.clamp(min=0)[:, :, None])[:, :, 0]
    return torch.where(real, chosen, 0.0).sum(1).view(len(mask), -1)


@torch.no_grad()
def generate(asked: Asked, tokens: int) -> list[list[int]]:
    """Return the tokens of answers, so many for each, from one batch."""
    llm: Any = asked.language.llm  # PEFT's wrapper has no type for `generate`
    embedded, mask = _left_padded([context(asked, number) for number in range(len(asked.prompts))])
    options = {"max_new_tokens": tokens, "do_sample": False}
    return llm.generate(inputs_embeds=embedded, attention_mask=mask, **options).tolist()


def grouped_by_length(lengths: Sequence[float], batch: int, seed: int) -> list[list[int]]:
    """Return the batches of an epoch as transformers' trainer makes them with `group_by_length`."""
    samples = [round(1000 * length) for length in lengths]
    generator = torch.Generator().manual_seed(seed)
    order = list(LengthGroupedSampler(batch, lengths=samples, generator=generator))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def loss(asked: Asked, answers: Sequence[str]) -> Tensor:
    """Return the loss that transformers computes itself: logits at every position of the padded batch."""
    rows, labels = [], []
    for number, answer in enumerate(answers):
        ids, start = _labels(asked, answer), context(asked, number)
        rows.append(torch.cat([start, _embed(asked, ids)]))
        labels.append(torch.tensor([-100] * len(start) + ids, device=start.device))
    mask = pad_sequence([torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows], True)
    embedded, target = pad_sequence(rows, batch_first=True), pad_sequence(labels, True, -100)
    return asked.language.llm(inputs_embeds=embedded, attention_mask=mask, labels=target, use_cache=False).loss
