"""Block masks of data2vec 2.0, as emotion2vec's published settings make them."""

from dataclasses import dataclass

import numpy as np


@dataclass
class MaskConfig:
    """How utterances are masked; the defaults are the published ones.

    Attributes:
        probability: share of the frames that are hidden, the same in every row.
        adjust: added to the probability when blocks are placed, because blocks overlap.
        length: frames of a block.
        clones: masks for each utterance; the teacher hears it once for all of them.
        noise: deviation of what the decoder sees in place of hidden frames.
    """

    probability: float = 0.5
    adjust: float = 0.05
    length: int = 5
    clones: int = 8
    noise: float = 0.01


def block_masks(rows: int, frames: int, config: MaskConfig, generator: np.random.Generator) -> np.ndarray:
    """Draw masks.

    Block centres fall anywhere, also twice on one frame; single frames are then hidden or shown until every row hides
    exactly `int(frames * probability)`.

    Args:
        rows: how many masks.
        frames: frames of each.
        config: how much is hidden.
        generator: where chance comes from.

    Returns:
        shape (rows, frames), True where a frame is hidden.
    """
    wanted = int(frames * config.probability)
    centres = int(frames * (config.probability + config.adjust) / config.length)
    before = config.length // 2
    masks = np.zeros((rows, frames), dtype=bool)
    for row in masks:
        starts = generator.integers(0, frames, centres) - before
        places = (starts[:, None] + np.arange(config.length)).clip(0, frames - 1)
        row[places.ravel()] = True
        surplus = int(row.sum()) - wanted
        pool = np.flatnonzero(row == (surplus > 0))
        row[generator.choice(pool, abs(surplus), replace=False)] = surplus < 0
    return masks
