"""egs/free: corpora joined by their own recipes; those that are never heard are tested on as wholes."""

import os
import shutil
import subprocess
import sys

import pytest
from fixtures import emodb, nemo, ravdess

from c2ser.tables import read_table


@pytest.fixture
def prepare(tmp_path, root):
    """Run stage 0 of the recipe in a project of its own; return its folder and what it said."""
    project = tmp_path / "project"
    (project / "egs").mkdir(parents=True)
    for name in ("c2ser", "tools", "utils"):
        (project / name).symlink_to(root / name)
    shutil.copytree(root / "local", project / "local", ignore=shutil.ignore_patterns("site.sh"))
    for recipe in (root / "egs").iterdir():
        if recipe.name != "free":
            (project / "egs" / recipe.name).symlink_to(recipe)
    made = shutil.ignore_patterns("data", "exp", "__pycache__")
    folder = shutil.copytree(root / "egs/free", project / "egs/free", symlinks=True, ignore=made)
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def run(*words, status=0):
        command = [folder / "run.sh", "--stop-stage", "0", "--nj", "1", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return folder, done.stderr

    return run


def ids(folder, rows):
    return {f"{folder}-{utterance}" for utterance in rows}


def test_what_is_there_is_joined_and_what_is_unheard_stays_out(prepare, tmp_path):
    db = tmp_path / "d b"
    for name, module in {"emodb": emodb, "nemo": nemo, "ravdess": ravdess}.items():
        module.build(db / name)
    folder, said = prepare("--db-root", db)
    sets = {path.parent.name: set(read_table(path)) for path in (folder / "data").glob("*/wav.scp")}
    for part in ("train", "valid"):
        assert sets[part] == ids("emodb", emodb.UTTERANCES[part]) | ids("nemo", nemo.UTTERANCES[part])
    assert sets["nemo_test"] == ids("nemo", nemo.UTTERANCES["test"])
    assert sets["ravdess_test"] == ids("ravdess", {u for rows in ravdess.UTTERANCES.values() for u in rows})
    assert said.count("is absent") == 5 and "cremad is absent" in said


def test_a_corpus_cannot_be_learnt_from_and_unheard(prepare, tmp_path):
    _, said = prepare("--db-root", tmp_path, "--unheard-corpora", "nemo", status=1)
    assert "nemo: to train on and never to be heard; name it in one of the lists" in said
    _, said = prepare("--db-root", tmp_path, status=1)
    assert "no corpus is there" in said


def test_changed_copies_of_what_is_joined_are_learnt_from_too(prepare, tmp_path):
    emodb.build(tmp_path / "db/emodb")
    folder, _ = prepare("--db-root", tmp_path / "db", "--augment", "gain-6")
    recorded, joined = (set(read_table(folder / "data" / name / "wav.scp")) for name in ("train", "train_augmented"))
    assert recorded and joined == recorded | {f"{utterance}-gain-6" for utterance in recorded}
