"""The peer SpeechBrain: the ECAPA-TDNN of its IEMOCAP recipe, made of its parts and trained by its `Brain`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN, Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from speechbrain.nnet.schedulers import CyclicLRScheduler
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.checkpoints import Checkpointer
from torch import Tensor, nn

from c2ser import audio
from c2ser.corpus import Utterance
from c2ser.tables import write_json

EPOCHS, BATCH, SEED = 30, 16, 1968
"""Those of the recipe."""

RATES = (1e-6, 1e-4)
"""Between these the recipe's learning rate goes up for four epochs and down for four."""


class Ecapa(nn.Module):
    """The recipe's network, half the size of the one for speakers: filter banks, ECAPA-TDNN, cosine classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = Fbank(n_mels=80)
        self.normalise = InputNormalization(norm_type="sentence", std_norm=False)
        self.embedding = ECAPA_TDNN(80, channels=[512, 512, 512, 512, 1536], attention_channels=64, lin_neurons=96)
        self.classifier = Classifier(96, out_neurons=classes)

    def forward(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Return scores (batch, 1, classes) of waveforms (batch, samples) with relative lengths (batch,)."""
        features = self.normalise(self.features(waves), lengths)
        return self.classifier(self.embedding(features, lengths))


class EmotionBrain(sb.Brain):
    """SpeechBrain's training loop; `said` holds the class of each utterance of the last set that was not trained on."""

    def compute_forward(self, batch: Any, stage: Any) -> Tensor:
        """Return the scores of a batch, (batch, 1, classes)."""
        return self.modules.network(*batch.wave)

    def compute_objectives(self, predictions: Tensor, batch: Any, stage: Any) -> Tensor:
        """Return the loss; of sets that are not trained on, note what is said."""
        labels, lengths = batch.label
        if stage == sb.Stage.TRAIN:
            self.hparams.annealing.on_batch_end(self.optimizer)
        else:
            found = predictions.argmax(-1)
            self.said |= dict(zip(batch.id, found.flatten().tolist(), strict=True))
            self.wrong += int((found != labels).sum())
        return self.hparams.loss(predictions, labels, lengths)

    def on_stage_start(self, stage: Any, epoch: int | None = None) -> None:
        """Forget what was said of other sets."""
        self.said: dict[str, int] = {}
        self.wrong = 0

    def on_stage_end(self, stage: Any, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the weights with the fewest errors on the validation set."""
        if stage == sb.Stage.VALID:
            self.checkpointer.save_and_keep_only(meta={"wrong": self.wrong}, min_keys=["wrong"])


def run_ecapa(sets: Mapping[str, Mapping[str, Utterance]], epochs: int, folder: Path) -> dict[str, str]:
    """Train on one fold; return the label of each utterance of the test set.

    Args:
        sets: utterances of train, valid and test.
        epochs: how long to train; the best epoch on the validation set counts.
        folder: for its files.
    """
    classes = sorted({str(utterance.emotion) for utterance in sets["train"].values()})
    data = {name: _dataset(members, classes, folder / f"{name}.json") for name, members in sets.items()}
    torch.manual_seed(SEED)
    network = Ecapa(len(classes))
    half_cycle = 4 * -(-len(sets["train"]) // BATCH)
    annealing = CyclicLRScheduler(*RATES, step_size=half_cycle, mode="exp_range", gamma=0.9998)
    brain = EmotionBrain(
        {"network": network},
        lambda parameters: torch.optim.Adam(parameters, lr=RATES[1], weight_decay=2e-5),
        {"annealing": annealing, "loss": LogSoftmaxWrapper(AdditiveAngularMargin(margin=0.2, scale=30))},
        checkpointer=Checkpointer(folder / "save", {"network": network}),
    )
    batches = {"batch_size": BATCH}
    brain.fit(range(1, epochs + 1), data["train"], data["valid"], False, {**batches, "shuffle": True}, {**batches})
    brain.evaluate(data["test"], min_key="wrong", progressbar=False, test_loader_kwargs={**batches})
    return {i: classes[number] for i, number in brain.said.items()}


def _dataset(utterances: Mapping[str, Utterance], classes: list[str], table: Path) -> DynamicItemDataset:
    """Write SpeechBrain's JSON table and return its data set of waveforms at 16 kHz and numbers of classes."""
    write_json(table, {i: {"wav": str(u.wav), "emotion": u.emotion} for i, u in utterances.items()})
    data = DynamicItemDataset.from_json(table, output_keys=["id", "wave", "label"])
    data.add_dynamic_item(lambda i, wav: torch.from_numpy(audio.load(wav, i)), ["id", "wav"], "wave")
    data.add_dynamic_item(lambda emotion: torch.tensor([classes.index(emotion)]), "emotion", "label")
    return data
