"""Losses of classifiers on top of an encoder: of a distribution over classes, and of numbers on dimensions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from c2ser.ratings import Target


def target_loss(target: Target, outputs: Tensor, rows: Tensor) -> Tensor:
    """Return the loss of a batch.

    Args:
        target: what is learnt.
        outputs: logits of the classes, or values of the dimensions, (batch, names).
        rows: what should be there, as `c2ser.data.targets.target_rows` has it, (batch, names).
    """
    return ccc_loss(outputs, rows) if target == "dimensions" else distribution_loss(outputs, rows)


def distribution_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence (nats) of softmax(logits) from shares, both (batch, classes).

    For an utterance whose votes are all for one class it is the cross-entropy of that class; else it is the
    cross-entropy with the votes minus their entropy, which no model can change.
    """
    return kl_div(logits.float().log_softmax(dim=-1), shares, reduction="batchmean")


def ccc_loss(values: Tensor, true: Tensor) -> Tensor:
    """Return 1 minus the concordance (CCC) over the batch, the mean over dimensions; 0 to 2.

    Args:
        values: of the model, (batch, dimensions).
        true: (batch, dimensions), NaN where a dimension was not rated.
    """
    rated = ~true.isnan()
    number = rated.sum(dim=0).clamp(min=1)

    def mean(rows: Tensor) -> Tensor:
        """Return the mean over the rated utterances, (dimensions,)."""
        return torch.where(rated, rows, 0.0).sum(dim=0) / number

    true, values = true.nan_to_num(), values.float()
    x, y = true - mean(true), values - mean(values)
    spread = mean(x * x) + mean(y * y) + (mean(true) - mean(values)).square()
    return (1 - 2 * mean(x * y) / spread.clamp(min=1e-8)).mean()


@torch.no_grad()
def fold_scale(layer: nn.Linear, mean: Tensor, deviation: Tensor) -> None:
    """Let a last layer that learnt standardised values give them on the scale of the corpus.

    Args:
        layer: changed in place; its outputs are the dimensions.
        mean: of the training set's values, (dimensions,).
        deviation: likewise.
    """
    layer.weight.mul_(deviation[:, None])
    layer.bias.mul_(deviation).add_(mean)
