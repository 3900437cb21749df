"""Canaries: inputs that hold code which leaves a file behind where it runs."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from c2ser.chat_templates import render_chats
from c2ser.corpus import read_data_dir, wave
from c2ser.data.arks import read_matrix
from c2ser.emotion2vec.checkpoints import read_published
from c2ser.emotion2vec.encoders import load_encoder
from c2ser.labelling.annotation import make_page
from c2ser.model.llm_loading import load_tokenizer
from c2ser.prep.unpack import unpack
from c2ser.pretrained import read_sizes
from c2ser.tensors import read_tensors
from c2ser.yaml_files import read_yaml
from faults.bad_tables import DATA, write_data
from faults.row import CANARY, Gives, Row

ROOT = Path(__file__).resolve().parents[2]

TOUCH = f"touch {CANARY}"

IDS = (f"$({TOUCH})", f"`{TOUCH}`", f";{TOUCH};", f"|{TOUCH}", f"&{TOUCH}&", f"'$({TOUCH})'", f'"$({TOUCH})"', "-rf",
       "*", f"a[$({TOUCH})]", f"${{IFS}}{TOUCH}", f"%(system('{TOUCH}'))s")  # fmt: skip
"""Words that a shell, or what writes one, could run; blanks become $IFS in ids."""


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        """Say what to call."""
        return self.call


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _pickles()
    yield from _remote_code()
    yield from _shell()
    yield from _templates()


def _anyhow(stage: Callable[[Path], Any], path: Path) -> bool:
    """Run a stage in the folder of its input; that it refuses it is as well as that it does not."""
    reply, sys.stdin = sys.stdin, open(os.devnull)
    try:
        with contextlib.chdir(path.parent), contextlib.suppress(ValueError, OSError):
            stage(path)
    finally:
        sys.stdin.close()
        sys.stdin = reply
    return True


def _row(name: str, stage: Callable[[Path], Any], make: bytes | Callable[[Path], Any], suffix: str = "") -> Row:
    return Row("canaries", name, functools.partial(_anyhow, stage), make, Gives(True), suffix)


def _pickled(path: Path) -> bytes:
    """Return what calls os.system when it is unpickled."""
    return f"cposix\nsystem\n(S\"touch '{path.parent / CANARY}'\"\ntR.".encode()


def _pickles() -> Iterator[Row]:
    for function, text in ((os.system, TOUCH), (subprocess.getoutput, TOUCH), (eval, f"open({CANARY!r}, 'w')")):
        making = functools.partial(_saved, {"model": {}, "cfg": Payload(function, text)})
        yield _row(f"a checkpoint, {function.__name__}", read_published, making, ".pt")
    yield _row(
        "a checkpoint that is a bare pickle", read_published, lambda path: path.write_bytes(_pickled(path)), ".pt"
    )
    yield _row("weights that are a pickle", read_tensors, lambda path: path.write_bytes(_pickled(path)), ".safetensors")
    yield _row("an archive of embeddings with a pickle", lambda path: read_matrix(f"{path}:2", "a"),
               lambda path: path.write_bytes(b"a PKL" + _pickled(path)))  # fmt: skip
    yield _row("an archive of embeddings with objects", lambda path: read_matrix(f"{path}:2", "a"),
               lambda path: path.write_bytes(b"a NPY" + _pickled(path)))  # fmt: skip
    yield _row("a folder with pytorch_model.bin", lambda path: load_encoder(str(path)), _bin)
    yield _row("YAML, os.system", read_yaml, f"!!python/object/apply:os.system ['{TOUCH}']".encode(), ".yaml")
    yield _row("YAML, a new object", read_yaml,
               f"!!python/object/new:subprocess.Popen [['touch', '{CANARY}']]".encode(), ".yaml")  # fmt: skip


def _saved(value: Any, path: Path) -> None:
    torch.save(value, path)


def _bin(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "wav2vec2", "hidden_size": 8}')
    torch.save(Payload(os.system, f"touch '{path.parent / CANARY}'"), path / "pytorch_model.bin")


EVIL = f"open({CANARY!r}, 'w')\nclass Evil: pass\n"

READERS: dict[str, Callable[[Path], Any]] = {
    "config.json": lambda path: read_sizes(str(path), "model"),
    "tokenizer_config.json": lambda path: load_tokenizer(path),
    "preprocessor_config.json": lambda path: load_encoder(str(path)),
}
"""What reads a file of a model that may name code."""


def _remote_code() -> Iterator[Row]:
    for name, reading in READERS.items():
        yield _row(f"auto_map in {name}", reading, functools.partial(_with_code, name))
    for words in (
        "lm: {class_path: evil.Evil}",
        "data: {class_path: evil.Evil, init_args: {}}",
        "out: {__path__: evil}",
    ):
        yield _row(f"--config, {words}", _configured, functools.partial(_with_module, words), ".yaml")


def _with_code(name: str, path: Path) -> None:
    path.mkdir()
    kinds = ("AutoConfig", "AutoTokenizer", "AutoFeatureExtractor", "AutoModel", "AutoProcessor")
    values = {"auto_map": {kind: "evil.Evil" for kind in kinds}, "model_type": "evil"}
    (path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    (path / name).write_text(json.dumps(values))
    (path / "evil.py").write_text(EVIL.replace(repr(CANARY), repr(str(path.parent / CANARY))))


def _with_module(text: str, path: Path) -> None:
    path.write_text(text)
    (path.parent / "evil.py").write_text(EVIL.replace(repr(CANARY), repr(str(path.parent / CANARY))))


def _configured(path: Path) -> None:
    subprocess.run([sys.executable, "-m", "c2ser", "score", f"--config={path}"], cwd=path.parent, capture_output=True,
                   env={**os.environ, "PYTHONPATH": f"{ROOT}:{path.parent}"})  # fmt: skip


SCRIPTS = ("validate_data_dir.sh {}", "fix_data_dir.sh {}", "split_data.sh {} 2 out", "combine_data.sh out {}",
           "subset_data_dir.sh {} 1 out", "utt2spk_to_spk2utt.sh {}/utt2spk")  # fmt: skip


def _shell() -> Iterator[Row]:
    for script in SCRIPTS:
        yield _row(f"{script.split()[0]}, ids and texts", functools.partial(_run, script), _strange_data)
    yield _row(
        "a pipe as a path", _read_waves, functools.partial(write_data, files={"wav.scp": f"a-1 {TOUCH} |\nb-2 y\n"})
    )
    yield _row("a path with a command", _read_waves,
               functools.partial(write_data, files={"wav.scp": f"a-1 $({TOUCH})\nb-2 `{TOUCH}`\n"}))  # fmt: skip
    yield _row("a member of an archive", lambda path: unpack(path, path.parent / "out", 1 << 20), _strange_zip, ".zip")


def _strange_data(path: Path) -> None:
    ids = sorted(word.replace(" ", "${IFS}") for word in IDS)
    tables = {name: "".join(f"{i} {text}\n" for i, text in zip(ids, IDS, strict=True)) for name in DATA}
    write_data(path, {**tables, "utt2spk": "".join(f"{i} {i}\n" for i in ids)})


def _strange_zip(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for word in IDS:
            archive.writestr(word, "x")


def _read_waves(path: Path) -> None:
    for utterance in read_data_dir(path).values():
        wave(utterance)


def _run(script: str, path: Path) -> None:
    name, *words = script.split()
    command = [str(ROOT / "utils" / name), *(word.format(path.name) for word in words)]
    subprocess.run(command, cwd=path.parent, capture_output=True, timeout=60)


INJECTIONS = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__.os.system('touch executed') }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% if 'Popen' in x.__name__ %}{{ x(['touch', 'executed']) }}"
    "{% endif %}{% endfor %}", "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch executed') }}",
    "{% set x = lipsum.__globals__['os'].popen('touch executed').read() %}",
)  # fmt: skip
"""Chat templates that reach for more than a text."""


def _templates() -> Iterator[Row]:
    for template in INJECTIONS:
        yield _row(f"a chat template, {template[:40]}", functools.partial(_rendered, template), b"")
    for text in ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "@DATA@", "\u2028</SCRIPT >"):
        making = functools.partial(
            write_data, files={"wav.scp": "a-1 a.wav\nb-2 b.wav\n", "text": f"a-1 {text}\nb-2 x\n"}
        )
        must = Gives(
            lambda page, text=text: "<script>alert" not in page and "<img" not in page and "</SCRIPT" not in page
        )
        yield Row("canaries", f"a page of {text}", _page, making, must)


def _rendered(template: str, path: Path) -> list[str]:
    tokenizer = types.SimpleNamespace(apply_chat_template=functools.partial(_apply, template))
    return render_chats(tokenizer, [[{"role": "user", "content": "x"}]], "bad")


def _apply(template: str, chats: Any, tokenize: bool, add_generation_prompt: bool) -> Any:
    import tokenizers

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0})))
    tokenizer.chat_template = template
    return tokenizer.apply_chat_template(chats, tokenize=tokenize, add_generation_prompt=add_generation_prompt)


def _page(path: Path) -> str:
    with contextlib.chdir(path.parent):
        for name in ("a.wav", "b.wav"):
            Path(name).write_bytes(b"x")
        make_page(path, path.parent / "out", "<script>alert(2)</script>")
    return (path.parent / "out/index.html").read_text("utf-8")
