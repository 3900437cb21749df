"""The probe: a small classifier of emotions on frozen embeddings (EmoBox's downstream network).

Its settings are EmoBox's, but EmoBox's code selects no checkpoint; here the best accuracy on the validation set does.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm

from c2ser.corpus import VALID_ONLY, Utterance, emotions_of, read_data_dirs, tested
from c2ser.data.arks import read_matrices
from c2ser.data.sampler import rng
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotions import ordered
from c2ser.log import get_logger, progress
from c2ser.tables import read_table

logger = get_logger(__name__)

WARM_UP = 10
"""Epochs of warm-up in EmoBox's schedule."""

SWEEP = ((1e-3, 1e-4), (128, 256))
"""Learning rates and hidden sizes that the published code tries."""


@dataclass
class ProbeData:
    """Utterances and embeddings for a probe.

    Attributes:
        utterances: by id; some may lack embeddings.
        embeddings: (frames, dim) by utterance, normalised if the configuration says so.
    """

    utterances: dict[str, Utterance]
    embeddings: dict[str, Tensor]

    @property
    def reference(self) -> dict[str, str]:
        """Emotion by utterance: one of the seven or, with raw labels, a class of the corpus' own."""
        return emotions_of(self.utterances)

    def part(self, names: Iterable[str]) -> "ProbeData":
        """Return these utterances alone."""
        part = {name: self.utterances[name] for name in names}
        return ProbeData(part, {name: self.embeddings[name] for name in part if name in self.embeddings})

    def split(self, share: float, seed: int) -> tuple["ProbeData", "ProbeData"]:
        """Split the utterances with embeddings at random; return the rest, and the share."""
        names = sorted(self.embeddings, key=str.encode)
        order = [names[i] for i in rng(seed, 0, 1).permutation(len(names))]
        number = round(share * len(order))
        return self.part(order[number:]), self.part(order[:number])


def read_probe_data(
    folders: Sequence[Path], embeddings: Path, config: ProbeConfig, device: str | torch.device = "cpu"
) -> ProbeData:
    """Read data directories and the embeddings of their utterances as one set.

    Args:
        folders: data directories.
        embeddings: folder with `<data directory's name>.scp` for each.
        config: whether to normalise, and the longest utterance.
        device: the device for the embeddings.

    Raises:
        ValueError: an utterance is in two of the directories, or an archive is damaged.
    """
    data = ProbeData(read_data_dirs(folders, config.max_seconds), {})
    for folder in folders:
        for name, matrix in read_matrices(read_table(embeddings / f"{folder.name}.scp"), data.utterances):
            states = torch.from_numpy(matrix)
            states = layer_norm(states, states.shape) if config.normalise else states
            data.embeddings[name] = states.to(device)
    return data


