"""From waveforms of any length to emotions: batches, label probabilities, long speech in pieces."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.cot.prompts import Style
from c2ser.data.datasets import MAX_SECONDS, check_wave
from c2ser.data.sampler import by_length
from c2ser.emotions import EMOTIONS
from c2ser.model.c2ser import C2SER
from c2ser.model.config import DecodeConfig
from c2ser.model.label_scores import label_scores, probabilities

Source = str | Path | np.ndarray | torch.Tensor
"""An audio file, or a waveform (samples,)."""


@dataclass(frozen=True)
class Heard:
    """What the model makes of one piece of speech.

    Attributes:
        answer: what it says; "" where it was not asked.
        tokens: how many tokens that took.
        milliseconds: time of the answer, that of the batch divided by its size; label scores do not count.
        scores: log-probability of each emotion's answer, (7,) float64.
        seconds: duration of the piece.
    """

    answer: str
    tokens: int
    milliseconds: float
    scores: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Recognition:
    """What C²SER recognises in an utterance.

    Attributes:
        emotion: the most probable of the seven.
        probabilities: of each emotion; their sum is 1.
        answer: what the model says, "" where it was not asked; the emotion that it names may be another one.
        style: the chain of thought asked for.
        tokens: how many tokens the model wrote, for all pieces of long speech.
        milliseconds: time of the answer, that of a batch divided by its size.
    """

    emotion: str
    probabilities: dict[str, float]
    answer: str
    style: Style
    tokens: int
    milliseconds: float


def hear(
    model: C2SER,
    waves: Mapping[str, np.ndarray],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    answers: bool = True,
) -> dict[str, Heard]:
    """Let the model hear one batch.

    Args:
        model: the model.
        waves: mono waveforms at 16 kHz by utterance, (samples,) float32, up to 30 s.
        languages: ISO 639-1 code by utterance; None or absent where unknown.
        config: how answers are searched for.
        answers: whether to answer; without, an implicit model takes a single forward pass.

    Raises:
        ValueError: the GPU's memory is too small for the batch, or explicit scores without answers.
    """
    model.eval()
    style, names = config.style or model.config.style, [*waves]
    try:
        start = time.perf_counter()
        speech = model.hear([*waves.values()])
        said, tokens = [""] * len(names), [0] * len(names)
        if answers:
            said, tokens = model.say(speech, style, config.max_new_tokens, config, names)
        milliseconds = 1000 * (time.perf_counter() - start) / len(names) if answers else 0.0
        known = [languages.get(name) for name in names]
        scores = label_scores(model, speech, style, known, said if answers else None).numpy()
    except torch.OutOfMemoryError:
        longest = max(map(len, waves.values())) / SAMPLE_RATE
        raise ValueError(
            f"{names[0]}: in its batch of {len(names)} utterances, the longest {longest:.1f} s, the GPU ran "
            f"out of memory; lower batch_seconds ({config.batch_seconds:g}) or batch_utterances"
        ) from None
    seconds = [len(wave) / SAMPLE_RATE for wave in waves.values()]
    rows = zip(names, said, tokens, scores, seconds, strict=True)
    return {name: Heard(answer, count, milliseconds, row, length) for name, answer, count, row, length in rows}


def recognise(
    model: C2SER,
    waves: Mapping[str, np.ndarray],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    answers: bool = True,
) -> dict[str, Recognition]:
    """Recognise emotions in utterances of any length; speech over 30 s is cut where it is quietest.

    Args and errors are those of `hear`.
    """
    pieces = {
        f"{name}/{place}": piece
        for name, wave in waves.items()
        for place, piece in enumerate(audio.pieces(wave, MAX_SECONDS))
    }
    codes = {key: languages.get(_owner(key)) for key in pieces}
    lengths = {key: len(piece) / SAMPLE_RATE for key, piece in pieces.items()}
    heard: dict[str, Heard] = {}
    for keys in by_length(lengths, config.batch_seconds, config.batch_utterances):
        heard |= hear(model, {key: pieces[key] for key in keys}, codes, config, answers)
    own: dict[str, list[Heard]] = {name: [] for name in waves}
    for key in pieces:  # in the order in which they were spoken
        own[_owner(key)].append(heard[key])
    style = config.style or model.config.style
    return {name: pool(parts, style, model.temperature) for name, parts in own.items()}


def _owner(key: str) -> str:
    return key.rpartition("/")[0]


def pool(parts: Sequence[Heard], style: Style, temperature: float) -> Recognition:
    """Make one result of the pieces of an utterance.

    Probabilities are means weighted by duration. The answer is that of the piece which says most for the most probable
    emotion: its probability there times the piece's duration.

    Args:
        parts: what was heard in each piece.
        style: what was asked for.
        temperature: of the probabilities.
    """
    rows = probabilities(torch.from_numpy(np.stack([part.scores for part in parts])), temperature).numpy()
    weights = np.array([part.seconds for part in parts])
    pooled = weights @ rows / weights.sum()
    best = int(pooled.argmax())
    return Recognition(
        emotion=EMOTIONS[best],
        probabilities={emotion: float(p) for emotion, p in zip(EMOTIONS, pooled, strict=True)},
        answer=parts[int((weights * rows[:, best]).argmax())].answer,
        style=style,
        tokens=sum(part.tokens for part in parts),
        milliseconds=sum(part.milliseconds for part in parts),
    )


def predict(
    model: C2SER,
    source: Source | Sequence[Source],
    rate: int | None = None,
    language: str | None = None,
    style: Style | None = None,
    answers: bool = True,
) -> Recognition | list[Recognition]:
    """Recognise the emotion in speech of any length.

    Args:
        model: the model.
        source: an audio file or a mono waveform (samples,), or a list of them.
        rate: samples per second of the waveforms; needed for them, and for nothing else.
        language: ISO 639-1 code of what is spoken, "zh" or another; None where unknown.
        style: the chain of thought asked for; None takes the model's own.
        answers: whether to answer in words; an implicit model is much faster without.

    Returns:
        a recognition, or for a list of sources a list of them.

    Raises:
        ValueError: audio is unreadable or too short, a waveform comes without its rate or is not mono, or explicit
            probabilities are asked for without answers.
    """
    several = isinstance(source, list | tuple)
    waves = {
        f"{place}:{_title(one)}": load_source(one, rate) for place, one in enumerate(source if several else [source])
    }
    found = recognise(model, waves, dict.fromkeys(waves, language), DecodeConfig(style=style), answers)
    return [*found.values()] if several else next(iter(found.values()))


def _title(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else "waveform"


def load_source(source: Source, rate: int | None = None) -> np.ndarray:
    """Return mono float32 at 16 kHz, (samples,), that the model can hear; see `predict`."""
    name = _title(source)
    if isinstance(source, str | Path):
        return check_wave(audio.load(source, name), name, float("inf"))
    wave = np.asarray(source)
    if rate is None:
        raise ValueError("waveform: its rate is unknown; give rate=, the samples per second")
    if wave.ndim != 1 or not np.issubdtype(wave.dtype, np.floating) or not np.isfinite(wave).all():
        raise ValueError("waveform: not a row of finite floating-point numbers; give one channel, from -1 to 1")
    return check_wave(audio.resample(wave.astype(np.float32), rate), name, float("inf"))
