"""The probe: a small network on frozen embeddings (EmoBox's downstream network) that learns emotions.

It gives probabilities of classes, learnt from one emotion for each utterance or from the annotators' votes, or values
on dimensions. Its settings are EmoBox's, but EmoBox's code selects no checkpoint; here the validation set does.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from c2ser.corpus import VALID_ONLY, Utterance, read_data_dirs, tested
from c2ser.data.arks import read_matrices
from c2ser.data.sampler import rng
from c2ser.data.targets import quality, target_names, target_rows
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.target_losses import fold_scale, target_loss
from c2ser.log import get_logger, progress
from c2ser.tables import read_table

logger = get_logger(__name__)

WARM_UP = 10
"""Epochs of warm-up in EmoBox's schedule."""

MEASURES = {"emotion": "accuracy", "votes": "minus KL divergence", "dimensions": "CCC"}
"""What `quality` is, for the log."""
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
    def usable(self) -> dict[str, Utterance]:
        """The utterances with embeddings."""
        return {name: self.utterances[name] for name in self.embeddings}

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

    def __init__(self, dim: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(dim, hidden), nn.Linear(hidden, outputs)

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        """Return outputs (batch, outputs) of embeddings, each (frames, dim); they are concatenated, without padding."""
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        hidden = torch.relu(self.hidden(torch.cat(list(rows))))  # (all frames, hidden)
        return self.output(torch.segment_reduce(hidden, "mean", lengths=lengths, axis=0))


@dataclass
class TrainedProbe:
    """A trained probe.

    Attributes:
        network: the classifier; its outputs are logits of classes, or values on the scale of the corpus.
        names: classes or dimensions of its outputs, those of the training set.
        config: its settings.
        quality: the best on the validation set; see `c2ser.data.targets.quality`.
        epoch: the epoch of that quality, from 1.
        encoder: SHA-256 of the weights of the encoder whose embeddings it was trained on; None if nobody said.
    """

    network: Probe
    names: list[str]
    config: ProbeConfig
    quality: float = 0.0
    epoch: int = 0
    encoder: str | None = None

    @torch.no_grad()
    def outputs(self, embeddings: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
        """Return probability by class, or value by dimension, of each utterance from its embeddings (frames, dim)."""
        names, found = list(embeddings), {}
        for start in range(0, len(names), self.config.batch):
            batch = names[start : start + self.config.batch]
            rows = self.network([embeddings[name] for name in batch])
            if self.config.target != "dimensions":
                rows = rows.softmax(dim=1)
            elif self.config.scale:
                rows = rows.clamp(*self.config.scale)
            for name, row in zip(batch, rows.tolist(), strict=True):
                found[name] = dict(zip(self.names, row, strict=True))
        return found


def labels_of(probabilities: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Return the most probable class of each utterance, the first of equal ones."""
    return {name: max(row, key=lambda one: row[one]) for name, row in probabilities.items()}


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
    """Train a probe and keep the epoch that is best on the validation set.

    Raises:
        ValueError: a set has no embeddings, or an utterance lacks what is learnt.
    """
    if not train.embeddings or not valid.embeddings:
        raise ValueError("no embeddings to train or validate the probe on; run extract_embeddings on both sets")
    names = target_names(train.usable, config.target)
    learnt = target_rows(train.usable, config.target, names, config.scale)
    checked = target_rows(valid.usable, config.target, names, config.scale)
    first = next(iter(train.embeddings.values()))
    mean, deviation = _scale(np.stack([*learnt.values()]), config)
    torch.manual_seed(config.seed)
    network = Probe(first.shape[1], config.hidden, len(names)).to(first.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    probe, best = TrainedProbe(network, names, config, -np.inf), network.state_dict()
    truth = {name: torch.from_numpy((row - mean) / deviation).to(first.device) for name, row in learnt.items()}
    inputs, wanted = [valid.embeddings[name] for name in checked], (np.stack([*checked.values()]) - mean) / deviation
    for epoch in progress(range(1, config.epochs + 1), "epochs"):
        optimiser.param_groups[0]["lr"] = learning_rate(epoch, config)
        for batch in _batches(truth, config, epoch):
            outputs = network([train.embeddings[name] for name in batch])
            loss = target_loss(config.target, outputs, torch.stack([truth[name] for name in batch]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        reached = quality(config.target, _valid_outputs(network, inputs, config), wanted)
        if reached > probe.quality:
            probe.quality, probe.epoch = reached, epoch
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(best)
    fold_scale(network.output, *(torch.from_numpy(part).to(first.device) for part in (mean, deviation)))
    logger.info("%s %.4f on the validation set in epoch %d, %d outputs", MEASURES[config.target], probe.quality,
                probe.epoch, len(names))  # fmt: skip
    return probe


def _scale(rows: np.ndarray, config: ProbeConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the dimensions of a training set, both (names,); 0 and 1 of classes."""
    if config.target != "dimensions":
        return np.zeros(rows.shape[1], np.float32), np.ones(rows.shape[1], np.float32)
    deviation = np.nanstd(rows, axis=0)
    return np.nanmean(rows, axis=0), np.where(deviation > 0, deviation, np.float32(1.0))


@torch.no_grad()
def _valid_outputs(network: Probe, inputs: Sequence[Tensor], config: ProbeConfig) -> np.ndarray:
    """Return probabilities or values of embeddings, (utterances, outputs)."""
    rows = torch.cat([network(inputs[i : i + config.batch]) for i in range(0, len(inputs), config.batch)])
    return (rows if config.target == "dimensions" else rows.softmax(dim=1)).cpu().numpy()


def choose_probe(train: ProbeData, valid: ProbeData, config: ProbeConfig) -> TrainedProbe:
    """Train a probe or, if `config.sweep` says so, one of each setting of the published code, and return the best.

    Of equal ones the first counts. The test set has no say, unlike where the best result of a sweep is reported.

    Raises:
        ValueError: as `train_probe`.
    """
    if not config.sweep:
        return train_probe(train, valid, config)
    settings = [replace(config, lr=lr, hidden=hidden) for lr, hidden in itertools.product(*SWEEP)]
    return max((train_probe(train, valid, setting) for setting in settings), key=lambda probe: probe.quality)


def _batches(names: Iterable[str], config: ProbeConfig, epoch: int) -> list[list[str]]:
    ordered_names = sorted(names, key=str.encode)
    order = [ordered_names[i] for i in rng(config.seed, epoch).permutation(len(ordered_names))]
    return [order[start : start + config.batch] for start in range(0, len(order), config.batch)]


def cross_validate(data: ProbeData, config: ProbeConfig) -> tuple[dict[str, dict[str, float]], dict[str, TrainedProbe]]:
    """Test each fold with a probe trained on the other folds and on utterances that no fold tests.

    Utterances of the fold "valid" choose the best epoch if there are any; otherwise a share of the training set does.

    Args:
        data: utterances with folds.
        config: settings; every fold begins with the same seed.

    Returns:
        what `TrainedProbe.outputs` gives of all folds; probe by fold.

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
    outputs: dict[str, dict[str, float]] = {}
    probes: dict[str, TrainedProbe] = {}
    for fold in folds:
        rest = data.part(name for name in fold_of if fold_of[name] not in (fold, VALID_ONLY))
        logger.info("fold %s of %d: %d training utterances", fold, len(folds), len(rest.utterances))
        parts = (rest, choosing) if choosing.utterances else rest.split(config.valid_share, config.seed)
        probes[fold] = choose_probe(*parts, config)
        outputs |= probes[fold].outputs(data.part(name for name in fold_of if fold_of[name] == fold).embeddings)
    return outputs, probes
