"""The command line of an entry point: types, YAML, overrides, one-line errors, resolved settings."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torch import distributed

import c2ser
from c2ser.__main__ import main as command
from c2ser.cli import run as run_main

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = '''
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from c2ser.cli import run, save_config

@dataclass
class Optim:
    """Settings.

    Attributes:
        lr: how fast.
    """
    lr: float = 0.1
    kind: Literal["a", "b"] = "a"

def main(out_dir: Path, optim: Optim = Optim(), names: list[str] = [], fail: str = ""):
    """Do a thing.

    Args:
        out_dir: where.
        optim: how.
        names: of what.
        fail: how to fail.
    """
    if fail == "input":
        raise ValueError("utt: broken; mend it")
    if fail == "defect":
        raise KeyError("oops")
    save_config(out_dir, optim=optim, names=names)

if __name__ == "__main__":
    run(main)
'''


@pytest.fixture
def call(tmp_path, root):
    (tmp_path / "tool.py").write_text(SCRIPT)
    (tmp_path / "conf.yaml").write_text("optim:\n  lr: 0.5\n  kind: b\n")

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "tool.py", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    return run


def test_yaml_and_overrides(call, tmp_path):
    done = call("--config", "conf.yaml", "--optim.lr=1e-4", "--out-dir", "o u $(t)", "--names", "['$(x)', \"a 'b'\"]")
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((tmp_path / "o u $(t)" / "config.yaml").read_text())
    assert saved == {"optim": {"lr": 1e-4, "kind": "b"}, "names": ["$(x)", "a 'b'"]}


@pytest.mark.parametrize(
    "words",
    [
        ["--out-dir", "o", "--unknown", "1"],
        ["--out-dir", "o", "--optim.lr", "fast"],
        ["--out-dir", "o", "--optim.kind", "c"],
        ["--out-dir", "o", "--optim.rate", "1"],
        ["--out-dir"],
        [],
    ],
)
def test_bad_options_are_one_line_and_status_2(call, words):
    done = call(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--help" in done.stderr


def test_unknown_keys_in_yaml_are_refused(call, tmp_path):
    (tmp_path / "conf.yaml").write_text("optim:\n  learning: 0.5\n")
    assert call("--config", "conf.yaml", "--out-dir", "o").returncode == 2


def test_bad_input_is_one_line_and_status_1(call):
    done = call("--out-dir", "o", "--fail", "input")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "utt: broken; mend it" in done.stderr


def test_defects_keep_their_traceback(call):
    done = call("--out-dir", "o", "--fail", "defect")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_help_says_what_options_are_for(call):
    done = call("--help")
    assert done.returncode == 0
    assert "Do a thing" in done.stdout and "how fast" in done.stdout and "where" in done.stdout


CANARY = """from pathlib import Path

Path("ran").write_text("ran")


class Canary:
    lr = 0.1
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "code.yaml"],
        ["--config", "name.yaml"],
        ["--config", "list.yaml"],
        ["--optim=canary.Canary"],
        ["--optim.class_path=canary.Canary"],
        ["--optim.help=canary.Canary"],
        ["--maybe=canary.Canary"],
        ["--maybe.class_path=canary.Canary"],
        ["--config={optim: {class_path: canary.Canary}}"],
        ["--config={maybe: {class_path: canary.Canary}}"],
        ["--config={maybe: {class_path: subprocess.Popen, init_args: {args: [touch, ran]}}}"],
    ],
)
def test_no_setting_imports_a_module(call, tmp_path, words):
    """jsonargparse imports what `class_path` names before it refuses the class."""
    text = SCRIPT.replace('fail: str = ""', 'fail: str = "", maybe: Optim | None = None')
    (tmp_path / "tool.py").write_text(text.replace("fail: how to fail.", "fail: how to fail.\n        maybe: how."))
    (tmp_path / "canary.py").write_text(CANARY)
    (tmp_path / "code.yaml").write_text("optim:\n  class_path: canary.Canary\n")
    (tmp_path / "name.yaml").write_text("optim: canary.Canary\n")
    (tmp_path / "list.yaml").write_text("names: [{class_path: canary.Canary}]\nmaybe: {class_path: canary.Canary}\n")
    done = call("--out-dir", "o", *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "ran").exists()


