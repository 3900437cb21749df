"""Loads whatever recognises emotions: C²SER of ours or of its authors, emotion2vec with a classifier."""

import re
from pathlib import Path

from c2ser.devices import move
from c2ser.emotion2vec.checkpoints import read_published
from c2ser.model.c2ser import C2SER
from c2ser.model.emotion2vec_classifier import Emotion2VecClassifier, read_labels
from c2ser.model.head_folder import is_head
from c2ser.model.head_model import HeadModel
from c2ser.model.hub import CHECKPOINTS, fetch, find_model
from c2ser.recordings.speech_model import SpeechModel
from c2ser.tables import read_json

FILES = ("model.pt", "emotion2vec_base.pt")
"""What the file of weights is called in folders of the emotion2vec family."""

LABELS = "tokens.txt"
"""The names of the classes beside it."""

EMOTION2VEC_ID = re.compile(r"(emotion2vec|iic)/emotion2vec\w*", re.ASCII)
"""Repositories of the hub with such folders."""


def load(model: str | Path, device: str = "auto") -> SpeechModel:
    """Load a model that recognises emotions; nothing in its files is run.

    Args:
        model: the folder of a C²SER model or of an encoder with a head (`c2ser finetune`), or its id on the Hugging
            Face hub, also the authors' `ASLP-lab/C2SER-LLM`;
            a checkpoint of emotion2vec with a classifier, such as emotion2vec+ large, its folder, or its id.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.

    Raises:
        ValueError: it is none of these, damaged, or without a classifier; or there is no such device.
    """
    path = Path(model)
    if not path.exists() and EMOTION2VEC_ID.fullmatch(str(model)):
        path = fetch(str(model), [*FILES, LABELS], FILES).parent
    if path.is_dir() and not (path / "config.json").is_file():
        path = next((path / name for name in FILES if (path / name).is_file()), path)
    if path.is_file():
        return move(_classifier(path), device)
    folder = find_model(path)
    if is_head(folder):
        return move(HeadModel.from_pretrained(folder), device)
    if path.is_dir() and _is_encoder(path):
        raise ValueError(f"{model}: an encoder without a classifier gives embeddings (c2ser extract-embeddings) and no "
                         "emotions; train a head on it with c2ser finetune")  # fmt: skip
    return C2SER.from_pretrained(folder, device)


def _classifier(path: Path) -> Emotion2VecClassifier:
    if path.name in CHECKPOINTS:
        raise ValueError(f"{path}: the authors' file goes with other models; make a folder of it with "
                         "c2ser convert-checkpoint, or give ASLP-lab/C2SER-LLM")  # fmt: skip
    published = read_published(path)
    if published.head is None:
        raise ValueError(f"{path}: without a classifier it gives embeddings (c2ser extract-embeddings), no emotions; "
                         "give a fine-tuned one, such as emotion2vec+ large")  # fmt: skip
    return Emotion2VecClassifier(published, read_labels(path.with_name(LABELS), published.head.out_features))


def _is_encoder(folder: Path) -> bool:
    values = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    return isinstance(values, dict) and values.get("kind") == "emotion2vec"
