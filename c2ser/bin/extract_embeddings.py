"""Extract embeddings of the utterances of a data directory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser.audio import SAMPLE_RATE, check_sound
from c2ser.cli import run
from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.data.arks import ArkWriter
from c2ser.data.prefetch import prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.devices import pick_device
from c2ser.emotion2vec.config import Level, Normalise
from c2ser.emotion2vec.encoders import Encoder, load_encoder
from c2ser.log import progress
from c2ser.tables import TableMap

SPREAD = 1.25
"""How many times as long as the shortest the longest utterance of a batch may be; the rest of it would be padding."""


@dataclass
class BatchConfig:
    """How utterances are grouped; it does not change what they give.

    Attributes:
        seconds: padded audio in one batch, at most.
        utterances: utterances in one batch, at most.
        max_seconds: longer utterances are rejected.
    """

    seconds: float = 60.0
    utterances: int = 32
    max_seconds: float = 120.0


def main(
    model: str,
    data: Path,
    out: Path,
    batches: BatchConfig,
    level: Level = "frame",
    normalise: Normalise = "auto",
    peer_padding: bool = False,
    device: str = "auto",
) -> None:
    """Write the table OUT (`<utterance> <file>.ark:<offset>`) and the Kaldi archive beside it.

    Args:
        model: folder of an Emotion2Vec-S model, a published checkpoint of the emotion2vec family, or a folder or hub
            id of transformers (WavLM, data2vec, HuBERT, wav2vec 2.0, Whisper), whose last hidden states are taken.
        data: data directory.
        out: the table, for example exp/probe/test.scp.
        batches: how utterances are grouped.
        level: frame (50 per second), tokens, first-frames or utterance (the mean frame).
        normalise: give waveforms zero mean and unit variance: as the model was trained ("auto"), always or never.
        peer_padding: let the padding of a batch leak into its shorter utterances, as other implementations do.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    chosen = pick_device(device)
    encoder = load_encoder(model, normalise, peer_padding, chosen)
    utterances, archive = read_data_dir(data), out.with_suffix(".ark")
    with TableMap(out) as job:
        if not job.rows:
            archive.unlink(missing_ok=True)
        with ArkWriter(archive) as ark:
            lengths = dict(durations(utterances, unreadable=0.0))
            groups = by_length(lengths, batches.seconds, batches.utterances, SPREAD)
            groups = [left for names in groups if (left := job.todo(names))]
            read = prefetch_batches(groups, lambda name: heard(utterances[name], encoder, batches))
            for batch in progress(read, "batches", len(groups)):
                for name, flaw in batch.rejected.items():
                    job.reject(name, flaw)
                for name, matrix in zip(batch.items, encoder.embed([*batch.items.values()], level), strict=True):
                    job.write(name, ark.write(name, matrix))


def heard(utterance: Utterance, encoder: Encoder, batches: BatchConfig) -> np.ndarray:
    """Return an utterance's waveform (samples,) if the encoder can hear it.

    Raises:
        ValueError: it is unreadable, silent, too short or too long.
    """
    samples, name = wave(utterance), utterance.id
    if len(samples) < encoder.shortest:
        raise ValueError(f"{name}: {len(samples)} samples, under the encoder's {encoder.shortest}; remove it")
    seconds = len(samples) / SAMPLE_RATE
    if seconds > encoder.longest:
        raise ValueError(f"{name}: {seconds:.1f} s, over the encoder's {encoder.longest:g}; cut it")
    if seconds > batches.max_seconds:
        raise ValueError(f"{name}: {seconds:.0f} s; cut it, or raise batches.max_seconds")
    return check_sound(samples, name)


if __name__ == "__main__":
    run(main)