def test_settings_of_the_toolkits_own_classes_still_load(call, tmp_path):
    text = SCRIPT.replace("names: list[str] = []", "names: list[str] = [], maybe: BatchConfig | None = None")
    text = text.replace("names: of what.", "names: of what.\n        maybe: how.").replace("names=names", "names=maybe")
    (tmp_path / "tool.py").write_text("from c2ser.training.config import BatchConfig\n" + text)
    done = call("--out-dir", "o", "--config={maybe: {seconds: 3.0}}")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((tmp_path / "o/config.yaml").read_text())["names"]["seconds"] == 3.0


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [caf\u00e9]\n".encode("latin-1"), "conf.yaml: not UTF-8; save it as UTF-8"),
        ("names: [a]\n".encode("utf-16"), "conf.yaml: not UTF-8; save it as UTF-8"),
        (LAUGHS.encode() + b"names: *a11\n", "conf.yaml: over 100000 values once its aliases (*name) are written out"),
        (b"names: &a [*a]\n", "conf.yaml: over 100000 values once its aliases"),
        (b"names: " + b"[" * 500 + b"]" * 500, "conf.yaml: over 64 lists and mappings inside one another"),
        (b"names: " + b"[" * 100_000, "conf.yaml: over 64 lists and mappings inside one another"),
        (b"optim: {lr: " + b"1" * 5000 + b"}\n", "conf.yaml: not YAML"),
        (b"optim: [}\n", "conf.yaml: not YAML"),
        (b"config: {optim: {lr: 1.0}}\n", "conf.yaml: not settings"),
        (b"- 1\n- 2\n", ""),
        (b"\x00\x01", "conf.yaml: not YAML"),
    ],
)
def test_a_damaged_configuration_is_one_line_and_status_2(call, tmp_path, content, message):
    (tmp_path / "conf.yaml").write_bytes(content)
    done = call("--out-dir", "o", "--config", "conf.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr and len(done.stderr) < 500


def test_aliases_within_bounds_stay_allowed(call, tmp_path):
    (tmp_path / "conf.yaml").write_text("names: &a [x, y]\noptim:\n  lr: 0.5\n  kind: b\n")
    assert call("--out-dir", "o", "--config", "conf.yaml").returncode == 0


def test_an_argument_that_is_no_utf_8_is_one_line(call):
    done = call("--out-dir", os.fsdecode(b"caf\xe9"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "not UTF-8; rename the file" in done.stderr


def test_a_reader_who_has_enough_is_no_error(call, tmp_path, root):
    (tmp_path / "tool.py").write_text(
        SCRIPT.replace("    save_config(out", "    print('x\\n' * 10**6)\n    save_config(out")
    )
    command = f"{sys.executable} tool.py --out-dir o | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == ("x\n", "")


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null/x", "file/x"])
def test_a_place_that_cannot_be_written_is_one_line(call, tmp_path, place):
    (tmp_path / "file").write_text("")
    done = call("--out-dir", place)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr


# --- the command c2ser


def test_the_verbs_are_the_files_of_bin_with_the_first_line_of_each(root, capsys):
    command(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    files = sorted((root / "c2ser/bin").glob("[a-z]*.py"))
    assert len(files) > 20
    for path in files:
        summary = path.read_text("utf-8").partition('"""')[2].partition("\n")[0].removesuffix('"""')
        assert f" {path.stem.replace('_', '-')} {summary}" in shown
    assert shown.index("Use a model:") < shown.index("Decode and score:") and "Other:" not in shown


def test_the_command_says_its_version(capsys):
    command(["--version"])
    assert capsys.readouterr().out == f"c2ser {c2ser.__version__}\n"


TRAIN_VERBS = ("train-c2ser", "train-probe")
"""The nearest ones."""


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("predct", "c2ser: predct: no such verb; did you mean predict?\n"),
        (
            "train_c2sr",
            "c2ser: train_c2sr: no such verb; did you mean train-c2ser or train-probe?\n",
        ),
        ("xyz", "c2ser: xyz: no such verb; c2ser --help lists them\n"),
        ("__init__", "c2ser: __init__: no such verb; c2ser --help lists them\n"),
        ("../bin/predict", None),
        ("", "c2ser: a verb is missing; c2ser --help lists them\n"),
    ],
)
def test_an_unknown_verb_is_one_line_with_near_matches_and_status_2(verb, message, capsys):
    with pytest.raises(SystemExit) as left:
        command([verb])
    shown = capsys.readouterr()
    assert left.value.code == 2 and shown.out == "" and shown.err.count("\n") == 1
    assert message is None or shown.err == message


def test_no_verb_at_all_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["c2ser"])
    with pytest.raises(SystemExit) as left:
        command()
    assert left.value.code == 2 and "a verb is missing" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["sample-data", "sample_data"])