class Probe(nn.Module):
    """Linear, ReLU, mean over time, linear."""

    def __init__(self, dim: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(dim, hidden), nn.Linear(hidden, classes)

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        """Return logits (batch, classes) of embeddings, each (frames, dim); they are concatenated, without padding."""
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        hidden = torch.relu(self.hidden(torch.cat(list(rows))))  # (all frames, hidden)
        return self.output(torch.segment_reduce(hidden, "mean", lengths=lengths, axis=0))


@dataclass
class TrainedProbe:
    """A trained probe.

    Attributes:
        network: the classifier.
        emotions: the classes of its outputs, those of the training set.
        config: its settings.
        accuracy: the best on the validation set.
        epoch: the epoch of that accuracy, from 1.
        encoder: SHA-256 of the weights of the encoder whose embeddings it was trained on; None if nobody said.
    """

    network: Probe
    emotions: list[str]
    config: ProbeConfig
    accuracy: float = -1.0
    epoch: int = 0
    encoder: str | None = None

    @torch.no_grad()
    def label(self, embeddings: Mapping[str, Tensor]) -> dict[str, str]:
        """Return the emotion of each utterance from its embeddings (frames, dim)."""
        names = list(embeddings)
        labels: dict[str, str] = {}
        for start in range(0, len(names), self.config.batch):
            batch = names[start : start + self.config.batch]
            best = self.network([embeddings[name] for name in batch]).argmax(dim=1)
            labels |= {name: self.emotions[i] for name, i in zip(batch, best.tolist(), strict=True)}
        return labels


def learning_rate(epoch: int, config: ProbeConfig) -> float:
    """Return the learning rate of an epoch, from 1.

    EmoBox's schedule counts from 0 and sets the rate after each epoch. The first epoch therefore has the full rate and
    the second none; the third has a tenth of it, the twelfth all of it, and then it falls evenly towards 0.
    """
    if config.schedule == "constant" or epoch == 1:
        return config.lr
    step = epoch - 2
    if step < WARM_UP:
        return config.lr * step / WARM_UP
    return config.lr * (config.epochs - step) / max(config.epochs - WARM_UP, 1)


def train_probe(train: ProbeData, valid: ProbeData, config: ProbeConfig) -> TrainedProbe:
    """Train a probe and keep the epoch with the best accuracy on the validation set.

    Raises:
        ValueError: a set has no embeddings, or an utterance no emotion.
    """
    if not train.embeddings or not valid.embeddings:
        raise ValueError("no embeddings to train or validate the probe on; run extract_embeddings on both sets")
    reference = {**train.reference, **valid.reference}
    emotions = ordered(reference[name] for name in train.embeddings)
    first = next(iter(train.embeddings.values()))
    torch.manual_seed(config.seed)
    network = Probe(first.shape[1], config.hidden, len(emotions)).to(first.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    probe, best = TrainedProbe(network, emotions, config), network.state_dict()
    truth = {name: torch.tensor(emotions.index(reference[name]), device=first.device) for name in train.embeddings}
    for epoch in progress(range(1, config.epochs + 1), "epochs"):
        optimiser.param_groups[0]["lr"] = learning_rate(epoch, config)
        for batch in _batches(truth, config, epoch):
            loss = cross_entropy(
                network([train.embeddings[name] for name in batch]), torch.stack([truth[name] for name in batch])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        labels = probe.label(valid.embeddings)
        accuracy = sum(reference[name] == label for name, label in labels.items()) / len(labels)
        if accuracy > probe.accuracy:
            probe.accuracy, probe.epoch = accuracy, epoch
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(best)
    logger.info("validation accuracy %.4f in epoch %d, %d emotions", probe.accuracy, probe.epoch, len(emotions))
    return probe


def choose_probe(train: ProbeData, valid: ProbeData, config: ProbeConfig) -> TrainedProbe:
    """Train a probe or, if `config.sweep` says so, one of each setting of the published code, and return the best.

    Of equal ones the first counts. The test set has no say, unlike where the best result of a sweep is reported.

    Raises:
        ValueError: as `train_probe`.
    """
    if not config.sweep:
        return train_probe(train, valid, config)
    settings = [replace(config, lr=lr, hidden=hidden) for lr, hidden in itertools.product(*SWEEP)]
    return max((train_probe(train, valid, setting) for setting in settings), key=lambda probe: probe.accuracy)


def _batches(names: Iterable[str], config: ProbeConfig, epoch: int) -> list[list[str]]:
    ordered_names = sorted(names, key=str.encode)
    order = [ordered_names[i] for i in rng(config.seed, epoch).permutation(len(ordered_names))]
    return [order[start : start + config.batch] for start in range(0, len(order), config.batch)]


def cross_validate(data: ProbeData, config: ProbeConfig) -> tuple[dict[str, str], dict[str, TrainedProbe]]:
    """Label each fold with a probe trained on the other folds and on utterances that no fold tests.

    Utterances of the fold "valid" choose the best epoch if there are any; otherwise a share of the training set does.

    Args:
        data: utterances with folds.
        config: settings; every fold begins with the same seed.

    Returns:
        label by utterance, of all folds; probe by fold.

    Raises:
        ValueError: an utterance has no fold, nothing is tested, or there is nothing else to learn from.
    """
    without_fold = next((name for name, utterance in data.utterances.items() if not utterance.fold), None)
    if without_fold is not None:
        raise ValueError(f"{without_fold}: no fold in utt2fold; complete it, or give --train and --tests")
    fold_of = {name: str(utterance.fold) for name, utterance in data.utterances.items()}
    folds = sorted({fold_of[name] for name in tested(data.utterances)}, key=lambda fold: (len(fold), fold))
    kinds = sorted({*fold_of.values()})
    if not folds or len({*kinds} - {VALID_ONLY}) < 2:
        raise ValueError(f"all utterances are of fold {' or '.join(kinds)}; give every data directory of the corpus")
    choosing = data.part(name for name, fold in fold_of.items() if fold == VALID_ONLY)
    labels: dict[str, str] = {}
    probes: dict[str, TrainedProbe] = {}
    for fold in folds:
        rest = data.part(name for name in fold_of if fold_of[name] not in (fold, VALID_ONLY))
        logger.info("fold %s of %d: %d training utterances", fold, len(folds), len(rest.utterances))
        parts = (rest, choosing) if choosing.utterances else rest.split(config.valid_share, config.seed)
        probes[fold] = choose_probe(*parts, config)
        labels |= probes[fold].label(data.part(name for name in fold_of if fold_of[name] == fold).embeddings)
    return labels, probes
