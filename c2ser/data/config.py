"""Settings of batches and augmentation; importing them loads no model library."""

from dataclasses import dataclass


@dataclass
class SpecAugment:
    """Masks on the log-mel spectrogram in training; the widths and numbers of masks are the published ones.

    Attributes:
        time_masks: masks along time for each utterance.
        time_width: frames (10 ms) that one mask covers at most; never more than a fifth of the utterance.
        bin_masks: masks along frequency.
        bin_width: mel bins that one mask covers at most.
        substitutions: stretches of time that are then replaced by what is as long and begins at or before them (WeNet's
            `spec_sub`; 3 in the published configuration).
        substitution_width: frames that one of them covers at most.
    """

    time_masks: int = 2
    time_width: int = 50
    bin_masks: int = 2
    bin_width: int = 10
    substitutions: int = 0
    substitution_width: int = 30


@dataclass
class CropConfig:
    """How utterances become batches.

    Attributes:
        seconds: audio in one batch, at most (10^6 samples as in emotion2vec's settings).
        utterances: utterances in one batch, at most.
        crop_seconds: longer utterances are cropped to this length.
        max_seconds: longer utterances are rejected; the quick validation in training uses the others uncropped.
        pair: keep utterances of one emotion and similar length together, so that the category loss finds pairs.
    """

    seconds: float = 62.5
    utterances: int = 64
    crop_seconds: float = 20.0
    max_seconds: float = 120.0
    pair: bool = True
