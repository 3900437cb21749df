"""Classifiers that others have trained: emotion2vec+, and any AutoModelForAudioClassification of transformers."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, PreTrainedModel

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.answers import Answer
from c2ser.baselines.config import BaselineConfig
from c2ser.data.datasets import MAX_SECONDS
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN
from c2ser.model.emotion2vec_classifier import Emotion2VecClassifier
from c2ser.model.loading import load
from c2ser.prep.label_names import LabelNames
from c2ser.pretrained import find_model, load_pretrained, readable


class ClassAnswers:
    """A classifier that answers with the name of its most probable class, which may be none of the seven emotions.

    Args:
        classify: returns the probability of each class, (classes,), of a waveform at 16 kHz, (samples,).
        classes: our name of each; several may have the same one.
        module: what holds the weights.

    Raises:
        ValueError: none of the classes is one of the seven emotions.
    """

    transcribes = False
    labels = SEVEN

    def __init__(self, classify: Any, classes: Sequence[str], module: Any) -> None:
        self.classify, self.classes, self.module = classify, list(classes), module
        if not {*EMOTIONS} & {*classes}:
            raise ValueError(f"baseline.model: its classes ({', '.join(classes)}) are none of the seven emotions; say "
                             "with baseline.labels which emotion each of them is")  # fmt: skip

    def to(self, device: torch.device | str) -> "ClassAnswers":
        """Move the model to a device."""
        self.module.to(device)
        return self

    @torch.no_grad()
    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer one by one; see `c2ser.baselines.answers.Answerer`.

        In a batch some of these models would see the padding. Speech over 30 s is classified in pieces, whose
        probabilities are averaged by duration, as in C²SER.
        """
        answers = {}
        for name, wave in waves.items():
            start = time.perf_counter()
            parts = audio.pieces(wave, MAX_SECONDS)
            shares = sum(self.classify(part).astype(np.float64) * (len(part) / len(wave)) for part in parts)
            sums = dict.fromkeys(self.classes, 0.0)
            for label, share in zip(self.classes, np.asarray(shares).tolist(), strict=True):
                sums[label] += share
            row = np.array([sums.get(emotion, 0.0) for emotion in EMOTIONS])
            milliseconds = 1000 * (time.perf_counter() - start)
            best = max(sums, key=lambda label: sums[label])
            answers[name] = Answer(best, row / row.sum(), milliseconds, 0)
        return answers


def load_emotion2vec(config: BaselineConfig) -> ClassAnswers:
    """Load an emotion2vec with a classifier.

    Raises:
        ValueError: it is missing, damaged or another model.
    """
    name = config.model or "emotion2vec/emotion2vec_plus_large"
    model = load(name, "cpu")
    if not isinstance(model, Emotion2VecClassifier):
        raise ValueError(f"{name}: no emotion2vec with a classifier; give one, such as emotion2vec+ large")
    recognise = model.recogniser()

    def classify(wave: np.ndarray) -> np.ndarray:
        """Return the probability of each class, (classes,), of a waveform (samples,)."""
        probabilities = recognise({"wave": wave})["wave"].probabilities
        return np.array([probabilities[label] for label in model.classes])

    return ClassAnswers(classify, model.classes, model)


def load_audio_classifier(config: BaselineConfig) -> ClassAnswers:
    """Load a model of transformers that classifies audio, from a folder or a hub id; nothing in its files is run.

    Raises:
        ValueError: there is none, it is damaged, or its classes are no emotions.
    """
    if not config.model:
        raise ValueError("baseline.model: missing; give the classifier's folder or hub id")
    name = find_model(config.model, "audio classifier")
    with readable(name, "feature extractor", "check its folder or hub id"):
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ValueError(f"{name}: takes audio at {extractor.sampling_rate} Hz, not 16,000; choose another model")
    model = load_pretrained(AutoModelForAudioClassification, name, "audio classifier", dtype=torch.float32).eval()
    names = LabelNames(
        {label: SEVEN.check(emotion, f"baseline.labels.{label}") for label, emotion in config.labels.items()}
    )
    labels = model.config.id2label or {}
    classes = [names.class_of(str(labels.get(place, place))) for place in range(model.config.num_labels)]
    return ClassAnswers(_Classify(model, extractor), classes, model)


class _Classify:
    """Calls a model of transformers on a waveform."""

    def __init__(self, model: PreTrainedModel, extractor: Any) -> None:
        self.model, self.extractor = model, extractor

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """Return the probability of each class, (classes,)."""
        inputs = self.extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return self.model(**inputs.to(self.model.device)).logits[0].double().softmax(dim=-1).cpu().numpy()
