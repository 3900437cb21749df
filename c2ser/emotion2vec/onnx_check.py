"""Whether an ONNX file answers as the model in torch does, and how fast: on noise, and on speech with labels."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from c2ser.audio import SAMPLE_RATE
from c2ser.corpus import Utterance, emotions_of, read_data_dir, wave
from c2ser.data.collate import pad_waves
from c2ser.emotion2vec.speech_classifier import SpeechClassifier
from c2ser.log import get_logger, progress
from c2ser.scoring.metrics import scores

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

logger = get_logger(__name__)

Runner = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Gives the probabilities (batch, labels) of waveforms, each (samples,)."""


@dataclass
class _Side:
    """One of the two: its runner, and what it gave."""

    classify: Runner
    labels: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def open_onnx(model: str | Path | bytes) -> "InferenceSession":
    """Open an ONNX file, or its content, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; it also warns of what it optimises away
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def onnx_runner(session: "InferenceSession") -> Runner:
    """Return the function that classifies with an open ONNX file; in one batch, which must be one that it takes."""

    def classify(waves: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities (batch, labels)."""
        padded, lengths = pad_waves(waves)
        (probabilities,) = session.run(["probabilities"], {"waveform": padded.numpy(), "lengths": lengths.numpy()})
        return np.asarray(probabilities)

    return classify


def difference_on_noise(classifier: SpeechClassifier, model: bytes) -> float:
    """Return how much mean embeddings and probabilities differ between torch and ONNX, for noise of two lengths.

    Differences of embeddings are divided by the largest embedding, if that is over 1.
    """
    generator = np.random.default_rng(0)
    waves = [0.1 * generator.normal(size=number).astype(np.float32) for number in (SAMPLE_RATE, SAMPLE_RATE * 3 // 2)]
    session, largest = open_onnx(model), 0.0
    for padded, lengths in map(pad_waves, classifier.groups(waves)):
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in classifier(padded, lengths)[1:]]
        inputs = {"waveform": padded.numpy(), "lengths": lengths.numpy()}
        pairs = zip(expected, session.run(["embedding", "probabilities"], inputs), strict=True)
        gaps = [np.abs(one - other).max() / max(1, np.abs(one).max()) for one, other in pairs]
        largest = float(np.max([largest, *gaps]))  # unlike max, it lets no NaN pass
    return largest


def compare_on_speech(classifier: SpeechClassifier, path: str | Path, data: Path) -> dict[str, float]:
    """Classify the utterances of a data directory, one at a time, with torch and with an ONNX file; log the figures.

    Returns:
        `utterances`; how many have `other_labels`, `ua_torch`, `ua_onnx` (utterances that cannot be read count as
        wrong), the largest `difference` of a probability, and the milliseconds of processor time of an
        utterance, `ms_torch` and `ms_onnx`, reading it excluded; other programs do not change these.

    Raises:
        ValueError: an utterance has no emotion, or one that is no class of the model, or none can be read.
    """
    utterances = read_data_dir(data)
    reference = emotions_of(utterances)
    if unknown := sorted(set(reference.values()) - set(classifier.labels)):
        raise ValueError(
            f"{data}/utt2emo: {unknown[0]} is no class of the model, which has {', '.join(classifier.labels)}; "
            "give a data directory with these"
        )
    torch_side, onnx_side = _Side(classifier.classify), _Side(onnx_runner(open_onnx(path)))
    largest = _classify_all(utterances, classifier, [torch_side, onnx_side])
    number = len(torch_side.labels)
    if not number:
        raise ValueError(f"{data}: no utterance can be read; mend what the lines above say of each")
    figures: dict[str, float] = {
        "utterances": len(utterances),
        "other_labels": sum(onnx_side.labels[name] != label for name, label in torch_side.labels.items()),
        "ua_torch": scores(reference, torch_side.labels)["ua"],
        "ua_onnx": scores(reference, onnx_side.labels)["ua"],
        "difference": largest,
        "ms_torch": 1000 * torch_side.seconds / number,
        "ms_onnx": 1000 * onnx_side.seconds / number,
    }
    logger.info(
        "%s: UA %.4f with torch and %.4f with %s; %d of %d utterances get another label, probabilities differ by %.1e "
        "at most; %.1f and %.1f ms of processor time an utterance, with %d threads",
        data, figures["ua_torch"], figures["ua_onnx"], path, figures["other_labels"], len(utterances), largest,
        figures["ms_torch"], figures["ms_onnx"], torch.get_num_threads(),
    )  # fmt: skip
    return figures


def _classify_all(utterances: dict[str, Utterance], classifier: SpeechClassifier, sides: Sequence[_Side]) -> float:
    """Let both sides classify what can be read, and return the largest difference of a probability between them."""
    shortest, longest, largest = classifier.encoder.min_samples, classifier.encoder.max_samples, 0.0
    for name in progress(utterances, "utterances"):
        try:
            samples = wave(utterances[name])
            if len(samples) < shortest:
                raise ValueError(f"{name}: {len(samples)} samples, under the encoder's {shortest}; remove it")
            if longest and len(samples) > longest:
                raise ValueError(f"{name}: {len(samples)} samples, over the encoder's {longest}; cut it")
        except ValueError as error:
            logger.warning("rejected: %s", error)
            continue
        rows = []
        for side in sides:
            start = time.process_time()
            rows.append(side.classify([samples])[0])
            side.seconds += time.process_time() - start
            side.labels[name] = classifier.labels[int(rows[-1].argmax())]
        largest = max(largest, float(np.abs(rows[0] - rows[1]).max()))
    return largest
