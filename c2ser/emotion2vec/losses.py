"""The three losses of Emotion2Vec-S (section III.B): frame, utterance and category level.

The first two follow fairseq's data2vec 2.0, for whose sums and scales the paper's weights 0.1 and 100 are meant; the
third is ours, because the paper gives only its idea.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.functional import instance_norm, layer_norm, normalize

from c2ser.emotion2vec.config import FrameTarget, LossConfig, Prediction, UtteranceTarget

MAX_SCALE = 100.0
"""Upper limit of a learned scale of the cosines (CLIP's)."""


class CategoryHead(nn.Module):
    """What the losses train besides the encoder: a scale of the cosines, a classifier of three layers.

    Args:
        dim: size of the embeddings.
        classes: emotions.
        config: which of the two are used.
    """

    def __init__(self, dim: int, classes: int, config: LossConfig) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0 / config.temperature).log(), requires_grad=config.learn_temperature)
        layers = [nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, classes)]
        self.classifier = nn.Sequential(*layers) if config.classifier else None

    @property
    def temperature(self) -> Tensor:
        """The divisor of the cosines."""
        return self.scale.exp().clamp(max=MAX_SCALE).reciprocal()


def frame_targets(layers: Sequence[Tensor], kind: FrameTarget = "instance") -> Tensor:
    """Return the normalised mean of the layers (batch, frames, dim); see `LossConfig.frame_target`."""
    if kind == "layer":
        return torch.stack([layer_norm(layer.float(), layer.shape[-1:]) for layer in layers]).mean(0)
    mean = torch.stack([instance_norm(layer.float().transpose(1, 2)) for layer in layers]).mean(0).transpose(1, 2)
    return layer_norm(mean, mean.shape[-1:]) if kind == "instance_layer" else mean


def utterance_targets(layers: Sequence[Tensor], kind: UtteranceTarget, frames: FrameTarget = "instance") -> Tensor:
    """Return one vector for each utterance, (batch, dim); see `LossConfig.utterance_target`."""
    if kind == "fairseq":
        return frame_targets(layers, frames).mean(dim=1)
    pooled = torch.stack([layer.float() for layer in layers]).mean(0).mean(dim=1)
    return pooled if kind == "raw" else layer_norm(pooled, pooled.shape[-1:])


def distance(guess: Tensor, target: Tensor) -> Tensor:
    """Return data2vec's distance of each vector (..., dim): the summed squares of the difference over sqrt(dim)."""
    return (guess.float() - target.float()).square().sum(dim=-1) / guess.shape[-1] ** 0.5


def frame_loss(guess: Tensor, targets: Tensor, masked: Tensor) -> Tensor:
    """Return the mean distance over the masked frames.

    Args:
        guess: the student's decoder output, (rows, frames, dim).
        targets: the teacher's, of the same shape.
        masked: shape (rows, frames), True on masked frames.
    """
    return distance(guess[masked], targets[masked]).mean()


def utterance_loss(tokens: Tensor, targets: Tensor, prediction: Prediction) -> Tensor:
    """Return the summed distance of the utterance tokens (rows, tokens, dim) from the targets (rows, dim).

    A sum, not a mean: fairseq multiplies by the number of masked frames and later divides by it.
    """
    return distance(tokens.mean(dim=1) if prediction == "chunk" else tokens[:, -1], targets).sum()


def deviation(values: Tensor) -> Tensor:
    """Return the mean over dimensions of the deviation over all frames of (batch, frames, dim)."""
    return values.detach().flatten(0, 1).float().std(dim=0).mean()


def contrast(targets: Tensor) -> Tensor:
    """Return the mean deviation of (batch, frames, dim) between utterances; of one utterance, that over its frames."""
    return targets.float().std(dim=0).mean() if len(targets) > 1 else deviation(targets)


def category_loss(embeddings: Tensor, labels: Tensor, temperature: float | Tensor, centre: bool = False) -> Tensor:
    """Supervised contrastive loss on cosines: utterances of one emotion attract, others repel each other.

    Args:
        embeddings: one vector for each utterance, (batch, dim).
        labels: emotion numbers (batch,); -1 excludes an utterance.
        temperature: divides the cosines.
        centre: whether the mean embedding of the batch is subtracted first.

    Returns:
        the mean over utterances that have another one of their emotion in the batch; 0 if none has.
    """
    labelled = labels >= 0
    vectors, labels = embeddings[labelled].float(), labels[labelled]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    alike = (labels[:, None] == labels[None, :]) & ~itself
    anchors = alike.any(dim=1)
    if not anchors.any():
        return embeddings.sum() * 0.0
    unit = normalize(vectors - vectors.mean(dim=0) if centre else vectors, dim=-1)
    logits = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    chances = logits.log_softmax(dim=1).masked_fill(~alike, 0.0)
    return -(chances.sum(dim=1)[anchors] / alike.sum(dim=1)[anchors]).mean()


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes, (world * batch, …), with gradients flowing back to each process.

    Every process must have equally many rows. With the mean of the processes' gradients, as DistributedDataParallel
    takes it, a loss of the gathered rows gets the gradient that one process with all rows would give.
    """
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return rows
    return torch.cat(all_gather(rows))


def padded_rows(rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pad a batch to the size of the largest of all processes; added rows have the label -1."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return rows, labels
    size = torch.tensor(len(rows), device=rows.device)
    distributed.all_reduce(size, distributed.ReduceOp.MAX)
    extra = int(size) - len(rows)
    return (
        torch.cat([rows, rows.new_zeros(extra, rows.shape[1])]),
        torch.cat([labels, labels.new_full((extra,), -1)]),
    )
