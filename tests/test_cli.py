"""The command line of an entry point: types, YAML, overrides, one-line errors, resolved settings."""

import os
import subprocess
import sys

import pytest
import yaml

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
