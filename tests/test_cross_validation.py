"""local/cross_validate.sh, claims.sh: every utterance is answered once, by a model that has not heard its speaker."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
import yaml

from c2ser.label_sets import read_label_set
from c2ser.tables import read_json, read_table

GENERATOR = """
from c2ser.prep import Corpus, Utterance, prepare

LETTERS = {"A": "anger", "C": None}

def utterances(db_root):
    for path in sorted(db_root.glob("*.wav")):
        speaker, letter, _ = path.stem.split("_")
        set_name = {"01": "train", "1": "valid"}.get(speaker, "test")
        yield Utterance(set_name, speaker, path.stem, path, letter, "en", "A short sentence was said.")

if __name__ == "__main__":
    prepare(utterances, Corpus(emotions=LETTERS, classes={"C": "calm"}))
"""

SPEAKERS = {"01": 4, "1": 2, "b": 6, "c": 2}
"""Speakers with their numbers of utterances. Two names are the same number."""

FEW = "--training.steps 2 --training.valid_every 2 --validation.utterances 4 --validation.max_new_tokens 4"


@pytest.fixture
def recipe(own_recipe, tmp_path):
    """A recipe with a corpus of tones, and a function that cross-validates on it."""
    corpus = tmp_path / "cor pus"
    corpus.mkdir()
    time = np.arange(16000) / 16000
    for speaker, number in SPEAKERS.items():
        for k in range(number):
            tone = sum(np.sin(2 * np.pi * (120 + 10 * k) * harmonic * time) / harmonic for harmonic in range(1, 9))
            soundfile.write(corpus / f"{speaker}_{'AC'[k % 2]}_{k}.wav", 0.1 * tone, 16000)
    (own_recipe / "local/data_prep.py").write_text(GENERATOR)
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def cross_validate(*words, kind=None, status=0):
        script = ["cross_validate.sh"] if kind is None else ["claims.sh", "--kinds", kind, "--"]
        options = ("--db-root", corpus, "--size", "tiny", "--ngpu", "0", "--nj", "1", *words)
        command = [own_recipe.parents[1] / "local" / script[0], *script[1:], *options]
        done = subprocess.run(command, cwd=own_recipe, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stderr + done.stdout

    return own_recipe, cross_validate


@pytest.mark.slow(seconds=180)
def test_each_utterance_is_answered_by_a_model_that_has_not_heard_its_speaker(recipe):
    folder, cross_validate = recipe
    words = ("--groups", "3", "--emotion2vec", "none", "--perturb", "gain-6", f"--implicit-options={FEW}")
    words += ("--labels", "raw", "--augment", "gain-3")  # calm is none of the seven
    cross_validate(*words, "--seeds", "7", "--only-groups", "3", kind="without_cot")
    answered = sorted(path.parts[-4] for path in folder.glob("exp/folds/*/*/implicit/decode_fold*_test"))
    assert answered == ["3"] and not (folder / "exp/folds/all/comparison").exists()
    said = cross_validate(*words, "--seeds", "7", kind="without_cot")
    assert said.count("says that this is done") == 4  # the copies, and all of group 3
    speakers = read_table(folder / "data/folds/utt2spk")
    assert Counter(speakers.values()) == Counter({"01": 4, "1": 2, "b": 6, "c": 2})
    tests = []
    for group in (1, 2, 3):
        parts = {part: read_table(folder / f"data/fold{group}_{part}/utt2spk") for part in ("train", "valid", "test")}
        heard = [set(rows.values()) for rows in parts.values()]
        assert sum(map(len, heard)) == len(set.union(*heard)) == 4  # no speaker in two sets
        assert sum(map(len, parts.values())) == 14
        augmented = read_table(folder / f"data/fold{group}_train_augmented/utt2spk")
        assert augmented == parts["train"] | {f"{i}-gain-3": spoken for i, spoken in parts["train"].items()}
        tests += parts["test"]
        assert read_json(folder / f"exp/folds/{group}/attr_stats.json")["loudness"]["count"] == len(augmented)
    assert sorted(tests) == sorted(speakers)
    scored = folder / "exp/folds/all/without_cot-7/implicit/decode_folds"
    assert sorted(read_table(scored / "answer")) == sorted(speakers)
    figures = read_json(scored / "scores.json")
    assert figures["utterances"] == 14 and [*figures["per_emotion"]] == ["anger", "calm"]
    assert sorted(read_table(f"{scored}-gain-6/utt2emo")) == sorted(speakers)
    for place in (folder / "data/fold2_train", scored, f"{scored}-gain-6"):  # else answers are read as the seven
        assert [*read_label_set(place)] == ["anger", "calm"]
    stability = folder / "exp/folds/all/without_cot-7/stability_folds/stability.json"
    assert "gain-6" in stability.read_text()
    trained = folder / "exp/folds/3/without_cot-7/implicit/config.yaml"
    assert yaml.safe_load(trained.read_text())["training"]["seed"] == 7
    assert yaml.safe_load(trained.read_text())["train"].endswith("data/fold3_train_augmented")
    compared = read_json(folder / "exp/folds/all/comparison/comparison.json")
    assert list(compared) == ["without_cot implicit", "without_cot implicit_label_score"]
    assert "| without_cot implicit | 1 |" in said
    again = cross_validate(*words, "--cot", "false", "--name", "without_cot", "--seeds", "7")
    assert again.count("says that this is done") == 11


def test_bad_options_are_refused_before_anything_is_done(recipe, tmp_path):
    folder, cross_validate = recipe
    for words, reason in {
        ("--groups", "2"): "2 are too few; one tests, one validates, and at least one trains",
        ("--seeds", "one"): "--seeds: 'one' is no list of numbers",
        ("--name", "../x"): "--name: '../x' cannot be a folder's name",
    }.items():
        assert reason in cross_validate(*words, status=1)
    assert "--kinds: there is no x; choose c2ser" in cross_validate(kind="x", status=1)
    assert not (folder / "data").exists()
