"""Emotions by the sound: a fine-tuned emotion2vec with its classifier, such as emotion2vec+ large."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from c2ser.audio import check_sound
from c2ser.corpus import durations, read_data_dir
from c2ser.data.collate import pad_waves
from c2ser.data.datasets import load_wave
from c2ser.data.prefetch import prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.emotion2vec.checkpoints import Published
from c2ser.emotion2vec.model import pool
from c2ser.log import progress
from c2ser.tables import TableMap

HEARD = ("anger", "disgust", "fear", "happiness", "neutral", "other", "sadness", "surprise", "unknown")
"""What the nine outputs of emotion2vec+ stand for, in the order of its published list of tokens."""


@dataclass
class BatchConfig:
    """How utterances are grouped; it does not change their labels.

    Attributes:
        seconds: padded audio in one batch, at most.
        utterances: utterances in one batch, at most.
        readers: threads that read the audio of the next batches; a fast card wants several, and as many cores.
    """

    seconds: float = 240.0
    utterances: int = 64
    readers: int = 4


@torch.no_grad()
def hear(published: Published, waves: Sequence[np.ndarray]) -> list[tuple[str, float]]:
    """Return what is heard in each waveform (samples,), one of `HEARD`, and its probability.

    On a processor they are heard one by one, which takes no longer there: probabilities are the same to the last bit in
    any company.

    Raises:
        ValueError: the checkpoint has no classifier with nine outputs.
    """
    if published.head is None or published.head.out_features != len(HEARD):
        raise ValueError("the checkpoint has no classifier of nine emotions; give a fine-tuned one, emotion2vec+")
    device = published.model.slopes.device
    if device.type == "cpu" and len(waves) > 1:
        return [heard for wave in waves for heard in hear(published, [wave])]
    padded, lengths = (tensor.to(device) for tensor in pad_waves(waves))
    means = torch.cat(pool(published.model(padded, lengths), "utterance"))  # (batch, dim)
    best = published.head(means).softmax(dim=1).max(dim=1)
    return [(HEARD[index], value) for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def label_speech(published: Published, data: Path, job: TableMap, batches: BatchConfig) -> None:
    """Fill a table with the emotion heard in each utterance and its probability; what cannot be heard is rejected."""
    utterances = read_data_dir(data)
    lengths = dict(durations(utterances, unreadable=0.0))
    groups = [left for names in by_length(lengths, batches.seconds, batches.utterances) if (left := job.todo(names))]
    read = prefetch_batches(groups, lambda name: check_sound(load_wave(utterances[name]), name), batches.readers)
    for batch in progress(read, "batches", len(groups)):
        for name, flaw in batch.rejected.items():
            job.reject(name, flaw)
        if batch.items:
            heard = zip(batch.items, hear(published, [*batch.items.values()]), strict=True)
            for name, (emotion, probability) in heard:
                job.write(name, f"{emotion} {probability:.4f}")
