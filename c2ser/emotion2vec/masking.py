"""Block masks of data2vec 2.0, as emotion2vec's published settings make them."""

import numpy as np

from c2ser.emotion2vec.config import MaskConfig


def block_masks(rows: int, frames: int, config: MaskConfig, generator: np.random.Generator) -> np.ndarray:
    """Draw masks.

    Block centres are drawn with replacement; then single frames are masked or unmasked until every row masks exactly
    `int(frames * probability)`.

    Args:
        rows: number of masks.
        frames: frames of each.
        config: how much is masked.
        generator: random generator.

    Returns:
        shape (rows, frames), True on masked frames.
    """
    target = int(frames * config.probability)
    centres = int(frames * (config.probability + config.adjust) / config.length)
    before = config.length // 2
    masks = np.zeros((rows, frames), dtype=bool)
    for row in masks:
        starts = generator.integers(0, frames, centres) - before
        places = (starts[:, None] + np.arange(config.length)).clip(0, frames - 1)
        row[places.ravel()] = True
        surplus = int(row.sum()) - target
        pool = np.flatnonzero(row == (surplus > 0))
        row[generator.choice(pool, abs(surplus), replace=False)] = surplus < 0
    return masks
