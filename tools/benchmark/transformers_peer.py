"""transformers as the peer: an encoder that wants 30 s, answers one at a time, logits everywhere."""

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

from benchmark.random_models import Asked, both_encoders
from c2ser.data.collate import pad_waves
from c2ser.model.c2ser_network import C2SERNetwork
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
    whisper, emotion2vec = both_encoders(model)
    single = torch.autocast(model.device.type, enabled=False)
    with single:
        mel = padded_mel(whisper, waves, model.device)
    with single if exact else nullcontext():
        acoustic = emotion2vec(*(tensor.to(model.device) for tensor in pad_waves(waves)))
    return model.connector(padded_states(whisper, mel), acoustic)


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


@torch.no_grad()
def scores(asked: Asked, answers: Sequence[str]) -> Tensor:
    """Return log-probabilities (batch, answers), each from a forward pass of its own."""
    rows = []
    for number in range(len(asked.prompts)):
        start, sums = context(asked, number), []
        for ids in (_labels(asked, answer) for answer in answers):
            embedded = torch.cat([start, _embed(asked, ids[:-1])])[None]
            logits = asked.language.llm(inputs_embeds=embedded, use_cache=False).logits[0, len(start) - 1 :]
            sums.append(log_softmax(logits.float(), -1)[range(len(ids)), ids].sum())
        rows.append(torch.stack(sums))
    return torch.stack(rows)


@torch.no_grad()
def generate(asked: Asked, tokens: int) -> list[list[int]]:
    """Return the tokens of answers, so many for each, one utterance after the other."""
    answers = []
    llm: Any = asked.language.llm  # PEFT's wrapper has no type for `generate`
    for number in range(len(asked.prompts)):
        embedded = context(asked, number)[None]
        mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=embedded.device)
        ids = llm.generate(inputs_embeds=embedded, attention_mask=mask, max_new_tokens=tokens, do_sample=False)
        answers.append(ids[0].tolist())
    return answers


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
