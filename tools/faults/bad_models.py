"""Bad checkpoints, weights and folders of models."""

import functools
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save, save_file
from transformers import WhisperConfig, WhisperModel

from c2ser.emotion2vec.checkpoints import read_published
from c2ser.emotion2vec.convert import load_model
from c2ser.emotion2vec.probe_files import load_probe
from c2ser.model.folder import load_network
from c2ser.model.head_model import HeadModel
from c2ser.pretrained import load_pretrained, read_sizes
from c2ser.tensors import read_tensors
from c2ser.training import checkpoint
from faults.row import Gives, Row

GOOD = {"x": torch.ones(2, 3)}

JSONS = {
    "nothing": "", "half": '{"kind": ', "a list": "[]", "a number": "3", "null": "null", "deep": "[" * 90000,
    "another kind": '{"kind": "other", "model_type": "other"}', "no kind": "{}", "UTF-16": "\ufeff{}",
    "a kind that is a list": '{"kind": ["probe"], "model_type": ["bert"], "format": ["3"]}',
    "code": '{"auto_map": {"AutoConfig": "evil.Evil"}, "model_type": "evil"}',
}  # fmt: skip
"""Contents of config.json."""


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _weights()
    yield from _folders()
    yield from _pretrained()
    yield from _checkpoints()
    yield from _published()


def _weights() -> Iterator[Row]:
    good = save(GOOD)
    head = len(good) - 24

    def weights(name: str, content: bytes) -> Row:
        return Row("weights", name, read_tensors, content, suffix=".safetensors")

    for size in (0, 4, 8, 20, head, len(good) - 1):
        yield weights(f"the first {size} bytes", good[:size])
    for length in (0, 1, 1 << 40, (1 << 64) - 1):
        yield weights(f"a header of {length} bytes", struct.pack("<Q", length) + good[8:])
    yield weights("bytes after the end", good + b"x")
    yield weights("a pickle", b"(d.")
    yield weights("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    yield weights("a web page", b"<!DOCTYPE html>" + b" " * 200)
    for name, old, new in (("type", b"F32", b"F99"), ("shape", b"[2,3]", b"[9,9]"), ("offset", b"24]", b"99]")):
        yield weights(f"another {name} in its header", good.replace(old, new))
    yield Row("weights", "no file", read_tensors, lambda path: None)


LOADERS: Mapping[str, Callable[[Path], Any]] = {
    "probe": load_probe, "classifier": HeadModel.from_pretrained, "encoder": load_model, "model": load_network,
}  # fmt: skip
"""What reads a folder of the toolkit."""


def _folders() -> Iterator[Row]:
    for kind, loading in LOADERS.items():
        for name, text in JSONS.items():
            making = functools.partial(_folder, text.encode("utf-8"), save(GOOD))
            yield Row("models", f"{kind}, config.json is {name}", loading, making)
        yield Row("models", f"{kind}, no folder", loading, lambda path: None)
        yield Row("models", f"{kind}, an empty folder", loading, lambda path: path.mkdir())
        yield Row("models", f"{kind}, a file", loading, b"x")


def _folder(config: bytes, weights: bytes, path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_bytes(config)
    (path / "model.safetensors").write_bytes(weights)


def _whisper(path: Path) -> Any:
    return load_pretrained(WhisperModel, str(path), "Whisper")


def _sizes(path: Path) -> Any:
    return read_sizes(str(path), "Whisper")


def _pretrained() -> Iterator[Row]:
    tiny = WhisperConfig(
        d_model=8, num_mel_bins=4, vocab_size=8, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=8,
        decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=8, max_target_positions=8, max_source_positions=8,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    values = {**tiny.to_dict(), "architectures": ["WhisperModel"]}
    for name, text in JSONS.items():
        yield Row("pretrained", f"config.json is {name}", _sizes, functools.partial(_folder, text.encode(), save(GOOD)))
    for field in ("d_model", "encoder_layers", "num_mel_bins", "encoder_attention_heads"):
        for value in ("8", None, -1, 0, [8], 1e999, {"a": 1}):
            text = json.dumps({**values, field: value})
            making = functools.partial(_folder, text.encode(), save(GOOD))
            yield Row("pretrained", f"{field} is {value}", _whisper, making)
    weights = WhisperModel(tiny).state_dict()
    bad = {
        "none": {}, "one missing": dict(list(weights.items())[1:]),
        "of NaN": {n: t * torch.nan for n, t in weights.items()},
        "of other shapes": {n: t.flatten()[:1].clone() for n, t in weights.items()},
    }  # fmt: skip
    for name, tensors in bad.items():
        content = save({key: value.clone() for key, value in tensors.items()}, {"format": "pt"})
        yield Row(
            "pretrained", f"weights, {name}", _whisper, functools.partial(_folder, json.dumps(values).encode(), content)
        )


def _checkpoints() -> Iterator[Row]:
    for name, damage in {
        "a file is missing": lambda path: (path / "trained.safetensors").unlink(),
        "a file is cut off": lambda path: _cut(path / "trained.safetensors"),
        "a file is empty": lambda path: (path / "state.json").write_bytes(b""),
        "another state": lambda path: (path / "state.json").write_text("{}"),
        "no manifest": lambda path: (path / checkpoint.MANIFEST).unlink(),
        "an empty manifest": lambda path: (path / checkpoint.MANIFEST).write_bytes(b""),
        "a manifest of another kind": lambda path: (path / checkpoint.MANIFEST).write_text("[]"),
        "a manifest that names a folder": lambda path: (path / checkpoint.MANIFEST).write_text('{"files": {".": "0"}}'),
        "files that are a list": lambda path: (path / checkpoint.MANIFEST).write_text('{"files": ["x"]}'),
        "digests that are numbers": lambda path: (path / checkpoint.MANIFEST).write_text('{"files": {"x": 3}}'),
    }.items():  # fmt: skip
        making = functools.partial(_two_checkpoints, damage)
        yield Row("checkpoints", f"{name}, so the one before is taken", _newest, making, Gives(1))


def _two_checkpoints(damage: Callable[[Path], Any], path: Path) -> None:
    for step in (1, 2):
        last = checkpoint.save(path, step, {"trained": GOOD}, {}, {"step": step})
    damage(last)


def _newest(path: Path) -> int | None:
    newest = checkpoint.newest(path)
    return checkpoint.load(newest)[2]["step"] if newest else None


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _published() -> Iterator[Row]:
    def published(name: str, make: bytes | Callable[[Path], Any]) -> Row:
        return Row("published", name, read_published, make, suffix=".pt")

    for name, value in {
        "no weights": {}, "a list": [1], "a number": 3,
        "weights of another model": {"model": {"layer.weight": torch.ones(2)}},
        "weights that are text": {"model": {"a": "b"}}, "keys that are numbers": {"model": {1: torch.ones(1)}},
    }.items():  # fmt: skip
        yield published(name, functools.partial(torch.save, value))
    yield published("no file", lambda path: None)
    yield published("nothing", b"")
    yield published("text", b"no checkpoint")
    yield published("a zip with nothing", b"PK\5\6" + bytes(18))
    yield published("an old pickle", b"(dS'model'\n(lI1\nas.")
    yield published("safetensors", functools.partial(save_file, GOOD))
    yield published("half", _half)


def _half(path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
