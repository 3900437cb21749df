"""Measure pitch, loudness and speaking rate of the utterances of a data directory."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser.attributes.levels import FLAG, flags
from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import PitchConfig, PitchTracker, Track, check_length
from c2ser.attributes.rate import speaking_rate
from c2ser.audio import SAMPLE_RATE, trim_silence
from c2ser.cli import run
from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.data.prefetch import prefetch_batches
from c2ser.log import progress
from c2ser.tables import TableMap


@dataclass
class Sound:
    """What is measured of an utterance before its pitch.

    Attributes:
        wave: the waveform (samples,) without silence around it.
        loudness: LUFS.
        rate: phonemes per second.
    """

    wave: np.ndarray
    loudness: float
    rate: float


def main(
    data: Path, out: Path, pitch: PitchConfig, silence_db: float = 40.0, threads: int = 1, readers: int = 1
) -> None:
    """Write the table OUT: pitch (Hz), loudness (LUFS) and rate (phonemes/s) of each utterance.

    The table utt2flag beside it says what to doubt: `short` where the sound was repeated to have a loudness, `unvoiced`
    where hardly a frame has a pitch, else `-`.

    Args:
        data: data directory.
        out: table of attributes.
        pitch: how pitch is tracked.
        silence_db: sound this far (dB) below the loudest frame counts as silence at the beginning and end.
        threads: CPU threads of this job.
        readers: threads that read the audio of the next groups and measure what is not pitch; a fast card wants
            several, and as many cores.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    utterances = read_data_dir(data)
    with TableMap(out, out.with_name(FLAG)) as job:
        todo = list(groups(utterances, job.todo(utterances), pitch.together))
        tracker = PitchTracker(pitch) if todo else None
        heard = prefetch_batches(todo, lambda name: listen(utterances[name], silence_db), readers)
        for sounds in progress(heard, "groups", len(todo)):
            for name, flaw in sounds.rejected.items():
                job.reject(name, flaw)
            tracks = tracker.track([sound.wave for sound in sounds.items.values()])
            for (name, sound), track in zip(sounds.items.items(), tracks, strict=True):
                write(job, name, sound, track, pitch.voiced)


def groups(utterances: dict[str, Utterance], todo: Sequence[str], seconds: float) -> Iterator[list[str]]:
    """Yield the utterances in order, as many at a time as hold so many seconds of audio."""
    group, held = [], 0.0
    for name, length in durations({name: utterances[name] for name in todo}, unreadable=0.0):
        if group and held + length > seconds:
            yield group
            group, held = [], 0.0
        group, held = [*group, name], held + length
    if group:
        yield group


def listen(utterance: Utterance, silence_db: float) -> Sound:
    """Return an utterance's sound without the silence around it, its loudness and speaking rate.

    Raises:
        ValueError: one of its attributes cannot be measured.
    """
    spoken = trim_silence(wave(utterance), silence_db)
    level = loudness(spoken, utterance.id)
    check_length(spoken, utterance.id)
    return Sound(spoken, level, speaking_rate(utterance.text, utterance.language, len(spoken), utterance.id))


def write(job: TableMap, name: str, sound: Sound, track: Track, voiced: float) -> None:
    """Write an utterance's rows, or reject it if nothing in it has a pitch."""
    try:
        row = f"{track.mean(voiced, name):.2f} {sound.loudness:.2f} {sound.rate:.3f}"
        job.write(name, row, flags(len(sound.wave) / SAMPLE_RATE, float((track.periodicity >= voiced).mean())))
    except ValueError as error:
        job.reject(name, str(error).removeprefix(f"{name}: "))


if __name__ == "__main__":
    run(main)
