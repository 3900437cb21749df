"""Set-up: what is installed, what is said about what is missing, the README's table, a second `make tools`."""

import importlib.util
import re
import subprocess
import sys

import pytest


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_package_is_listed_and_cuda_too(root):
    done = subprocess.run([sys.executable, root / "tools/check_install.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    requirements = load(root / "setup.py").requirements("espeak", "eval", "dev")
    names = {re.match(r"[\w-]+", line)[0] for line in requirements}
    shown = {line.split()[0] for line in done.stdout.splitlines()}
    assert names <= shown and {"CUDA", "Python", "GPUs"} <= shown


def test_what_is_missing_comes_with_its_remedy(root, capsys):
    check = load(root / "tools/check_install.py").check
    assert not check("no-such-package>=3", None)
    assert capsys.readouterr().out.endswith("<- python -m pip install 'no-such-package>=3'\n")
    assert not check("numpy>=999", None)
    assert "<- python -m pip install 'numpy>=999'" in capsys.readouterr().out
    assert not check("no-such-package", "demo")
    assert "optional:" in capsys.readouterr().out
    assert check("numpy", None)


def test_a_wrong_checkpoint_is_refused(root, tmp_path):
    fetch = load(root / "tools/get_penn_checkpoint.py")
    (tmp_path / "x.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match="x.pt: sha256"):
        fetch.check(tmp_path / "x.pt")


def test_pitch_needs_no_hub_after_make_tools(root):
    from c2ser.attributes.pitch import BUNDLED

    if not BUNDLED.exists():
        pytest.skip("tools/penn has no checkpoint; run make tools")
    load(root / "tools/get_penn_checkpoint.py").check(BUNDLED)


def test_the_second_make_tools_does_nothing(root):
    if not (root / "tools/venv").exists():
        pytest.skip("no tools/venv; run make tools")
    done = subprocess.run(["make", "-C", root / "tools"], capture_output=True, text=True)
    assert done.returncode == 0 and "pip" not in done.stdout + done.stderr


def test_make_lists_its_commands(root):
    shown = subprocess.run(["make", "-C", root, "--no-print-directory"], capture_output=True, text=True).stdout
    assert {"make tools", "make mini", "make check"} <= {" ".join(line.split()[:2]) for line in shown.splitlines()}


def test_make_mini_ends_with_a_command_that_tries_the_model(root):
    done = subprocess.run(
        ["make", "-s", "-C", root, "--no-print-directory", "try-mini"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    command = done.stdout.strip().removeprefix("Try the model on a file:  ")
    assert command.endswith(" predict --model egs/mini/exp/implicit egs/mini/db/linda/en-anger-1.wav")
    entry = command.partition(" predict ")[0]
    shown = subprocess.run(f"{entry} predict --help", shell=True, cwd=root, capture_output=True, text=True)
    assert shown.returncode == 0 and "--model" in shown.stdout, shown.stderr


def test_the_readmes_stages_are_the_scripts(root):
    script = (root / "local/c2ser.sh").read_text("utf-8")
    stages = re.findall(r'^if stage (\d+) "([^:]+):', script, re.MULTILINE)
    table = re.findall(r"^\| (\d) \| (\w+) \|", (root / "README.md").read_text("utf-8"), re.MULTILINE)
    assert table == stages and len(stages) == 10
