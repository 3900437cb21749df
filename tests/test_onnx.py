"""ONNX: the file answers as torch does at any length and in any batch, says what it takes, and runs without torch."""

import itertools
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from entry import run_entry
from markdown_blocks import blocks
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from c2ser.corpus import Utterance
from c2ser.data.collate import pad_waves
from c2ser.emotion2vec.checkpoints import LABELS, read_published
from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec, embed
from c2ser.emotion2vec.onnx_check import compare_on_speech, difference_on_noise
from c2ser.emotion2vec.onnx_export import export_onnx
from c2ser.emotion2vec.probe import Probe, TrainedProbe
from c2ser.emotion2vec.probe_files import load_probe, save_probe, weights_sha256
from c2ser.emotion2vec.speech_classifier import load_speech_classifier
from c2ser.label_sets import SEVEN
from c2ser.model.head_folder import save_head
from c2ser.model.head_model import load_exportable
from c2ser.model.head_network import HeadNetwork
from c2ser.model.speech_encoders import read_encoder
from c2ser.prep.writer import write_corpus

pytestmark = pytest.mark.xdist_group("onnx")  # exporting takes a minute, once

EMOTIONS = ["anger", "neutral", "sadness"]
SECONDS = (0.5, 1, 4, 11, 30)
CONVS = [[32, 10, 5], *([16, 3, 2] for _ in range(4)), [16, 2, 2], [16, 2, 2]]
SIZES = {"dim": 32, "heads": 4, "inner": 64, "prenet_depth": 1, "depth": 2, "position_depth": 2, "position_groups": 4}


