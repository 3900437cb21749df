"""Answers for a whole data directory."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser import audio
from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.datasets import check_seconds, load_wave
from c2ser.data.sampler import by_length
from c2ser.log import progress
from c2ser.model.c2ser import C2SER, Style
from c2ser.tables import TableMap

UTT2MS = "utt2ms"
"""The table beside the answers: milliseconds (a batch's time divided by its size) and tokens of each."""


@dataclass
class DecodeConfig:
    """How answers are searched for.

    Attributes:
        batch_seconds: padded audio in one batch, at most.
        batch_utterances: utterances in one batch, at most.
        max_new_tokens: where an answer is cut off.
        beams: width of the search; 1 is greedy.
        style: the chain of thought asked for; None takes the model's own.
    """

    batch_seconds: float = 240.0
    batch_utterances: int = 64
    max_new_tokens: int = 400
    beams: int = 1
    style: Style | None = None


def decode(model: C2SER, data: str | Path, out: str | Path, config: DecodeConfig) -> None:
    """Write the table of answers, and `utt2ms` beside it.

    Batches are cut from the whole data directory, finished utterances or not: a run that goes on after a kill gives the
    answers of an undisturbed one. Utterances that the model cannot hear are rejected with the reason.
    """
    utterances, out = read_data_dir(data), Path(out)
    with TableMap(out, out.with_name(UTT2MS)) as job:
        batches = by_length(_durations(job, utterances), config.batch_seconds, config.batch_utterances)
        for names in progress(batches, "batches"):
            if job.todo(names):
                _decode_batch(model, job, {name: utterances[name] for name in names}, config)


def _durations(job: TableMap, utterances: Mapping[str, Utterance]) -> dict[str, float]:
    """Return seconds by utterance, of those that the model can hear; reject the others."""
    seconds = {}
    for name, utterance in utterances.items():
        try:
            length = utterance.duration or audio.duration(utterance.wav, name)
            check_seconds(length, name)
            seconds[name] = length
        except ValueError as error:
            _reject(job, name, error)
    return seconds


def _reject(job: TableMap, name: str, error: ValueError) -> None:
    if job.todo([name]):
        job.reject(name, str(error).removeprefix(f"{name}: "))


def _decode_batch(model: C2SER, job: TableMap, utterances: Mapping[str, Utterance], config: DecodeConfig) -> None:
    waves: dict[str, np.ndarray] = {}
    for name, utterance in utterances.items():
        try:
            waves[name] = load_wave(utterance)
        except ValueError as error:
            _reject(job, name, error)
    if not waves:
        return
    start = time.perf_counter()
    answers, tokens = model.generate([*waves.values()], config.style, config.max_new_tokens, config.beams)
    milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
    todo = set(job.todo(waves))
    for name, answer, count in zip(waves, answers, tokens, strict=True):
        if name in todo:
            job.write(name, answer, f"{milliseconds:.1f} {count}")
