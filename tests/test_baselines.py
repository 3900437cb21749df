"""Baselines: a fine-tuned Whisper classifier, and a cascade of Whisper and a language model."""

import os
import signal

import numpy as np
import pytest
import soundfile
import torch
from entry import run_entry
from transformers import WhisperConfig, WhisperForAudioClassification, WhisperForConditionalGeneration

from c2ser.baselines.classifier import Classifier, load_classifier, new_classifier, save_classifier
from c2ser.baselines.config import ClassifierConfig
from c2ser.corpus import Utterance
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.emotions import EMOTIONS
from c2ser.model.perception import WhisperEncoder
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_table, write_table
from c2ser.training import checkpoint
from c2ser.training.classifier_objective import ClassifierMaterial, ClassifierObjective
from c2ser.training.config import ClassifierBatchConfig, OptimConfig, TrainConfig
from c2ser.training.loop import REQUEUE_STATUS, train

SIZES = {
    "d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "dropout": 0.0,
}  # fmt: skip


def describe(folder):
    """Noise of two emotions, loud and quiet, of different lengths."""
    for number in range(24):
        emotion, set_name = ("anger", "sadness")[number % 2], "valid" if number >= 16 else "train"
        path = folder / f"{number}.wav"
        noise = np.random.default_rng(number).normal(size=8000 + 1600 * (number % 5))
        soundfile.write(path, (0.2 if emotion == "anger" else 0.002) * noise, 16000)
        yield Utterance(set_name, f"s{number // 16}", f"{number:02d}", path, emotion, "en", f"Number {number}.")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, and a random Whisper."""
    folder = tmp_path_factory.mktemp("base line")
    write_corpus(describe(folder), folder / "data")
    torch.manual_seed(0)
    WhisperForConditionalGeneration(WhisperConfig(**SIZES)).save_pretrained(folder / "whisper")
    return folder


def waves(*seconds):
    generator = np.random.default_rng(0)
    return [generator.normal(size=int(16000 * s)).astype(np.float32) * 0.1 for s in seconds]


def start(place, **changes):
    return new_classifier(ClassifierConfig(str(place / "whisper"), 8, **changes), seed=1)


# --- the classifier


def test_the_classifier_is_that_of_transformers():
    torch.manual_seed(0)
    theirs = WhisperForAudioClassification(WhisperConfig(**SIZES, classifier_proj_size=8, num_labels=7)).eval()
    ours = Classifier(WhisperEncoder(theirs.config), 8).eval()
    ours.whisper.layers = theirs.encoder
    ours.head[0], ours.head[1] = theirs.projector, theirs.classifier
    mel = ours.log_mel(waves(30))
    with torch.no_grad():
        assert torch.allclose(ours(mel), theirs(mel.values).logits, atol=1e-5)


def test_an_utterance_is_classified_alike_alone_and_in_a_batch(place):
    model, given = start(place).eval(), waves(0.4, 2.0, 1.1)
    with torch.no_grad():
        together = model(model.log_mel(given))
        alone = torch.cat([model(model.log_mel([wave])) for wave in given])
    assert torch.allclose(together, alone, atol=1e-5) and (alone[0] - alone[1]).abs().max() > 1e-3


class Stopped(ClassifierObjective):
    """Asks its own process to stop after some steps, once."""

    stop_after = None

    def update_ema(self, step):
        if step == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)


def study(place, out, stop_after=None, keep_features=False):
    """Train a few steps; return how the training ended, and what it has learnt."""
    items = [read_items(place / "data" / name, []) for name in ("train", "valid")]
    sizes = ClassifierBatchConfig(seconds=6.0, utterances=4, keep_features=keep_features)
    objective = Stopped(start(place, whisper_dropout=0.1), ClassifierMaterial(*items, sizes, SpecAugment()), 3)
    objective.stop_after = stop_after
    try:
        train(objective, OptimConfig(lr=1e-3), TrainConfig(epochs=2, valid_every=3, save_every=100), out)
    except SystemExit as end:
        return end.code, None
    return 0, checkpoint.load(checkpoint.newest(out / "checkpoints"))


def test_interrupted_training_gives_the_same_bits(place, tmp_path):
    assert study(place, tmp_path / "twice", stop_after=2) == (REQUEUE_STATUS, None)
    (_, (one, moments, state)), (_, two) = study(place, tmp_path / "whole"), study(place, tmp_path / "twice")
    assert state == two[2] and state["step"] >= 8
    assert all(torch.equal(tensor, two[0]["trained"][name]) for name, tensor in one["trained"].items())
    assert all(torch.equal(tensor, two[1][name]) for name, tensor in moments.items())
    assert {name.split(".")[1] for name in one["trained"]} == {"whisper", "head"}


def test_kept_spectrograms_give_the_same_training(place, tmp_path):
    (_, one), (_, two) = study(place, tmp_path / "one"), study(place, tmp_path / "two", keep_features=True)
    trained = [result[0]["trained"] for result in (one, two)]
    assert all(torch.allclose(tensor, trained[1][name], atol=1e-6) for name, tensor in trained[0].items())


def test_a_damaged_or_other_folder_is_refused_in_one_line(place, tmp_path):
    with pytest.raises(ValueError, match="finish train_classifier first"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="not a classifier of the seven emotions"):
        load_classifier(place / "whisper")
    model = start(place)
    save_classifier(model, tmp_path)
    read = load_classifier(tmp_path)
    assert all(torch.equal(tensor, read.state_dict()[name]) for name, tensor in model.state_dict().items())
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged"):
        load_classifier(tmp_path)
    model.head[0].weight.data[0, 0] = float("nan")
    save_classifier(model, tmp_path)
    with pytest.raises(ValueError, match="NaN"):
        load_classifier(tmp_path)


def train_words(place, out):
    return [
        "train-classifier", "--train", place / "data/train", "--valid", place / "data/valid", "--out", out,
        "--model.whisper", place / "whisper", "--model.dim", 16, "--optim.lr", "3e-3", "--batches.keep_features=true",
        "--training.epochs", 6, "--training.valid_every", 1000,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """A classifier of loud and quiet noise."""
    out = tmp_path_factory.mktemp("trained") / "classifier"
    run_entry(*train_words(place, out), check=True)
    return out


def test_it_learns_loud_from_quiet(place, trained):
    model, labels = load_classifier(trained), read_table(place / "data/valid/utt2emo")
    for name, path in read_table(place / "data/valid/wav.scp").items():
        with torch.no_grad():
            logits = model(model.log_mel([soundfile.read(path, dtype="float32")[0]]))
        assert EMOTIONS[int(logits.argmax())] == labels[name]
    assert (trained / "config.yaml").exists() and (trained / "curves.png").exists()


def test_bad_input_is_one_line(place, tmp_path):
    done = run_entry(*train_words(place, tmp_path / "x"), "--model.whisper", "tools/models/none")
    assert done.returncode == 1 and "tools/models/none: no Whisper here; run make small" in done.stderr
    assert done.stderr.count("\n") == 1
    data = tmp_path / "raw"
    data.mkdir()
    for name in ("wav.scp", "utt2spk"):
        write_table(data / name, read_table(place / "data/train" / name))
    done = run_entry(*train_words(place, tmp_path / "x"), "--train", data)
    assert done.returncode == 1 and "no emotion in raw/utt2emo; complete it" in done.stderr.splitlines()[-1]
    write_table(data / "utt2emo", dict.fromkeys(read_table(data / "wav.scp"), "boredom"))
    done = run_entry(*train_words(place, tmp_path / "x"), "--train", data)
    assert done.returncode == 1 and "unknown emotion 'boredom'" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "x/config.json").exists()