def test_a_verb_is_its_entry_point_under_its_name(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit) as left:
        command([verb, "--help"])
    assert left.value.code == 0 and capsys.readouterr().out.startswith("usage: c2ser sample-data [")
    with pytest.raises(SystemExit) as left:
        command([verb, "--data", str(tmp_path), "--out", str(tmp_path), "--number", "many"])
    shown = capsys.readouterr().err
    assert left.value.code == 2 and shown.startswith("c2ser sample-data: ") and shown.count("\n") == 1


def test_files_are_arguments_of_predict_without_an_option(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    calls = []
    monkeypatch.setattr(importlib.import_module("c2ser.bin.predict"), "main", predict_like(calls))
    command(["predict", "--model", "m", "a.wav", "b.wav", "--device", "cpu"])
    assert calls == [(Path("m"), [Path("a.wav"), Path("b.wav")], "cpu")]


def predict_like(calls):
    def main(model: Path, inputs: list[Path], device: str = "auto") -> None:
        """Stand in for predict.

        Args:
            model: folder.
            inputs: files.
            device: where.
        """
        calls.append((model, inputs, device))

    return main


def test_python_m_c2ser_does_the_work_of_a_verb(tmp_path, root):
    """In a process of its own, in another folder: what `c2ser argmax-labels` does once it is installed."""
    row = "0.1 0.1 0.4 0.1 0.1 0.1 0.1"
    (tmp_path / "utt2prob").write_text(f"u-1 {row}\n")
    words = ["argmax-labels", "--probabilities", "utt2prob", "--out", "utt2emo"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "c2ser", *words], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "utt2emo").read_text() == "u-1 neutral\n"
    words[2] = "nothing"
    done = subprocess.run(
        [sys.executable, "-m", "c2ser", *words], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 1 and " c2ser.argmax-labels: " in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "c2ser/bin").glob("[a-z]*.py")))
def test_every_entry_point_runs_in_a_process_of_its_own(name):
    """As stages call them; all other tests of what they do are in the process of the tests."""
    words = [sys.executable, "-m", f"c2ser.bin.{name}", "--no-such-option", "1"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{name}: ") and done.stderr.endswith("; see --help\n")


@pytest.mark.parametrize("end, left", [(None, True), (SystemExit(75), True), (ValueError("u-1: broken"), False)])
def test_a_training_leaves_the_group_of_its_processes(end, left, monkeypatch):
    """After an error it does not: another process may be waiting in a sum that never comes."""

    def main() -> None:
        """Train."""
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        if end is not None:
            raise end

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    try:
        if end is None:
            run_main(main, args=[])
        else:
            with pytest.raises(SystemExit) as ended:
                run_main(main, args=[])
            assert ended.value.code == (75 if left else 1)
        assert distributed.is_initialized() is not left
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
