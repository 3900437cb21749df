"""Answers and probabilities for a whole data directory."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from c2ser import audio
from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.datasets import MAX_SECONDS, check_seconds, load_wave
from c2ser.data.prefetch import prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.label_sets import write_label_set
from c2ser.log import get_logger, progress
from c2ser.model.c2ser import C2SER
from c2ser.model.config import DecodeConfig
from c2ser.model.folder import CALIBRATION
from c2ser.model.recognition import decode_batch
from c2ser.scoring.distributions import UTT2PROB
from c2ser.scoring.probabilities import fit_temperature
from c2ser.tables import TableMap, read_table, write_json

logger = get_logger(__name__)

ENGINE_BATCHES = 16
"""So many batches are answered at once by an engine that decodes many utterances side by side."""

UTT2MS = "utt2ms"
"""The table beside the answers: milliseconds (a batch's time divided by its size) and tokens of each."""


def decode(model: C2SER, data: str | Path, out: str | Path, config: DecodeConfig) -> None:
    """Write the table of answers, and `utt2ms`, `utt2prob` and, for classes of their own, `labels.json` beside it.

    Batches are made from the whole data directory, also from utterances that are done: a run that continues after a
    kill gives the answers of an uninterrupted one. Utterances that the model cannot take are rejected with the reason.
    """
    out = Path(out)
    write_label_set(out.parent, model.network.labels)
    engine = model.start_engine(config)
    batches = ENGINE_BATCHES if engine else 1
    with TableMap(out, out.with_name(UTT2MS), out.with_name(UTT2PROB)) as job:
        sizes = config.batch_seconds * batches, config.batch_utterances * batches
        for waves, languages in unfinished_batches(job, data, *sizes, audio.MAX_SECONDS):
            results = model.recognise(waves, languages, config, engine=engine)
            for name in job.todo(results):
                result = results[name]
                numbers = [result.probabilities[emotion] for emotion in model.classes]
                spent = f"{result.milliseconds:.1f} {result.tokens}"
                job.write(name, result.answer, spent, format_row(numbers), numbers=numbers)


def format_row(probabilities: Iterable[float]) -> str:
    """Return the probabilities of the emotions as `utt2prob` holds them."""
    return " ".join(f"{probability:.6g}" for probability in probabilities)


def calibrate(model: C2SER, folder: str | Path, data: str | Path, config: DecodeConfig) -> float:
    """Fit the temperature of the label probabilities on a validation set, and write it into the model's folder.

    Args:
        model: the model.
        folder: its folder.
        data: data directory of the validation set; utterances over 30 s are rejected.
        config: how explicit answers are decoded, and how utterances are grouped.

    Returns:
        the temperature.

    Raises:
        ValueError: no utterance of the set is usable, or its emotions are not those of the model.
    """
    table = Path(folder) / CALIBRATION.removesuffix(".json") / "utt2score"
    reference = {name: u.emotion for name, u in read_data_dir(data).items() if u.emotion}
    answers = (config.style or model.config.style) == "explicit"
    with TableMap(table) as job:
        sizes = config.batch_seconds, config.batch_utterances
        for waves, languages in unfinished_batches(job, data, *sizes, MAX_SECONDS):
            results = decode_batch(model.network, waves, languages, config, answers)
            for name in job.todo(results):
                scores = [float(score) for score in results[name].scores]
                job.write(name, " ".join(f"{score:.9g}" for score in scores), numbers=scores)
    fitted = fit_temperature(read_table(table), reference, model.network.labels)
    write_json(Path(folder) / CALIBRATION, {**fitted, "data": Path(data).name})
    logger.info("%s: temperature %.4f, fitted on %d utterances", folder, fitted["temperature"], fitted["utterances"])
    model.temperature = fitted["temperature"]
    return model.temperature


def unfinished_batches(
    job: TableMap, data: str | Path, seconds: float, number: int, longest: float
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, str | None]]]:
    """Yield waveforms (samples,) and languages by utterance, of batches that are not finished.

    Args:
        job: the tables; utterances that cannot be used are rejected there with the reason.
        data: data directory.
        seconds: padded audio in one batch, at most.
        number: utterances in one batch, at most.
        longest: seconds of an utterance, at most.
    """
    utterances = read_data_dir(data)
    durations = _durations(job, utterances, longest)
    groups = by_length(durations, seconds, number)
    unfinished = [names for names in groups if job.todo(names)]
    batches = prefetch_batches(unfinished, lambda name: load_wave(utterances[name], longest))
    for batch in progress(batches, "batches", len(unfinished)):
        for name in job.todo(batch.rejected):
            job.reject(name, batch.rejected[name])
        if batch.items:
            yield batch.items, {name: utterances[name].language or None for name in batch.items}


def _durations(job: TableMap, utterances: Mapping[str, Utterance], longest: float) -> dict[str, float]:
    """Return seconds by utterance, of those that the model can take; reject the others."""
    seconds = {}
    for name, utterance in utterances.items():
        try:
            length = utterance.duration or audio.duration(utterance.wav, name)
            check_seconds(length, name, longest)
            seconds[name] = length
        except ValueError as error:
            if job.todo([name]):
                job.reject(name, str(error))
    return seconds
