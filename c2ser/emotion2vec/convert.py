"""Model folders of Emotion2Vec-S, config.json and model.safetensors; published checkpoints are read too."""

import dataclasses
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from c2ser.emotion2vec.checkpoints import AUDIO, find_mismatch, read_published, shapes
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.log import one_line
from c2ser.tables import read_json, write_bytes, write_json

KIND = "emotion2vec"


def save_model(model: Emotion2Vec, folder: str | Path) -> None:
    """Write a model's folder; each file appears when it is complete, the configuration last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / "model.safetensors", save(tensors))
    write_json(folder / "config.json", {"kind": KIND, **dataclasses.asdict(model.config)})


def load_model(source: str | Path) -> Emotion2Vec:
    """Read a model's folder, or a published checkpoint.

    Raises:
        ValueError: it is neither, or its weights do not fit its configuration.
    """
    folder = Path(source)
    if folder.is_file():
        return read_published(folder).model
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json in it; give the folder that train_emotion2vec wrote")
    values = read_json(folder / "config.json")
    if not isinstance(values, dict) or values.pop("kind", None) != KIND:
        raise ValueError(f"{folder}: not an Emotion2Vec-S model; give the folder that train_emotion2vec wrote")
    try:
        config, weights = Emotion2VecConfig(**values), load((folder / "model.safetensors").read_bytes())
        if mismatch := find_mismatch(weights, shapes(config)):
            raise ValueError(mismatch)
        model = Emotion2Vec(config)
        model.load_state_dict(weights)
    except (OSError, TypeError, ValueError, ArithmeticError, RuntimeError, SafetensorError) as error:
        reason = one_line(error, 300)
        raise ValueError(f"{folder}: its weights or configuration are damaged ({reason}); train again") from None
    return model.eval()


def prepare_for_training(model: Emotion2Vec, settings: Emotion2VecConfig) -> Emotion2Vec:
    """Return a copy of a trained encoder for further training: with new dropout, and new parts where it lacks them.

    data2vec 2.0 has no utterance tokens, and published checkpoints may have no decoder; both are then random.

    Args:
        model: the encoder.
        settings: give the dropout, the number of new tokens and the sizes of a new decoder.
    """
    names, trained = ["dropout", "attention_dropout", "layer_drop"], model.state_dict()
    if model.audio.decoder is None:
        names += ["decoder_dim", "decoder_kernel", "decoder_groups", "decoder_layers"]
    if not model.config.tokens:
        names.append("tokens")
        del trained[f"{AUDIO}extra_tokens"]
    copy = Emotion2Vec(dataclasses.replace(model.config, **{name: getattr(settings, name) for name in names}))
    copy.load_state_dict({**copy.state_dict(), **trained})
    return copy
