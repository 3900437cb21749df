"""The corpora of the recipes: what data_prep.py makes of them."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from c2ser.corpus import read_data_dir
from c2ser.emotions import EMOTIONS
from c2ser.tables import read_table


def prepare(root, recipe, db_root, out):
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "local/data_prep.py", "--db-root", db_root, "--out", out]
    return subprocess.run(command, cwd=root / "egs" / recipe, env=environment, capture_output=True, text=True)


def validate(root, folder):
    return subprocess.run([root / "utils/validate_data_dir.sh", folder], capture_output=True, text=True)


def digest(folder):
    files = sorted(folder.rglob("*.wav"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest(), len(files)


@pytest.mark.slow
def test_mini_is_the_same_every_time(root, tmp_path):
    for name in ("one", "two"):
        done = prepare(root, "mini", tmp_path / name / "db", tmp_path / name / "data")
        assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "one/db") == digest(tmp_path / "two/db") and digest(tmp_path / "one/db")[1] == 952
    speakers = {}
    for name in ("train", "valid", "test"):
        data = read_data_dir(tmp_path / "one/data" / name)
        assert validate(root, tmp_path / "one/data" / name).returncode == 0
        speakers[name] = {u.speaker for u in data.values()}
        emotions = [u.emotion for u in data.values()]
        assert {emotions.count(emotion) for emotion in EMOTIONS} == {len(data) // 7}
        assert {u.language for u in data.values()} == {"en", "zh"} and all(u.text for u in data.values())
    assert sum(map(len, speakers.values())) == 15 == len(set.union(*speakers.values()))
    assert read_table(tmp_path / "one/data/test/text") == read_table(tmp_path / "two/data/test/text")


def test_emodb_in_its_official_layout(root, tmp_path, test_data):
    done = prepare(root, "emodb", test_data / "speech/emodb", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "test: found disgust 0 of 16" in done.stderr and "fear 0 of 36" in done.stderr
    assert "anger 1" not in done.stderr
    sets = {name: read_data_dir(tmp_path / "data" / name) for name in ("train", "valid", "test")}
    assert sum(map(len, sets.values())) == 339
    counts = [u.emotion for data in sets.values() for u in data.values()]
    assert [counts.count(e) for e in ("anger", "neutral", "happiness", "sadness")] == [127, 79, 71, 62]
    assert {u.speaker for u in sets["test"].values()} == {"15", "16"}
    assert sets["train"]["03-a01Wa"].text == "Der Lappen liegt auf dem Eisschrank."
    assert all(validate(root, tmp_path / "data" / name).returncode == 0 for name in sets)


def test_emodb_leaves_boredom_out_and_counts_it(root, tmp_path, test_data):
    corpus = tmp_path / "emo db/wav"
    corpus.mkdir(parents=True)
    source = test_data / "speech/emodb/wav/03a01Wa.wav"
    for name in ("03a01Wa", "03a01La", "12a01Ab", "15a01Eb", "readme"):
        shutil.copy(source, corpus / f"{name}.wav")
    done = prepare(root, "emodb", corpus.parent, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert list(read_table(tmp_path / "data/train/utt2emo").items()) == [("03-a01Wa", "anger")]
    assert list(read_table(tmp_path / "data/train/rejected")) == ["03-a01La"]
    assert read_table(tmp_path / "data/test/utt2emo")["15-a01Eb"] == "disgust"


@pytest.mark.parametrize("recipe", ["emodb", "TEMPLATE"])
def test_an_empty_or_missing_corpus_is_an_error(root, tmp_path, recipe):
    done = prepare(root, recipe, tmp_path / "none", tmp_path / "data")
    assert done.returncode == 1 and "no such folder" in done.stderr and len(done.stderr.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    done = prepare(root, recipe, tmp_path / "empty", tmp_path / "data")
    assert done.returncode == 1 and "check --db-root against the layout" in done.stderr
