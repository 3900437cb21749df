"""Published checkpoints of the emotion2vec family, read without fairseq and without running anything in them.

Sizes follow from the shapes of the weights; what shapes do not tell (norm epsilon, input normalisation) from the stored
configuration, whose foreign objects are replaced by inert stand-ins.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.model import Emotion2Vec, pool
from c2ser.log import get_logger, one_line

logger = get_logger(__name__)

AUDIO = "modality_encoders.AUDIO."

INERT = re.compile(r"(omegaconf|fairseq|examples|typing|enum|collections|numpy|_codecs|pathlib)\..*|argparse.Namespace")
"""Names of foreign objects in training states; they are read as stand-ins, never imported."""

LABELS = ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "unknown")
"""The classes of the fine-tuned models, in the order of their outputs."""

STRIDES = {10: 5, 3: 2, 2: 2}
"""Stride of a convolution on the waveform by its kernel, in every published model."""


OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files that torch wrote before release 1.6."""


class StandIn:
    """Replaces a foreign object; holds its state and nothing else."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments = arguments


@dataclass
class Published:
    """Content of a published file.

    Attributes:
        model: the encoder.
        head: classifier of the mean frame, in the fine-tuned models; None in others.
    """

    model: Emotion2Vec
    head: nn.Linear | None

    @torch.no_grad()
    def classify(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the head's probabilities of its labels, (batch, labels), for `LABELS` in the published models.

        Args:
            waveform: as in `Emotion2Vec.forward`.
            lengths: samples of each, (batch,).

        Raises:
            ValueError: the checkpoint has no head.
        """
        if self.head is None:
            raise ValueError("this checkpoint has no classifier; use one of the emotion2vec_plus models")
        means = torch.cat(pool(self.model(waveform, lengths), "utterance"))
        return self.head(means).softmax(dim=-1)


def read_published(path: str | Path) -> Published:
    """Read `emotion2vec_base.pt`, `emotion2vec_plus_*` or Emotion2Vec-S `checkpoint.pt`, or a fairseq training state.

    Raises:
        ValueError: no such file, not a checkpoint, code in it, keys missing or left over, sizes that do not fit, or
            weights that are no numbers.
    """
    path = Path(path)
    content = _unpickle(path)
    weights = _weights(path, content)
    head = {name: weights.pop(f"proj.{name}") for name in ("weight", "bias") if f"proj.{name}" in weights}
    try:
        config = _config(weights, _plain(content.get("cfg")))
        expected = shapes(config)
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"{path}: not an emotion2vec checkpoint ({_reason(error)}); choose another file") from None
    if mismatch := find_mismatch(weights, expected):
        raise ValueError(f"{path}: {mismatch}; download the file again")
    model = Emotion2Vec(config)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    logger.info("%s: %d parameters, %d tokens", path, sum(p.numel() for p in model.parameters()), config.tokens)
    return Published(model.eval(), _head(path, head, config.dim))


def shapes(config: Emotion2VecConfig) -> dict[str, torch.Size]:
    """Return the shape of each weight of such a model, without making any: sizes from a file could ask for all memory.

    Raises:
        ValueError: there is no such model.
    """
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in Emotion2Vec(config).state_dict().items()}


def find_mismatch(weights: Mapping[str, Tensor], expected: Mapping[str, torch.Size]) -> str | None:
    """Return why weights do not fit a model of these shapes, or None."""
    mismatched = sorted(set(expected) ^ set(weights))
    if mismatched:
        first = mismatched[0]
        return f"{len(mismatched)} weights do not fit, {first} is {'missing' if first in expected else 'unknown'}"
    for name, shape in expected.items():
        if weights[name].shape != shape:
            return f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(shape)}"
        if not weights[name].isfinite().all():
            return f"{name} holds NaN or Inf"
    return None


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else one_line(error, 160)


def _unpickle(path: Path) -> dict[str, Any]:
    if not path.is_file():
        found = "a folder, not the file of a checkpoint" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {found}; give a checkpoint or a model folder")
    try:
        foreign = [] if _is_old(path) else torch.serialization.get_unsafe_globals_in_checkpoint(path)
        refused = [name for name in foreign if not INERT.fullmatch(name)]
        if not refused:
            stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
                (type(name.rpartition(".")[2], (StandIn,), {}), name) for name in foreign
            ]
            with torch.serialization.safe_globals(stand_ins):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes torch raise nearly anything
        # torch's own message for foreign objects would advise to run them
        reason = "foreign objects in it" if type(error).__name__ == "UnpicklingError" else _reason(error)
        raise ValueError(f"{path}: not a readable checkpoint ({reason}); download it again") from None
    if refused:
        raise ValueError(f"{path}: holds {refused[0]}, which is no data; do not use this file")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__} and no weights; choose another file")
    return content


