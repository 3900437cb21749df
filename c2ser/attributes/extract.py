"""The attributes of all utterances of a data directory, as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser.attributes.config import PitchConfig
from c2ser.attributes.levels import FLAG, check_limits, flags
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import PitchTracker, Track, check_length
from c2ser.attributes.rate import speaking_rate
from c2ser.attributes.recording import clean
from c2ser.audio import SAMPLE_RATE, trim_silence
from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.data.prefetch import prefetch_batches
from c2ser.log import progress
from c2ser.tables import TableMap


@dataclass
class Measured:
    """What is measured in an utterance before its pitch.

    Attributes:
        wave: the waveform (samples,) without silence at its ends.
        loudness: LUFS.
        rate: phonemes per second.
        faults: flags of its recording.
    """

    wave: np.ndarray
    loudness: float
    rate: float
    faults: Sequence[str]


def extract_attributes(data: Path, out: Path, pitch: PitchConfig, silence_db: float, num_workers: int) -> None:
    """Write the tables `utt2attr` (OUT) and `utt2flag` beside it.

    Args:
        data: data directory.
        out: table of attributes.
        pitch: how pitch is tracked.
        silence_db: sound this far (dB) below the loudest frame counts as silence at the beginning and end.
        num_workers: threads that read audio and measure everything but pitch.
    """
    utterances = read_data_dir(data)
    with TableMap(out, out.with_name(FLAG)) as job:
        batches = list(group_by_seconds(utterances, job.todo(utterances), pitch.batch_seconds))
        if not batches:
            return
        tracker = PitchTracker(pitch)
        loaded = prefetch_batches(batches, lambda name: measure(utterances[name], silence_db), num_workers)
        for batch in progress(loaded, "batches", len(batches)):
            for name, reason in batch.rejected.items():
                job.reject(name, reason)
            tracks = tracker.track([measured.wave for measured in batch.items.values()])
            for (name, measured), track in zip(batch.items.items(), tracks, strict=True):
                _write(job, name, measured, track, pitch.voiced)


def group_by_seconds(utterances: dict[str, Utterance], names: Sequence[str], seconds: float) -> Iterator[list[str]]:
    """Yield the names in order, in groups that hold at most this many seconds of audio, or one utterance."""
    group: list[str] = []
    total = 0.0
    for name, length in durations({name: utterances[name] for name in names}, unreadable=0.0):
        if group and total + length > seconds:
            yield group
            group, total = [], 0.0
        group, total = [*group, name], total + length
    if group:
        yield group


def measure(utterance: Utterance, silence_db: float) -> Measured:
    """Return the sound of an utterance without the silence at its ends, its loudness and its speaking rate.

    Raises:
        ValueError: one of its attributes cannot be measured.
    """
    cleaned, faults = clean(wave(utterance))
    speech = trim_silence(cleaned, silence_db)
    level = loudness(speech, utterance.id)
    check_length(speech, utterance.id)
    rate = speaking_rate(utterance.text, utterance.language, len(speech), utterance.id)
    return Measured(speech, level, rate, faults)


def _write(job: TableMap, name: str, measured: Measured, track: Track, voiced: float) -> None:
    """Write the rows of an utterance, or reject it if it has no voiced frame or a value that no speech has."""
    try:
        values = (track.mean(voiced, name), measured.loudness, measured.rate)
        check_limits(values, name)
    except ValueError as error:
        job.reject(name, str(error))
    else:
        share = float((track.periodicity >= voiced).mean())
        row = f"{values[0]:.2f} {values[1]:.2f} {values[2]:.3f}"
        job.write(name, row, flags(len(measured.wave) / SAMPLE_RATE, share, measured.faults), numbers=values)
