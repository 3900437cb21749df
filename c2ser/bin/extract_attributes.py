"""Measure pitch, loudness and speaking rate of the utterances of a data directory."""

import os
from pathlib import Path

from c2ser.attributes.config import PitchConfig
from c2ser.cli import run

GROUP = "Prepare data"


def main(
    data: Path, out: Path, pitch: PitchConfig, silence_db: float = 40.0, threads: int = 1, num_workers: int = 1
) -> None:
    """Write the table OUT: pitch (Hz), loudness (LUFS) and rate (phonemes/s) of each utterance.

    The table utt2flag beside it marks doubtful values: `short` if the sound was repeated to have a loudness, `unvoiced`
    if fewer than a tenth of the frames have a pitch, `hum` if the mains were heard at 50 or 60 Hz (and taken away),
    `clipped` if the sound was cut off at its peaks, else `-`.

    Args:
        data: data directory.
        out: table of attributes.
        pitch: how pitch is tracked.
        silence_db: sound this far (dB) below the loudest frame counts as silence at the beginning and end.
        threads: CPU threads of this job.
        num_workers: threads that read audio and measure everything but pitch; a fast GPU needs several, and as many
            CPU cores.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is imported
    from c2ser.attributes.extract import extract_attributes

    extract_attributes(data, out, pitch, silence_db, num_workers)


if __name__ == "__main__":
    run(main)
