"""The probe: how well a small classifier reads emotions from frozen embeddings (EmoBox's downstream network).

Its settings are EmoBox's; where that code selects no checkpoint, the best accuracy on the validation set does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm
from torch.nn.utils.rnn import pad_sequence

from c2ser.data.sampler import rng
from c2ser.emotions import EMOTIONS
from c2ser.log import get_logger, progress

logger = get_logger(__name__)


@dataclass
class ProbeConfig:
    """The classifier and its training.

    Attributes:
        hidden: size between its two layers.
        lr: Adam's learning rate.
        batch: utterances in a batch.
        epochs: passes over the training set.
        normalise: layer norm over the whole matrix of an utterance, without parameters.
        seed: decides initial weights and order.
    """

    hidden: int = 128
    lr: float = 1e-4
    batch: int = 32
    epochs: int = 100
    normalise: bool = True
    seed: int = 1234


class Probe(nn.Module):
    """Linear, ReLU, mean over time, linear."""

    def __init__(self, dim: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, hidden), nn.Linear(hidden, classes)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (batch, classes) of padded embeddings (batch, frames, dim) with so many real frames each."""
        mask = torch.arange(states.shape[1], device=states.device)[None] < lengths[:, None]
        hidden = torch.relu(self.enter(states)) * mask[:, :, None]
        return self.leave(hidden.sum(dim=1) / lengths[:, None])


@dataclass
class TrainedProbe:
    """A probe with what it needs to be used again.

    Attributes:
        network: the classifier.
        emotions: what its outputs mean.
        config: its settings.
        accuracy: the best on the validation set.
    """

    network: Probe
    emotions: list[str]
    config: ProbeConfig
    accuracy: float

    def label(self, embeddings: Mapping[str, Tensor]) -> dict[str, str]:
        """Return the emotion of each utterance from its embeddings (frames, dim)."""
        names, labels = list(embeddings), {}
        for start in range(0, len(names), self.config.batch):
            chosen = names[start : start + self.config.batch]
            with torch.no_grad():
                logits = self.network(*_batch([embeddings[name] for name in chosen], self.config.normalise))
            labels |= {n: self.emotions[i] for n, i in zip(chosen, logits.argmax(dim=1).tolist(), strict=True)}
        return labels


def train_probe(
    train: Mapping[str, Tensor], valid: Mapping[str, Tensor], reference: Mapping[str, str], config: ProbeConfig
) -> TrainedProbe:
    """Train a probe and keep the epoch with the best accuracy on the validation set.

    Args:
        train: embeddings (frames, dim) by utterance.
        valid: embeddings of the validation set.
        reference: emotion by utterance of both.
        config: settings.

    Raises:
        ValueError: a set is empty.
    """
    if not train or not valid:
        raise ValueError("no embeddings to train or validate the probe on; run extract_embeddings on both sets")
    emotions = [emotion for emotion in EMOTIONS if emotion in {reference[name] for name in train}]
    torch.manual_seed(config.seed)
    network = Probe(next(iter(train.values())).shape[1], config.hidden, len(emotions))
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    probe, best = TrainedProbe(network, emotions, config, -1.0), network.state_dict()
    names = sorted(train)
    for epoch in progress(range(config.epochs), "epochs"):
        order = [names[i] for i in rng(config.seed, epoch).permutation(len(names))]
        for start in range(0, len(order), config.batch):
            chosen = order[start : start + config.batch]
            logits = network(*_batch([train[name] for name in chosen], config.normalise))
            loss = cross_entropy(logits, torch.tensor([emotions.index(reference[name]) for name in chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        accuracy = sum(reference[n] == label for n, label in probe.label(valid).items()) / len(valid)
        if accuracy > probe.accuracy:
            probe.accuracy = accuracy
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(best)
    logger.info("probe: validation accuracy %.4f with %s", probe.accuracy, ", ".join(emotions))
    return probe


def _batch(rows: Sequence[Tensor], normalise: bool) -> tuple[Tensor, Tensor]:
    if normalise:
        rows = [layer_norm(row, row.shape) for row in rows]
    return pad_sequence(list(rows), batch_first=True), torch.tensor([len(row) for row in rows])
