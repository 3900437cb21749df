"""tools/demo.sh: from a corpus to the model that `c2ser predict` takes by default."""

import os
import shutil
import subprocess
import sys

import pytest

from c2ser.emotions import EMOTIONS
from c2ser.tables import read_json


@pytest.fixture
def clone(tmp_path, root):
    """A project of its own with the recipe of EMO-DB; c2ser.model.hub knows the clone from the package's place."""
    project = tmp_path / "the clone"
    shutil.copytree(root / "c2ser", project / "c2ser", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "local", project / "local", ignore=shutil.ignore_patterns("site.sh"))
    shutil.copytree(root / "egs/emodb", project / "egs/emodb", ignore=shutil.ignore_patterns("data", "exp", "db"))
    (project / "utils").symlink_to(root / "utils")
    (project / "tools").mkdir()
    for name in ("Makefile", "demo.sh"):
        shutil.copy(root / "tools" / name, project / "tools" / name)
    (project / "tools/penn").symlink_to(root / "tools/penn")
    return project


def demo(clone, *words, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    inherited |= {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", **environment}
    command = [clone / "tools/demo.sh", *words]
    return subprocess.run(command, env=inherited, capture_output=True, text=True, cwd=clone.parent)


@pytest.mark.slow(seconds=100)
def test_the_demo_ends_with_a_prediction_of_its_model(clone, test_data, tmp_path):
    few = "--training.steps 2 --training.valid_every 2 --validation.utterances 4 --validation.max_new_tokens 4"
    words = ["--ngpu", "0", "--nj", "1", "--encoder-options=--training.steps 2"]
    words += [f"--explicit-options={few}", f"--implicit-options={few}", "--max-rejected", "50"]
    corpus = tmp_path / "emo db/wav"
    corpus.mkdir(parents=True)
    for speaker in ("03", "08", "09", "12", "14", "15"):
        for file in sorted((test_data / "speech/emodb/wav").glob(f"{speaker}a0[12]*.wav"))[:3]:
            shutil.copy(file, corpus)
    done = demo(clone, *words, SIZE="tiny", DB="emo db")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("file\tstart\tend") :].splitlines()
    file, _, _, _, _, emotion, *_ = table[1].split("\t")
    assert emotion in EMOTIONS and file.startswith(str(corpus))
    assert "step 2/2 | loss" in done.stderr  # the progress of a training
    model = clone / "tools/models/c2ser-small"
    assert read_json(model / "config.json")["c2ser"]["style"] == "implicit" and not model.is_symlink()


def test_without_a_corpus_the_demo_says_what_to_give(clone, tmp_path):
    done = demo(clone, SIZE="tiny", DB="none")
    assert done.returncode == 1 and f"{tmp_path}/none: no such folder" in done.stderr
    assert "make demo" not in done.stderr and not (clone / "tools/models").exists()
    (clone / "egs/emodb/db").write_text("a file where the corpus should go")
    done = demo(clone, SIZE="tiny")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("give its folder: make demo DB=/path/to/emodb")
