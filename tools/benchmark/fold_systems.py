"""Systems that are trained and tested on the same folds: nkululeko's, SpeechBrain's and ours."""

import dataclasses
import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from benchmark.nkululeko_peer import run_nkululeko, write_egemaps, write_vectors
from c2ser import audio
from c2ser.corpus import Utterance, emotions_of, read_data_dir, tested
from c2ser.data.arks import ArkWriter
from c2ser.data.subset import write_subset
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import choose_probe, labels_of, read_probe_data
from c2ser.log import get_logger
from c2ser.model.config import Tuning
from c2ser.model.perception import Vectors
from c2ser.model.speech_encoders import read_encoder
from c2ser.tables import read_table, write_table
from c2ser.training.finetune_run import FinetuneConfig, finetune
from c2ser.training.finetune_sets import FinetuneSets

logger = get_logger(__name__)

Part = Mapping[str, Utterance]


@dataclass(frozen=True)
class Fold:
    """One division of a corpus.

    Attributes:
        name: the fold that is tested.
        sets: utterances of train, valid (the next fold) and test.
    """

    name: str
    sets: Mapping[str, Part]

    @property
    def rest(self) -> Part:
        """All that is not tested; who needs no validation set, or draws its own, learns from it."""
        return {**self.sets["train"], **self.sets["valid"]}


class Material:
    """A corpus with the vectors that several systems use, which are computed when they are first asked for.

    Args:
        data: data directory with utt2fold.
        out: folder for the vectors.
        encoder: whose states ours are trained on, as `c2ser finetune` takes it.
        epochs: of trainings that say how long they take; None for the default of each.

    Raises:
        ValueError: there are fewer than three folds.
    """

    def __init__(self, data: Path, out: Path, encoder: str, epochs: int | None) -> None:
        self.data, self.out, self.encoder, self.epochs = data, out, encoder, epochs
        self.utterances = tested(read_data_dir(data, texts=False))
        self.emotions = emotions_of(self.utterances)
        names = sorted({str(utterance.fold) for utterance in self.utterances.values()})
        if len(names) < 3:
            raise ValueError(f"{data}/utt2fold: {len(names)} folds; one tests, one validates, so give three or more")
        self.folds = [self._fold(name, names[(i + 1) % len(names)]) for i, name in enumerate(names)]

    def _fold(self, test: str, valid: str) -> Fold:
        sets: dict[str, dict[str, Utterance]] = {"train": {}, "valid": {}, "test": {}}
        for i, utterance in self.utterances.items():
            fold = str(utterance.fold)
            sets["test" if fold == test else "valid" if fold == valid else "train"][i] = utterance
        return Fold(test, sets)

    @cached_property
    def vectors(self) -> Path:
        """Table of the mean state of each utterance, after the layers that `c2ser finetune` keeps."""
        table = self.out / "vectors" / f"{self.data.resolve().name}.scp"
        if not table.exists():
            encoder, places = read_encoder(self.encoder, None).eval(), {}
            table.with_suffix(".ark").unlink(missing_ok=True)
            with torch.no_grad(), ArkWriter(table.with_suffix(".ark")) as ark:
                for i, utterance in self.utterances.items():
                    values = encoder.prepare(torch.from_numpy(audio.load(utterance.wav, i)))[None]
                    states = encoder(Vectors(values, torch.tensor([values.shape[1]]))).values
                    places[i] = ark.write(i, states.mean(1).numpy())
            write_table(table, places)
        return table

    def features(self, name: str) -> Path:
        """Return nkululeko's table of `FEATURES[name]`."""
        path = self.out / "features" / f"{name}.csv"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            FEATURES[name](self, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return path


FEATURES: Mapping[str, Callable[[Material, Path], None]] = {
    "egemaps": lambda material, out: write_egemaps(material.utterances, out),
    "vectors": lambda material, out: write_vectors(material.utterances, material.vectors, out),
}
"""What nkululeko's models learn from: openSMILE's functionals, or the vectors of ours."""


def _nkululeko(features: str, model: str, material: Material, fold: Fold, folder: Path) -> dict[str, str]:
    return run_nkululeko(fold.rest, fold.sets["test"], material.features(features), model, folder)


def _speechbrain(material: Material, fold: Fold, folder: Path) -> dict[str, str]:
    try:
        peer: Any = importlib.import_module("benchmark.speechbrain_peer")
    except ImportError as error:
        raise ImportError(f"SpeechBrain cannot be imported ({error}); pip install speechbrain") from None
    return peer.run_ecapa(fold.sets, material.epochs or peer.EPOCHS, folder)


def _probe(material: Material, fold: Fold, folder: Path) -> dict[str, str]:
    config = ProbeConfig()
    data = read_probe_data([material.data], material.vectors.parent, config)
    parts = data.part(fold.rest).split(config.valid_share, config.seed)
    return labels_of(choose_probe(*parts, config).outputs(data.part(fold.sets["test"]).embeddings))


def _finetune(tuning: Tuning, material: Material, fold: Fold, folder: Path) -> dict[str, str]:
    for name, members in fold.sets.items():
        write_subset(material.data, folder / "data" / name, members, {}, {})
    config = FinetuneConfig(material.encoder, tuning=tuning)
    if material.epochs and config.training:
        config.training = dataclasses.replace(config.training, epochs=material.epochs)
    train, valid, test = (folder / "data" / name for name in ("train", "valid", "test"))
    finetune(FinetuneSets(train, valid, (test,)), config, folder / "model")
    return read_table(folder / "model/decode_test/utt2emo")


SYSTEMS: Mapping[str, Callable[[Material, Fold, Path], dict[str, str]]] = {
    "nkululeko-egemaps-svm": partial(_nkululeko, "egemaps", "svm"),
    "nkululeko-egemaps-xgb": partial(_nkululeko, "egemaps", "xgb"),
    "nkululeko-vectors-svm": partial(_nkululeko, "vectors", "svm"),
    "nkululeko-vectors-xgb": partial(_nkululeko, "vectors", "xgb"),
    "speechbrain-ecapa": _speechbrain,
    "probe": _probe,
    "finetune-frozen": partial(_finetune, "frozen"),
    "finetune-lora": partial(_finetune, "lora"),
    "finetune-full": partial(_finetune, "full"),
}
"""What answers for the test set of a fold, from the corpus, the fold and a folder for its files."""


def answer_folds(name: str, material: Material) -> dict[str, str]:
    """Return a system's label for every utterance, and keep it in `<name>/utt2emo`; folds that are done are read.

    Raises:
        ImportError: the system is not installed.
        ValueError: it fails.
    """
    said: dict[str, str] = {}
    for fold in material.folds:
        table = material.out / name / fold.name / "utt2emo"
        if not table.exists():
            before = time.process_time()
            write_table(table, SYSTEMS[name](material, fold, table.parent))
            logger.info("%s, fold %s: %.0f s of this process", name, fold.name, time.process_time() - before)
        said |= read_table(table)
    write_table(material.out / name / "utt2emo", said)
    return said
