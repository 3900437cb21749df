"""From waveforms of any length to emotions: batches, label probabilities, long speech in segments."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.cot.prompts import Style
from c2ser.data.datasets import MAX_SECONDS
from c2ser.data.sampler import by_length
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import DecodeConfig
from c2ser.model.key_values import Reading
from c2ser.model.label_scores import label_scores, probabilities
from c2ser.model.vllm_engine import VllmEngine
from c2ser.recordings.results import Recognition
from c2ser.scoring.labels import read_label


@dataclass(frozen=True)
class SegmentResult:
    """What the model gives for one segment of speech, up to 30 s.

    Attributes:
        answer: the model's answer; "" if it was not asked for.
        tokens: number of tokens of the answer.
        milliseconds: time of the answer: the batch's time divided by its size, without the label scores.
        scores: log-probability of each emotion's answer, (classes,) float64.
        seconds: duration of the segment.
    """

    answer: str
    tokens: int
    milliseconds: float
    scores: np.ndarray
    seconds: float


def decode_batch(
    network: C2SERNetwork,
    waves: Mapping[str, np.ndarray],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    answers: bool = True,
) -> dict[str, SegmentResult]:
    """Decode one batch of segments.

    Args:
        network: the model's network.
        waves: mono waveforms at 16 kHz by utterance, (samples,) float32, up to 30 s.
        languages: ISO 639-1 code by utterance; None or absent if unknown.
        config: how answers are decoded.
        answers: whether to generate answers; without them an implicit model needs a single forward pass.

    Raises:
        ValueError: the batch does not fit into the GPU's memory, or explicit scores are asked for without answers.
    """
    network.eval()
    style, names = config.style or network.config.style, list(waves)
    texts, tokens = [""] * len(names), [0] * len(names)
    with _named_if_full(waves, config):
        start = time.perf_counter()
        speech, reading = network.encode(list(waves.values())), Reading()
        if answers:
            texts, tokens = network.generate(speech, style, config.max_new_tokens, config, names, reading)
        milliseconds = 1000 * (time.perf_counter() - start) / len(names) if answers else 0.0
        codes = [languages.get(name) for name in names]
        scores = label_scores(network, speech, style, codes, texts if answers else None, reading).numpy()
    return _results(waves, texts, tokens, milliseconds, scores)


@contextmanager
def _named_if_full(waves: Mapping[str, np.ndarray], config: DecodeConfig) -> Iterator[None]:
    """Name the batch if the GPU's memory is too small for it."""
    try:
        yield
    except torch.OutOfMemoryError:
        longest = max(map(len, waves.values())) / SAMPLE_RATE
        raise ValueError(
            f"{next(iter(waves))}: in its batch of {len(waves)} utterances, the longest {longest:.1f} s, the GPU ran "
            f"out of memory; lower batch_seconds ({config.batch_seconds:g}) or batch_utterances"
        ) from None


def _results(
    waves: Mapping[str, np.ndarray],
    texts: Sequence[str],
    tokens: Sequence[int],
    milliseconds: float,
    scores: np.ndarray,
) -> dict[str, SegmentResult]:
    return {
        name: SegmentResult(texts[row], tokens[row], milliseconds, scores[row], len(waves[name]) / SAMPLE_RATE)
        for row, name in enumerate(waves)
    }


def decode_by_engine(
    network: C2SERNetwork,
    batches: Sequence[Mapping[str, np.ndarray]],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    engine: VllmEngine,
) -> dict[str, SegmentResult]:
    """Decode batches of segments whose answers an engine writes all at once; the label scores are computed here.

    Args and errors are those of `decode_batch`, and the engine's.
    """
    network.eval()
    style, names = config.style or network.config.style, [name for waves in batches for name in waves]
    start, speech = time.perf_counter(), []
    for waves in batches:
        with _named_if_full(waves, config):
            speech.append(network.encode(list(waves.values())))
    contexts = [context for vectors in speech for context in network.contexts(vectors, style)]
    answers, counts = network.language.texts(engine.answer(contexts, names))
    milliseconds = 1000 * (time.perf_counter() - start) / len(names)
    results: dict[str, SegmentResult] = {}
    for waves, vectors in zip(batches, speech, strict=True):
        rows = slice(len(results), len(results) + len(waves))
        codes = [languages.get(name) for name in waves]
        with _named_if_full(waves, config):
            scores = label_scores(network, vectors, style, codes, answers[rows]).numpy()
        results |= _results(waves, answers[rows], counts[rows], milliseconds, scores)
    return results


def recognise(
    network: C2SERNetwork,
    waves: Mapping[str, np.ndarray],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    answers: bool = True,
    temperature: float = 1.0,
    engine: VllmEngine | None = None,
) -> dict[str, Recognition]:
    """Recognise emotions in utterances of any length; speech over 30 s is cut where it is quietest.

    Args and errors are those of `decode_batch`; `temperature` divides the log-probabilities of the emotions. An
    `engine` writes the answers of all batches at once, in place of the network's own language model.
    """
    segments = {
        f"{name}/{number}": segment
        for name, wave in waves.items()
        for number, segment in enumerate(audio.pieces(wave, MAX_SECONDS))
    }
    codes = {key: languages.get(_utterance(key)) for key in segments}
    seconds = {key: len(segment) / SAMPLE_RATE for key, segment in segments.items()}
    groups = by_length(seconds, config.batch_seconds, config.batch_utterances)
    batches = [{key: segments[key] for key in keys} for keys in groups]
    results: dict[str, SegmentResult] = {}
    if engine:
        results = decode_by_engine(network, batches, codes, config, engine)
    else:
        for batch in batches:
            results |= decode_batch(network, batch, codes, config, answers)
    by_utterance: dict[str, list[SegmentResult]] = {name: [] for name in waves}
    for key in segments:  # in the order in which they were spoken
        by_utterance[_utterance(key)].append(results[key])
    style = config.style or network.config.style
    return {name: combine(parts, style, temperature, network.labels) for name, parts in by_utterance.items()}


def _utterance(key: str) -> str:
    return key.rpartition("/")[0]


def combine(
    segments: Sequence[SegmentResult], style: Style, temperature: float, labels: LabelSet = SEVEN
) -> Recognition:
    """Combine the segments of an utterance into one result.

    Probabilities are means weighted by duration. The answer is that of the segment with the largest weight for the most
    probable emotion: its probability there times the segment's duration.

    Args:
        segments: the results of its segments.
        style: the chain of thought that was asked for.
        temperature: of the probabilities.
        labels: the classes.
    """
    scores = torch.from_numpy(np.stack([segment.scores for segment in segments]))
    rows = probabilities(scores, temperature).numpy()
    weights = np.array([segment.seconds for segment in segments])
    mean = weights @ rows / weights.sum()
    best = int(mean.argmax())
    answer = segments[int((weights * rows[:, best]).argmax())].answer
    return Recognition(
        emotion=labels.names[best],
        probabilities={emotion: float(p) for emotion, p in zip(labels, mean, strict=True)},
        answer=answer,
        style=style,
        tokens=sum(segment.tokens for segment in segments),
        milliseconds=sum(segment.milliseconds for segment in segments),
        said="" if labels == SEVEN else read_label(answer, labels=labels),
    )