def encoder(**changes):
    torch.manual_seed(0)
    model = Emotion2Vec(Emotion2VecConfig(convs=CONVS, **{**SIZES, **changes}))
    with torch.no_grad():  # weights so small as at the start of a training hide errors
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def write_probe(folder, dim=32, **changes):
    torch.manual_seed(1)
    network = Probe(dim, 16, len(EMOTIONS))
    with torch.no_grad():
        network.output.weight.mul_(20)  # else all probabilities are about a third
    save_probe(TrainedProbe(network.eval(), EMOTIONS, ProbeConfig(hidden=16), 0.5, 3, **changes), folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with Emotion2Vec-S and its probe, and a file as emotion2vec+ has it: a head, ALiBi for each layer."""
    folder = tmp_path_factory.mktemp("on nx")
    save_model(encoder(), folder / "e2v")
    write_probe(folder / "probe", encoder=weights_sha256(folder / "e2v"))
    plus = encoder(alibi_per_layer=True, decoder_layers=0).state_dict()
    plus |= {"proj.weight": torch.randn(len(LABELS), 32), "proj.bias": torch.randn(len(LABELS))}
    torch.save({"model": {f"d2v_model.{name}": value for name, value in plus.items()}}, folder / "plus.pt")
    return folder


def load(place, name):
    if name == "whisper":
        return load_exportable(place / "whisper_head")
    return load_speech_classifier(place / "plus.pt") if name == "plus" else load_speech_classifier(
        place / "e2v", place / "probe"
    )  # fmt: skip


def noise(*seconds, seed=0):
    generator = np.random.default_rng(seed)
    return [(0.1 * generator.normal(size=int(s * 16000))).astype(np.float32) for s in seconds]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory of three recordings, one of which is shorter than a frame."""
    folder = tmp_path_factory.mktemp("data")
    for name, samples in zip("abc", noise(0.6, 1.1, 0.02), strict=True):
        soundfile.write(folder / f"{name}.wav", samples, 16000, subtype="PCM_16")
    made = [Utterance("test", "s", n, folder / f"{n}.wav", e, "en", "") for n, e in zip("abc", EMOTIONS, strict=True)]
    write_corpus(made, folder / "data")
    return folder / "data/test"


# ---- the classifier in torch


def test_a_classifier_with_a_probe_gives_what_the_probe_gives_of_embeddings(place):
    classifier, waves = load(place, "probe"), noise(0.5, 2.3, 1.1)
    rows = [torch.from_numpy(matrix) for matrix in embed(classifier.encoder.model, waves, "frame")]
    states = [torch.nn.functional.layer_norm(row, row.shape) for row in rows]
    with torch.no_grad():
        expected = load_probe(place / "probe").network(states).softmax(dim=1).numpy()
    assert np.abs(classifier.classify(waves) - expected).max() < 1e-5
    assert np.abs(np.concatenate([classifier.classify([wave]) for wave in waves]) - expected).max() < 1e-5
    assert expected.max() > 0.5, "the probabilities are all alike, so that the test shows nothing"
    classifier.normalise = False
    with torch.no_grad():
        expected = load_probe(place / "probe").network(rows).softmax(dim=1).numpy()
    assert np.abs(classifier.classify(waves) - expected).max() < 1e-5


def test_a_classifier_with_a_head_gives_what_the_published_file_gives(place):
    waves = noise(0.5, 2.3)
    expected = read_published(place / "plus.pt").classify(*pad_waves(waves)).numpy()
    classifier = load(place, "plus")
    assert classifier.labels == [*LABELS] and np.abs(classifier.classify(waves) - expected).max() < 1e-6


def test_what_does_not_belong_together_is_refused(place, tmp_path):
    for source in ("e2v", "none.pt"):
        with pytest.raises(ValueError, match=f"{source}: has no classifier of its own; give a probe"):
            load_speech_classifier(place / source)
    save_model(encoder(depth=1), tmp_path / "other")
    with pytest.raises(ValueError, match="probe: was trained on another encoder than .*other; give that one"):
        load_speech_classifier(tmp_path / "other", place / "probe")
    write_probe(tmp_path / "wide", dim=48)
    with pytest.raises(ValueError, match="wide: takes 48 dimensions and .*e2v gives 32; give the encoder"):
        load_speech_classifier(place / "e2v", tmp_path / "wide")
    content = torch.load(place / "plus.pt", weights_only=True)
    content["model"] |= {"d2v_model.proj.weight": torch.randn(4, 32), "d2v_model.proj.bias": torch.randn(4)}
    torch.save(content, tmp_path / "four.pt")
    with pytest.raises(ValueError, match="four.pt: its classifier has 4 classes without names"):
        load_speech_classifier(tmp_path / "four.pt")


def test_a_probe_that_does_not_know_its_encoder_is_taken_with_a_warning(place, tmp_path):
    write_probe(tmp_path / "probe", encoder=None)
    done = run_entry("export_onnx", "--model", place / "e2v", "--probe", tmp_path / "probe", "--out", tmp_path)
    assert "does not say which encoder it was trained on; make sure that it was" in done.stderr


def test_a_missing_package_is_one_line(place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python does for a package that must not be imported
    done = run_entry("export_onnx", "--model", place / "plus.pt", "--out", tmp_path / "x.onnx")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("onnxruntime: not installed; pip install 'c2ser[onnx]'\n")
    assert not list(tmp_path.iterdir())


# ---- the file


@pytest.fixture(scope="module")
def exported(place):
    """The files of both classifiers, and of the one with a probe in 8 bits."""
    words = ["export_onnx", "--model", place / "e2v", "--probe", place / "probe", "--out"]
    run_entry(*words, place / "probe.onnx", check=True)
    run_entry(*words, place / "int8.onnx", "--int8", "true", check=True)
    run_entry("export_onnx", "--model", place / "plus.pt", "--out", place / "plus.onnx", check=True)
    write_whisper(place)
    run_entry("export_onnx", "--model", place / "whisper_head", "--out", place / "whisper.onnx", check=True)
    return place


def write_whisper(folder):
    """Write a tiny Whisper, and a model of `c2ser finetune` with its encoder."""
    torch.manual_seed(2)
    sizes = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
             "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 60}  # fmt: skip
    tokens = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}
    WhisperModel(WhisperConfig(**sizes, **tokens, init_std=0.2)).save_pretrained(folder / "whisper")
    WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    network = HeadNetwork(read_encoder(str(folder / "whisper"), 2), EMOTIONS, 16)
    with torch.no_grad():
        network.head.output.weight.mul_(40)
    save_head(network, folder / "whisper_head", "emotion", SEVEN, {})


def answers(path, waves):
    padded, lengths = pad_waves(waves)
    inputs = {"waveform": padded.numpy(), "lengths": lengths.numpy()}
    return onnxruntime.InferenceSession(str(path)).run(["frames", "embedding", "probabilities"], inputs)


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize(
    ("name", "seconds"), [*itertools.product(("probe", "plus"), SECONDS), *itertools.product(["whisper"], (0.5, 30))]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_file_answers_as_torch_does(exported, name, seconds, batch):
    waves = noise(seconds, 0.6 * seconds, 0.83 * seconds, seed=batch)[:batch]
    classifier = load(exported, name)
    with torch.no_grad():
        expected = [tensor.numpy() for tensor in classifier(*pad_waves(waves))]
    for one, other in zip(answers(exported / f"{name}.onnx", waves), expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert np.abs(one - other).max() < 1e-4
    assert expected[2].max() > 1.5 / len(classifier.labels), "all classes alike: the test would show nothing"
    assert np.abs(answers(exported / f"{name}.onnx", waves[-1:])[2] - expected[2][-1]).max() < 1e-4  # as if alone


@pytest.mark.slow
def test_the_file_says_what_it_takes_and_gives(exported):
    session = onnxruntime.InferenceSession(str(exported / "probe.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"]) == EMOTIONS
    assert (about["sample_rate"], about["channels"], about["weights"]) == ("16000", "1", "float32")
    assert about["normalization"].startswith("inside the graph") and about["producer"].startswith("c2ser ")
    first, hop = int(about["min_samples"]), int(about["hop_samples"])
    for samples in (first, first + 1, first + hop - 1, first + hop, 16001):
        frames, embedding, _ = answers(exported / "probe.onnx", [noise(2)[0][:samples]])
        assert frames.shape[1] == 1 + (samples - first) // hop
        assert np.abs(frames.mean(axis=1) - embedding).max() < 1e-5
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("waveform", ["batch", "samples"]),
        ("lengths", ["batch"]),
    ]
    assert [one.shape for one in session.get_outputs()] == [["batch", "frame_count", 32], ["batch", 32], ["batch", 3]]
    loud, quiet = noise(1)[0], 0.01 * noise(1)[0] + np.float32(0.2)
    assert (
        np.abs(answers(exported / "probe.onnx", [loud])[2] - answers(exported / "probe.onnx", [quiet])[2]).max() < 1e-3
    )
    frames = answers(exported / "probe.onnx", noise(1, 0.5))[0]
    assert frames[1, 24:].max() == frames[1, 24:].min() == 0 and np.abs(frames[1, 23]).max() > 0.1
    onnx.checker.check_model(onnx.load(exported / "probe.onnx"), full_check=True)
    about = onnxruntime.InferenceSession(str(exported / "whisper.onnx")).get_modelmeta().custom_metadata_map
    assert (about["max_samples"], about["normalization"], about["batch"]) == ("480000", "none", "any")
    for samples in (int(about["min_samples"]), 479, 480, 16001):
        assert answers(exported / "whisper.onnx", [noise(2)[0][:samples]])[0].shape[1] == (samples + 160) // 320


@pytest.mark.slow
def test_the_8_bit_file_is_smaller_and_answers_nearly_the_same(exported):
    model = onnx.load(exported / "int8.onnx")
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("MatMulInteger") >= 3 * 4 and "ConvInteger" not in operators
    about = {one.key: one.value for one in model.metadata_props}
    assert about["weights"] == "int8" and json.loads(about["labels"]) == EMOTIONS
    waves = noise(0.6, 2.0)
    difference = np.abs(answers(exported / "int8.onnx", waves)[2] - answers(exported / "probe.onnx", waves)[2]).max()
    assert 0 < difference < 0.1
    assert (exported / "int8.onnx").stat().st_size < (exported / "probe.onnx").stat().st_size


@pytest.mark.slow
def test_a_file_that_answers_differently_is_seen_and_not_written(exported, tmp_path, monkeypatch):
    classifier = load(exported, "probe")
    assert difference_on_noise(classifier, (exported / "probe.onnx").read_bytes()) < 1e-5
    with torch.no_grad():
        classifier.head.output.bias[0] += 0.5
    assert difference_on_noise(classifier, (exported / "probe.onnx").read_bytes()) > 0.01
    monkeypatch.setattr("c2ser.emotion2vec.onnx_export.TOLERANCE", 0.0)
    with pytest.raises(ValueError, match="x.onnx: not written, since it differs from torch by"):
        export_onnx(classifier, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_file_is_compared_with_torch_on_speech(exported, data):
    classifier = load(exported, "probe")
    figures = compare_on_speech(classifier, exported / "probe.onnx", data)
    assert figures["utterances"] == 3 and figures["other_labels"] == 0 and figures["difference"] < 1e-4
    labels = [
        EMOTIONS[int(classifier.classify([soundfile.read(data.parents[1] / f"{n}.wav", dtype="float32")[0]]).argmax())]
        for n in "ab"
    ]
    right = sum(label == emotion for label, emotion in zip(labels, EMOTIONS, strict=False))
    assert figures["ua_torch"] == figures["ua_onnx"] == pytest.approx(right / 3)  # what cannot be read is wrong
    with pytest.raises(ValueError, match="utt2emo: anger is no class of the model, which has angry, disgusted"):
        compare_on_speech(load(exported, "plus"), exported / "plus.onnx", data)


@pytest.mark.slow
def test_the_command_compares_on_speech_and_names_what_it_rejects(exported, data, tmp_path):
    words = ["--model", exported / "e2v", "--probe", exported / "probe", "--out", tmp_path / "x.onnx", "--data", data]
    done = run_entry("export_onnx", *words, check=True)
    assert "rejected: s-c: 320 samples, under the encoder's 400; remove it" in done.stderr
    assert "0 of 3 utterances get another label" in done.stderr and "Warning" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.slow
def test_the_runner_of_the_docs_needs_onnxruntime_and_numpy_alone(exported, data, root, tmp_path):
    (runner,) = [block.text for block in blocks(root / "docs/onnx.md") if block.language == "python"]
    (tmp_path / "emotion.onnx").write_bytes((exported / "probe.onnx").read_bytes())
    speech = data.parents[1] / "b.wav"
    (tmp_path / "speech.wav").write_bytes(speech.read_bytes())
    without = "import sys; sys.modules |= dict.fromkeys(('torch', 'c2ser', 'soundfile', 'onnx', 'scipy', 'librosa'))\n"
    done = subprocess.run([sys.executable, "-c", without + runner], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = load(exported, "probe").classify([soundfile.read(speech, dtype="float32")[0]])[0]
    name, label, shown = done.stdout.split(maxsplit=2)
    assert (name, label) == ("speech.wav", EMOTIONS[int(expected.argmax())])
    assert json.loads(shown.replace("'", '"')) == pytest.approx(
        dict(zip(EMOTIONS, expected.tolist(), strict=True)), abs=1e-3
    )
    soundfile.write(tmp_path / "speech.wav", np.zeros(16000), 16000, subtype="PCM_16")
    done = subprocess.run([sys.executable, "-c", runner], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "speech.wav: too short, or silence" in done.stderr
