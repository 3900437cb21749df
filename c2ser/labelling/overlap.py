"""Overlap of a test set with training sets."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.log import progress


def find_overlap(test: Path, train: Path, audio: bool = True) -> dict[str, list[str]]:
    """Return the test utterances that overlap with a training set.

    Audio is compared sample by sample at 16 kHz. Only utterances of the same length are read, which keeps a large
    training set cheap. Texts are compared without case and punctuation.

    Args:
        test: data directory.
        train: data directory.
        audio: whether recordings are compared.

    Returns:
        utterances of the test set with the same `id`, the same `audio`, a `speaker` or a `text` of the training set.
    """
    tested, trained = read_data_dir(test), read_data_dir(train)
    speakers = {utterance.speaker for utterance in trained.values()}
    texts = {_letters(utterance.text) for utterance in trained.values()} - {""}
    return {
        "id": sorted(set(tested) & set(trained)),
        **({"audio": _same_audio(tested, trained)} if audio else {}),
        "speaker": sorted(i for i, utterance in tested.items() if utterance.speaker in speakers),
        "text": sorted(i for i, utterance in tested.items() if _letters(utterance.text) in texts),
    }


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _same_audio(tested: Mapping[str, Utterance], trained: Mapping[str, Utterance]) -> list[str]:
    lengths: dict[float, list[str]] = defaultdict(list)
    for i, seconds in durations(trained, unreadable=0.0):
        lengths[round(seconds, 2)].append(i)
    same: list[str] = []
    digests: dict[str, str] = {}
    for i, seconds in progress(list(durations(tested, unreadable=0.0)), "utterances compared"):
        near = {j for shift in (-0.01, 0, 0.01) for j in lengths.get(round(seconds + shift, 2), ())}
        if not near or not (digest := _digest(tested[i])):
            continue
        for j in near - set(digests):
            digests[j] = _digest(trained[j])
        if any(digests[j] == digest for j in near):
            same.append(i)
    return sorted(same)


def _digest(utterance: Utterance) -> str:
    try:
        samples = np.round(wave(utterance) * 32767).astype(np.int16)
    except ValueError:
        return ""
    return hashlib.sha256(samples.tobytes()).hexdigest()