def _is_old(path: Path) -> bool:
    """Return whether torch wrote a file in its format of before 1.6, in which all foreign objects are refused."""
    with open(path, "rb") as file:
        return file.read(len(OLD)) == OLD


def _weights(path: Path, content: dict[str, Any]) -> dict[str, Tensor]:
    """Return the weights under the names of our model."""
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(content.get(name), dict):
            content = content[name]
    weights = {}
    for name, value in content.items():
        name = re.sub(r"^(module\.)?(d2v_model\.)?", "", str(name))
        if isinstance(value, Tensor) and not name.startswith("_ema"):
            weights[name] = value.unsqueeze(0) if name.endswith("alibi_scale") and value.dim() == 4 else value
    projection = weights.get(f"{AUDIO}project_features.2.weight")
    if projection is None:
        raise ValueError(f"{path}: no weights of emotion2vec in it; choose another file")
    weights.setdefault(f"{AUDIO}extra_tokens", projection.new_zeros(1, 0, len(projection)))  # data2vec 2.0 has none
    return weights


def _config(weights: dict[str, Tensor], settings: Any) -> Emotion2VecConfig:
    """Return the configuration that follows from the shapes of the weights and the stored settings."""
    shape = {name.removeprefix(AUDIO): tuple(tensor.shape) for name, tensor in weights.items()}
    settings = settings if isinstance(settings, dict) else {}
    model, task = (settings.get(part) if isinstance(settings.get(part), dict) else {} for part in ("model", "task"))
    if model.get("layer_norm_first"):
        raise ValueError("pre-norm checkpoints, layer_norm_first, are not supported")
    norm_eps = float(model.get("norm_eps", 1e-5))
    if not 0 < norm_eps < 1:
        raise ValueError(f"norm_eps is {norm_eps}")
    dim = shape["project_features.2.weight"][0]
    layers = range(_count(shape, "local_encoder.conv_layers"))
    convs = [shape[f"local_encoder.conv_layers.{i}.0.weight"] for i in layers]
    if unknown := {kernel for _, _, kernel in convs} - set(STRIDES):
        raise ValueError(f"a convolution has a kernel of {min(unknown)}")
    position = shape["relative_positional_encoder.1.0.weight"]
    decoder = [shape[f"decoder.blocks.{i}.0.weight"] for i in range(_count(shape, "decoder.blocks"))]
    return Emotion2VecConfig(
        dim=dim,
        heads=shape["alibi_scale"][2],
        inner=shape["blocks.0.mlp.fc1.weight"][0],
        prenet_depth=_count(shape, "context_encoder.blocks"),
        depth=_count(shape, "blocks"),
        tokens=shape["extra_tokens"][1],
        convs=[[channels, kernel, STRIDES[kernel]] for channels, _, kernel in convs],
        position_depth=_count(shape, "relative_positional_encoder"),
        position_kernel=position[2],
        position_groups=dim // position[1],
        alibi_per_layer=shape["alibi_scale"][0] > 1,
        norm_eps=norm_eps,
        decoder_layers=len(decoder),
        **_decoder_sizes(decoder, dim),
        normalize=bool(task.get("normalize", True)),
    )


def _decoder_sizes(shapes: list[tuple[int, ...]], dim: int) -> dict[str, int]:
    if not shapes:
        return {}
    channels, inputs, kernel = shapes[0]
    return {"decoder_dim": channels, "decoder_kernel": kernel, "decoder_groups": dim // inputs}


def _count(shapes: dict[str, Any], prefix: str) -> int:
    """Return how many numbered members of a container there are."""
    return len({name[len(prefix) + 1 :].split(".")[0] for name in shapes if name.startswith(f"{prefix}.")})


def _head(path: Path, weights: dict[str, Tensor], dim: int) -> nn.Linear | None:
    if not weights:
        return None
    number = weights["bias"].shape if "bias" in weights else torch.Size()
    if len(number) != 1 or find_mismatch(weights, {"weight": torch.Size([*number, dim]), "bias": number}):
        raise ValueError(f"{path}: its classifier does not fit the encoder; download the file again")
    head = nn.Linear(dim, *number)
    head.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return head.eval()


def _plain(value: Any) -> Any:
    """Turn stand-ins of omegaconf's containers and of namespaces into dictionaries and values."""
    if isinstance(value, StandIn):
        state = vars(value)
        if "_content" in state:
            return _plain(state["_content"])
        return _plain(state["_val"]) if "_val" in state else {k: _plain(v) for k, v in state.items()}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
