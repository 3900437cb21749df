"""What a test set has in common with training sets."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from c2ser.corpus import Utterance, durations, read_data_dir, wave
from c2ser.log import progress


def overlap(test: Path, train: Path, audio: bool = True) -> dict[str, list[str]]:
    """Return the test utterances that a training set has too.

    Audio is compared sample by sample at 16 kHz, and only among utterances of the same length, so that a large training
    set need not be read. Texts are compared without case and punctuation.

    Args:
        test: data directory.
        train: data directory.
        audio: whether recordings are compared.

    Returns:
        utterances of the test set with the same `id`, the same `audio`, a `speaker` or a `text` of the training set.
    """
    own, other = read_data_dir(test), read_data_dir(train)
    speakers = {utterance.speaker for utterance in other.values()}
    texts = {_letters(utterance.text) for utterance in other.values()} - {""}
    return {
        "id": sorted(set(own) & set(other)),
        **({"audio": _same_audio(own, other)} if audio else {}),
        "speaker": sorted(i for i, utterance in own.items() if utterance.speaker in speakers),
        "text": sorted(i for i, utterance in own.items() if _letters(utterance.text) in texts),
    }


def _letters(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _same_audio(own: Mapping[str, Utterance], other: Mapping[str, Utterance]) -> list[str]:
    lengths: dict[float, list[str]] = defaultdict(list)
    for i, seconds in durations(other, unreadable=0.0):
        lengths[round(seconds, 2)].append(i)
    found, digests = [], {}
    for i, seconds in progress(list(durations(own, unreadable=0.0)), "utterances compared"):
        near = {j for shift in (-0.01, 0, 0.01) for j in lengths.get(round(seconds + shift, 2), ())}
        if not near or not (digest := _digest(own[i])):
            continue
        for j in near - set(digests):
            digests[j] = _digest(other[j])
        if any(digests[j] == digest for j in near):
            found.append(i)
    return sorted(found)


def _digest(utterance: Utterance) -> str:
    try:
        samples = np.round(wave(utterance) * 32767).astype(np.int16)
    except ValueError:
        return ""
    return hashlib.sha256(samples.tobytes()).hexdigest()
