"""The embeddings of all utterances of a data directory, as a table and a Kaldi archive."""

from pathlib import Path

import numpy as np

from c2ser.audio import SAMPLE_RATE, check_sound
from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.data.arks import ArkWriter
from c2ser.data.prefetch import prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.emotion2vec.config import EmbeddingBatchConfig, Level
from c2ser.emotion2vec.encoders import Encoder
from c2ser.log import progress
from c2ser.tables import NOT_FINITE, TableMap

MAX_LENGTH_RATIO = 1.25
"""The longest utterance of a batch may be this many times as long as the shortest; more would be mostly padding."""


def extract_embeddings(encoder: Encoder, data: Path, out: Path, batches: EmbeddingBatchConfig, level: Level) -> None:
    """Write the table OUT (`<utterance> <file>.ark:<offset>`) and the Kaldi archive beside it.

    Args:
        encoder: gives the embeddings.
        data: data directory.
        out: the table.
        batches: how utterances are grouped.
        level: which rows an utterance gets.
    """
    utterances, archive = read_data_dir(data), out.with_suffix(".ark")
    with TableMap(out) as job:
        if not job.rows:
            archive.unlink(missing_ok=True)
        with ArkWriter(archive) as ark:
            lengths = dict(durations(utterances, unreadable=0.0))
            groups = by_length(lengths, batches.seconds, batches.utterances, MAX_LENGTH_RATIO)
            groups = [left for names in groups if (left := job.todo(names))]
            longest = batches.max_seconds
            loaded = prefetch_batches(groups, lambda name: load_checked_wave(utterances[name], encoder, longest))
            for batch in progress(loaded, "batches", len(groups)):
                for name, reason in batch.rejected.items():
                    job.reject(name, reason)
                for name, matrix in zip(batch.items, encoder.embed([*batch.items.values()], level), strict=True):
                    if np.isfinite(matrix).all():
                        job.write(name, ark.write(name, matrix))
                    else:
                        job.reject(name, NOT_FINITE)


def load_checked_wave(utterance: Utterance, encoder: Encoder, max_seconds: float) -> np.ndarray:
    """Return the waveform (samples,) of an utterance if the encoder can take it.

    Args:
        utterance: the utterance.
        encoder: knows the shortest and the longest waveform that it can take.
        max_seconds: longer utterances are refused too.

    Raises:
        ValueError: it is unreadable, silent, too short or too long.
    """
    samples, name = wave(utterance), utterance.id
    if len(samples) < encoder.shortest:
        raise ValueError(f"{name}: {len(samples)} samples, under the encoder's {encoder.shortest}; remove it")
    seconds = len(samples) / SAMPLE_RATE
    if seconds > encoder.longest:
        raise ValueError(f"{name}: {seconds:.1f} s, over the encoder's {encoder.longest:g}; cut it")
    if seconds > max_seconds:
        raise ValueError(f"{name}: {seconds:.0f} s; cut it, or raise batches.max_seconds")
    return check_sound(samples, name)
