"""Read a Whisper model out of CTranslate2's file: its variables, and their names in transformers.

The file is little-endian: uint32 version, string name of the kind, uint32 revision, uint32 number of variables; for
each of them string name, uint8 rank, uint32 sizes, uint8 type, uint32 bytes, data; then uint32 number of aliases, and
for each two strings. A string is its uint16 length, its bytes, and a zero that the length counts.
"""

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

VERSION = 6
"""The layout that is read here."""

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

OUTER = {
    "encoder/position_encodings/encodings": "encoder.embed_positions.weight",
    "decoder/position_encodings/encodings": "decoder.embed_positions.weight",
    "decoder/embeddings/weight": "decoder.embed_tokens.weight",
} | {f"encoder/conv{i}/{kind}": f"encoder.conv{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
"""Names of weights outside of layers and norms."""

BLOCKS = {"self_attention": "self_attn", "attention": "encoder_attn"}
NORMS = BLOCKS | {"ffn": "final"}
LINEAR = {
    "self_attention/linear_0": ("q_proj", "k_proj", "v_proj"),
    "self_attention/linear_1": ("out_proj",),
    "attention/linear_0": ("q_proj",),
    "attention/linear_1": ("k_proj", "v_proj"),
    "attention/linear_2": ("out_proj",),
}
"""Which of transformers' matrices lie one above the other in a linear layer of CTranslate2."""


class Content:
    """The bytes of a file, taken one after the other.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.content, self.place = path, path.read_bytes(), 0

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: there are fewer.
        """
        self.place += size
        if self.place > len(self.content):
            raise ValueError(f"{self.path.name}: ends too early; fetch it again")
        return self.content[self.place - size : self.place]

    def number(self, form: str) -> int:
        """Return the next number; `form` is a letter of `struct`."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(form)))[0]

    def text(self) -> str:
        """Return the next string."""
        return self.take(self.number("H")).removesuffix(b"\0").decode("utf-8")


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Return the variables of a Whisper model, by CTranslate2's names; aliases are left out.

    Raises:
        ValueError: it is another model or another layout, or it is damaged.
    """
    file = Content(path)
    version, kind, revision = file.number("I"), file.text(), file.number("I")
    if (version, kind) != (VERSION, "WhisperSpec"):
        raise ValueError(f"{path.name}: {kind!r} in layout {version}, not Whisper in layout {VERSION}")
    variables = {}
    for _ in range(file.number("I")):
        name, rank = file.text(), file.number("B")
        shape = [file.number("I") for _ in range(rank)]
        code, size = file.number("B"), file.number("I")
        if code not in TYPES or size != np.prod(shape, dtype=np.int64) * np.dtype(TYPES[code]).itemsize:
            raise ValueError(f"{path.name}: {name} has type {code}, shape {shape} and {size} bytes; fetch it again")
        variables[name] = np.frombuffer(file.take(size), TYPES[code]).reshape(shape)
    aliases = [(file.text(), file.text()) for _ in range(file.number("I"))]
    if aliases != [("decoder/projection/weight", "decoder/embeddings/weight")] or file.place != len(file.content):
        raise ValueError(f"{path.name}: not a Whisper model whose head is its embedding (revision {revision})")
    return variables


def whisper_weights(variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return the weights of transformers' `WhisperModel`, float32, by its names.

    Variables without a dimension are settings such as the number of heads, and left out.

    Raises:
        ValueError: a variable has no place in Whisper.
    """
    weights: dict[str, Tensor] = {}
    for name, values in variables.items():
        if values.ndim:
            weights |= _renamed(name, torch.from_numpy(values.astype(np.float32)))
    return weights


def _renamed(name: str, values: Tensor) -> dict[str, Tensor]:
    """Return the weights of a variable by transformers' names."""
    if name in OUTER:
        return {OUTER[name]: values}
    if found := re.fullmatch(r"(encoder|decoder)/(?:layer_(\d+)/(\w+)/)?layer_norm/(gamma|beta)", name):
        half, layer, block, kind = found.groups()
        norm = f"layers.{layer}.{NORMS[block]}_layer_norm" if layer else "layer_norm"
        return {f"{half}.{norm}.{'weight' if kind == 'gamma' else 'bias'}": values}
    if found := re.fullmatch(r"(encoder|decoder)/layer_(\d+)/ffn/linear_([01])/(weight|bias)", name):
        half, layer, number, kind = found.groups()
        return {f"{half}.layers.{layer}.fc{int(number) + 1}.{kind}": values}
    found = re.fullmatch(r"(encoder|decoder)/layer_(\d+)/((\w+)/linear_\d)/(weight|bias)", name)
    if not found or found[3] not in LINEAR:
        raise ValueError(f"{name}: no such variable in Whisper")
    half, layer, linear, block, kind = found.groups()
    parts = LINEAR[linear]
    rows = dict(zip(parts, values.chunk(len(parts)), strict=True))
    if kind == "bias" and "k_proj" in rows and rows.pop("k_proj").any():
        raise ValueError(f"{name}: has a bias for keys, which Whisper lacks")
    return {f"{half}.layers.{layer}.{BLOCKS[block]}.{part}.{kind}": row for part, row in rows.items()}
