"""Emotions by the sound: a fine-tuned emotion2vec with its classifier, such as emotion2vec+ large."""

from collections.abc import Sequence
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
from c2ser.labelling.config import BatchConfig
from c2ser.log import progress
from c2ser.tables import TableMap

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "other", "sadness", "surprise", "unknown")
"""The classes of the nine outputs of emotion2vec+, in the order of its published list of tokens."""


@torch.no_grad()
def classify(published: Published, waves: Sequence[np.ndarray]) -> list[tuple[str, float]]:
    """Return the class of each waveform (samples,), one of `CLASSES`, and its probability.

    On a CPU they are classified one by one, which takes no longer there, so that a probability does not depend on the
    rest of its batch, not even in the last bit.

    Raises:
        ValueError: the checkpoint has no classifier with nine outputs.
    """
    if published.head is None or published.head.out_features != len(CLASSES):
        raise ValueError("the checkpoint has no classifier of nine emotions; give a fine-tuned one, emotion2vec+")
    device = published.model.slopes.device
    if device.type == "cpu" and len(waves) > 1:
        return [result for wave in waves for result in classify(published, [wave])]
    padded, lengths = (tensor.to(device) for tensor in pad_waves(waves))
    means = torch.cat(pool(published.model(padded, lengths), "utterance"))  # (batch, dim)
    best = published.head(means).softmax(dim=1).max(dim=1)
    return [(CLASSES[index], value) for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def label_speech(published: Published, data: Path, job: TableMap, batches: BatchConfig) -> None:
    """Fill a table with the class of each utterance and its probability; unusable audio is rejected with the reason."""
    utterances = read_data_dir(data)
    lengths = dict(durations(utterances, unreadable=0.0))
    groups = [left for names in by_length(lengths, batches.seconds, batches.utterances) if (left := job.todo(names))]
    loaded = prefetch_batches(groups, lambda name: check_sound(load_wave(utterances[name]), name), batches.num_workers)
    for batch in progress(loaded, "batches", len(groups)):
        for name, reason in batch.rejected.items():
            job.reject(name, reason)
        if batch.items:
            results = zip(batch.items, classify(published, [*batch.items.values()]), strict=True)
            for name, (emotion, probability) in results:
                job.write(name, f"{emotion} {probability:.4f}", numbers=[probability])
