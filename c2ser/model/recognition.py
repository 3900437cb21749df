"""From waveforms of any length to emotions: batches, label probabilities, long speech in segments."""

import time
from collections.abc import Mapping, Sequence
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
    try:
        start = time.perf_counter()
        speech, reading = network.encode(list(waves.values())), Reading()
        if answers:
            texts, tokens = network.generate(speech, style, config.max_new_tokens, config, names, reading)
        milliseconds = 1000 * (time.perf_counter() - start) / len(names) if answers else 0.0
        codes = [languages.get(name) for name in names]
        scores = label_scores(network, speech, style, codes, texts if answers else None, reading).numpy()
    except torch.OutOfMemoryError:
        longest = max(map(len, waves.values())) / SAMPLE_RATE
        raise ValueError(
            f"{names[0]}: in its batch of {len(names)} utterances, the longest {longest:.1f} s, the GPU ran "
            f"out of memory; lower batch_seconds ({config.batch_seconds:g}) or batch_utterances"
        ) from None
    return {
        name: SegmentResult(texts[row], tokens[row], milliseconds, scores[row], len(waves[name]) / SAMPLE_RATE)
        for row, name in enumerate(names)
    }


def recognise(
    network: C2SERNetwork,
    waves: Mapping[str, np.ndarray],
    languages: Mapping[str, str | None],
    config: DecodeConfig,
    answers: bool = True,
    temperature: float = 1.0,
) -> dict[str, Recognition]:
    """Recognise emotions in utterances of any length; speech over 30 s is cut where it is quietest.

    Args and errors are those of `decode_batch`; `temperature` divides the log-probabilities of the emotions.
    """
    segments = {
        f"{name}/{number}": segment
        for name, wave in waves.items()
        for number, segment in enumerate(audio.pieces(wave, MAX_SECONDS))
    }
    codes = {key: languages.get(_utterance(key)) for key in segments}
    seconds = {key: len(segment) / SAMPLE_RATE for key, segment in segments.items()}
    results: dict[str, SegmentResult] = {}
    for keys in by_length(seconds, config.batch_seconds, config.batch_utterances):
        results |= decode_batch(network, {key: segments[key] for key in keys}, codes, config, answers)
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
