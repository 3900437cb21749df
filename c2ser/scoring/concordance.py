"""The concordance of values on dimensions (CCC, Lin 1989), with intervals from drawn speakers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from c2ser.ratings import DIMENSIONS
from c2ser.scoring.bootstrap import summed_figures


def concordance(true: np.ndarray, values: np.ndarray) -> float:
    """Return the concordance correlation coefficient of values (utterances,) with the true ones; NaN ones do not count.

    It is 0 where neither varies, and where nothing can be compared.
    """
    rated = ~np.isnan(true)
    return float(_coefficients(_moments(true[rated], values[rated]).sum(axis=0)))


def dimension_figures(
    reference: Mapping[str, Mapping[str, float]],
    values: Mapping[str, Mapping[str, float]],
    speakers: Mapping[str, str],
) -> dict[str, Any]:
    """Compare values on dimensions with the annotators' means.

    Args:
        reference: `utt2vad` of the data directory, read; dimensions may be missing.
        values: of the model; an utterance that it lacks does not count and is `missing`.
        speakers: speaker by utterance.

    Returns:
        `ccc` by dimension and the `mean` of dimensions, with `intervals` where there are several speakers; by dimension
        the counts `utterances` and `missing`.

    Raises:
        ValueError: no utterance has a value of a dimension on both sides.
    """
    names = [d for d in DIMENSIONS if any(d in v and d in values.get(i, ()) for i, v in reference.items())]
    if not names:
        raise ValueError("no utterance has both a true and a found value of a dimension; check utt2vad against the set")
    both = [i for i in reference if i in values]
    true, found = (np.array([[table[i].get(d, np.nan) for d in names] for i in both]) for table in (reference, values))
    moments = np.stack([_moments(true[:, d], found[:, d]) for d in range(len(names))], axis=1)  # (utterances, names, 6)
    counts = moments[:, :, 0].sum(axis=0).astype(int).tolist()
    rated = [sum(name in row for row in reference.values()) for name in names]
    return {
        "ccc": summed_figures(moments, _with_mean, [*names, "mean"], both, speakers),
        "utterances": dict(zip(names, counts, strict=True)),
        "missing": {name: all_of - count for name, all_of, count in zip(names, rated, counts, strict=True)},
    }


def _with_mean(sums: np.ndarray) -> np.ndarray:
    """Return the coefficient of each dimension, and their mean, of summed moments (sums, dimensions, 6)."""
    coefficients = _coefficients(sums)
    return np.column_stack([coefficients, coefficients.mean(axis=1)])


def _moments(true: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what each utterance adds to number, sums, squares and product, (utterances, 6); 0 of those with NaN."""
    rated = ~(np.isnan(true) | np.isnan(values))
    centre = true[rated].mean() if rated.any() else 0.0  # keeps the squares small; the coefficient is the same
    x, y = np.where(rated, true - centre, 0.0), np.where(rated, values - centre, 0.0)
    return np.stack([rated.astype(float), x, y, x * x, y * y, x * y], axis=-1)


def _coefficients(sums: np.ndarray) -> np.ndarray:
    """Return the coefficient of summed moments (..., 6)."""
    number, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    number = np.maximum(number, 1)
    covariance = xy / number - x * y / number**2
    spread = xx / number - (x / number) ** 2 + yy / number - (y / number) ** 2 + ((x - y) / number) ** 2
    return np.divide(2 * covariance, spread, out=np.zeros(np.shape(spread)), where=spread > 1e-12)
