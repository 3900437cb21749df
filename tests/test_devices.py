"""What runs on a card never takes cuDNN's attention."""

import ast
import re

import pytest
import torch

from c2ser import devices

GATES = {"c2ser.devices", "c2ser.training.loop"}
"""Modules through which models come to a card; both switch cuDNN's attention off."""


@pytest.fixture
def cudnn():
    """cuDNN's attention is on, as torch has it; afterwards it is as it was."""
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cuda.enable_cudnn_sdp(before)


def test_choosing_a_device_switches_it_off(cudnn):
    assert devices.pick_device("cpu") == "cpu" and not torch.backends.cuda.cudnn_sdp_enabled()


def test_a_training_switches_it_off(cudnn, tmp_path):
    from test_training import OPTIM, Line, config

    from c2ser.training.loop import Trainer

    Trainer(Line(), OPTIM, config(), tmp_path)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def reach(root, path, seen):
    """Collect the modules of the package that a module imports, inside of functions too."""
    for name in imported(path):
        file = root / f"{name.replace('.', '/')}.py"
        if name.startswith("c2ser.") and name not in seen and file.exists():
            seen.add(name)
            reach(root, file, seen)
    return seen


def test_every_entry_point_that_a_card_is_for_passes_a_gate(root):
    wants = set()
    for path in (root / "c2ser/bin").glob("[a-z]*.py"):
        text = path.read_text("utf-8")
        if path.stem.startswith(("train_", "finetune")) or re.search(r"\bdevice: str|\bwriter: ", text):
            wants.add(path.stem)
            assert GATES & reach(root, path, set()), path.stem
    assert {"decode", "predict", "serve", "generate_cot", "train_c2ser", "finetune", "calibrate"} <= wants


def test_nothing_else_in_the_package_names_a_card(root):
    """A model could otherwise come to a card past the gates."""
    named = re.compile(r"""\.cuda\(|["']cuda(:\d+)?["']\)|accelerator\.device""")
    found = {
        str(path.relative_to(root)) for path in (root / "c2ser").rglob("*.py") if named.search(path.read_text("utf-8"))
    }
    assert found <= {"c2ser/training/loop.py", "c2ser/training/processes.py"}  # the latter asks for its memory alone
