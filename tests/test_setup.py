"""Set-up: what is installed, what is said about what is missing, the README's table, a second `make tools`."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

import c2ser


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


def test_the_oldest_releases_are_the_ones_that_are_allowed(root):
    setup = load(root / "setup.py")
    for line in setup.oldest("transformers", "peft", "accelerate"):
        assert line.replace("==", ">=") in setup.REQUIRES


def test_what_is_missing_comes_with_its_remedy(root, capsys):
    check = load(root / "tools/check_install.py").check
    assert not check("no-such-package>=3", None)
    assert capsys.readouterr().out.endswith("<- python -m pip install 'no-such-package>=3'\n")
    assert not check("numpy>=999", None)
    assert "<- python -m pip install 'numpy>=999'" in capsys.readouterr().out
    assert not check("no-such-package", "demo")
    assert "optional:" in capsys.readouterr().out
    assert check("numpy", None)


def test_pitch_needs_no_hub_after_make_tools(root):
    from c2ser.attributes.pitch import BUNDLED

    if not BUNDLED.exists():
        pytest.skip("tools/penn has no checkpoint; run make tools")
    models = load(root / "tools/get_models.py")
    assert models.sha256(BUNDLED) == models.MODELS["penn"].files[BUNDLED.name]


FAKE_PYTHON = """#!/usr/bin/env bash
# Stands for python, and for the python of the environment that it makes. Each installation becomes a line of $PIP_LOG.
set -euo pipefail
case "$1 ${2-}" in
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip") echo "${*: -2}" >> "$PIP_LOG" ;;
    "get_models.py "*) mkdir -p "$3"; touch "$3/SOURCE" "$3/fcnf0++.pt"; echo "$2" >> "$PIP_LOG" ;;
    *) echo some-package ;;
esac
"""


@pytest.fixture
def clone(root, tmp_path, monkeypatch):
    """Return a function that makes a clone of what `make tools` reads; one environment serves all clones."""
    (tmp_path / "fake-python").write_text(FAKE_PYTHON)
    (tmp_path / "fake-python").chmod(0o755)
    monkeypatch.setenv("PIP_LOG", str(tmp_path / "log"))

    def make(name):
        (tmp_path / name / "tools").mkdir(parents=True)
        for part in ("setup.py", "pyproject.toml", "tools/Makefile", "tools/get_models.py"):
            shutil.copy(root / part, tmp_path / name / part)

        def tools(*targets):
            places = [f"{name}=../../shared/{name.lower()}" for name in ("VENV", "PENN", "MODELS")]
            words = [f"PYTHON={tmp_path}/fake-python", *places, *targets]
            (tmp_path / "shared").mkdir(exist_ok=True)
            (tmp_path / "log").write_text("")
            subprocess.run(["make", "-C", tmp_path / name / "tools", *words], check=True, capture_output=True)
            return (tmp_path / "log").read_text().splitlines()

        return tools

    return make


def test_the_second_make_tools_does_nothing(clone, tmp_path):
    tools = clone("one")
    first = tools()
    assert len(first) == 4 and first[-2:] == ["--editable ..", "penn"]
    assert (tmp_path / "one/tools/venv").is_symlink() and (tmp_path / "one/tools/penn/fcnf0++.pt").exists()
    assert tools() == []


def test_make_small_fetches_two_models_once(clone, tmp_path):
    tools = clone("one")
    tools()
    assert not (tmp_path / "one/tools/models").exists()
    assert tools("small") == ["whisper-base", "smollm2-135m-instruct"]
    assert (tmp_path / "one/tools/models").is_symlink() and (tmp_path / "one/tools/models/whisper-base/SOURCE").exists()
    assert tools("small") == []


def test_another_clone_with_the_same_environment_links_itself_to_it(clone):
    one, two = clone("one"), clone("two of them")
    assert len(one()) == 4
    assert two() == ["--editable .."] and two() == []
    assert one() == ["--editable .."]


def test_the_version_stands_once(root):
    setup = load(root / "setup.py")
    assert setup.version() == c2ser.__version__ and re.fullmatch(r"\d+\.\d+\.\d+", c2ser.__version__)
    assert c2ser.__version__ not in (root / "setup.py").read_text("utf-8")


def test_what_is_installed_is_the_whole_package(root, tmp_path, monkeypatch):
    from setuptools import Distribution

    monkeypatch.chdir(root)
    distribution = Distribution({**load(root / "setup.py").metadata(), "script_name": "setup.py"})
    build = distribution.get_command_obj("build_py")
    build.build_lib = str(tmp_path)
    build.ensure_finalized()
    build.run()
    shipped = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    files = (path for path in (root / "c2ser").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert {"c2ser/py.typed", "c2ser/labelling/page.html", "c2ser/__main__.py"} <= shipped
    assert shipped == {str(path.relative_to(root)) for path in files}


def test_make_lists_its_commands(root):
    shown = subprocess.run(["make", "-C", root, "--no-print-directory"], capture_output=True, text=True).stdout
    assert {"make tools", "make small", "make mini", "make check"} <= {
        " ".join(line.split()[:2]) for line in shown.splitlines()
    }


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
