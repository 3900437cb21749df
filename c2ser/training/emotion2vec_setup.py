"""What a training of Emotion2Vec-S begins with: the encoder and the utterances."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from c2ser.corpus import durations, read_data_dir
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import load_model, prepare_for_training
from c2ser.emotion2vec.layers import set_filter_bank
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.label_sets import common_label_set
from c2ser.training.config import Emotion2VecValidConfig
from c2ser.training.emotion2vec_objective import Material


def make_encoder(config: Emotion2VecConfig, init: Path | None, filter_bank: bool, seed: int) -> Emotion2Vec:
    """Return the encoder that training starts from.

    Args:
        config: sizes of the encoder; with `init`, only dropout counts, and the sizes of what `init` lacks: utterance
            tokens, decoder.
        init: model folder or published checkpoint; None for random weights.
        filter_bank: without `init`, start the two first convolutions as a filter bank.
        seed: decides the random weights.
    """
    torch.manual_seed(seed)
    encoder = prepare_for_training(load_model(init), config) if init else Emotion2Vec(config)
    if filter_bank and not init:
        set_filter_bank(encoder.audio.local_encoder)
    return encoder


def read_material(
    train: Path, valid: Path, unlabelled: Sequence[Path], batches: CropConfig, validation: Emotion2VecValidConfig
) -> Material:
    """Return the utterances to train and to validate on.

    Args:
        train: data directory to learn from.
        valid: data directory to choose the best weights on.
        unlabelled: further data directories to learn from; their emotions are not used.
        batches: how utterances become batches.
        validation: how the encoder is validated.
    """
    utterances = read_data_dir(train)
    for folder in unlabelled:
        utterances |= {i: replace(u, emotion=None) for i, u in read_data_dir(folder).items() if i not in utterances}
    held_out = read_data_dir(valid)
    seconds = {i: length for part in (utterances, held_out) for i, length in durations(part, unreadable=0.0)}
    return Material(utterances, held_out, seconds, batches, validation, common_label_set([train, valid]))
