"""Measure pitch, loudness and speaking rate of the utterances of a data directory."""

import os
from pathlib import Path

from c2ser.attributes.loudness import loudness
from c2ser.attributes.pitch import PitchConfig, mean_pitch
from c2ser.attributes.rate import speaking_rate
from c2ser.audio import trim_silence
from c2ser.cli import run
from c2ser.corpus import Utterance, read_data_dir, wave
from c2ser.tables import map_table


def main(data: Path, out: Path, pitch: PitchConfig, silence_db: float = 40.0, threads: int = 1) -> None:
    """Write the table OUT: pitch (Hz), loudness (LUFS) and rate (phonemes/s) of each utterance.

    Args:
        data: data directory.
        out: table of attributes.
        pitch: how pitch is tracked.
        silence_db: sound this far (dB) below the loudest frame counts as silence at the beginning and end.
        threads: CPU threads of this job.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    utterances = read_data_dir(data)
    map_table(utterances, lambda name: measure(utterances[name], pitch, silence_db), out, "utterances")


def measure(utterance: Utterance, pitch: PitchConfig, silence_db: float) -> str:
    """Return an utterance's row of `utt2attr`."""
    spoken = trim_silence(wave(utterance), silence_db)
    level = loudness(spoken, utterance.id)
    rate = speaking_rate(utterance.text, utterance.language, len(spoken), utterance.id)
    return f"{mean_pitch(spoken, utterance.id, pitch):.2f} {level:.2f} {rate:.3f}"


if __name__ == "__main__":
    run(main)
