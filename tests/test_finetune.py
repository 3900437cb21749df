"""`c2ser finetune`: encoders of all kinds with a head, frozen, with adapters or trained; the folder and its users."""

import json
import os
import signal

import numpy as np
import pytest
import soundfile
import torch
from entry import run_entry
from torch.nn.functional import layer_norm
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)
from voices import voice

import c2ser
from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.data.targets import target_names
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.encoders import load_encoder
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.head_folder import load_head, save_head
from c2ser.model.head_model import HeadModel
from c2ser.model.head_network import HeadNetwork
from c2ser.model.speech_encoders import read_encoder
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_json, read_table, write_json, write_table
from c2ser.training import checkpoint
from c2ser.training.config import HeadBatchConfig, HeadTrainConfig, OptimConfig, TrainConfig
from c2ser.training.finetune_run import FinetuneConfig, finetune
from c2ser.training.finetune_sets import FinetuneSets
from c2ser.training.head_objective import HeadMaterial, HeadObjective
from c2ser.training.loop import REQUEUE_STATUS, train

WAV2VEC2 = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48, "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "initializer_range": 0.2,
}  # fmt: skip
FOREIGN = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model, {}),
    "large": (Wav2Vec2Config, Wav2Vec2Model, {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
    "wavlm": (WavLMConfig, WavLMModel, {}),
    "hubert": (HubertConfig, HubertModel, {}),
}
KINDS = ["whisper", "e2v", *FOREIGN]

TWO = LabelSet(("anger", "calm"))

CLASSES = {"anger": 0.9, "calm": 0.01}
"""Loudness by class; calm is none of the seven."""


def describe(folder):
    """Voices of eight speakers, loud and quiet; votes and arousal that follow the loudness."""
    draws = np.random.default_rng(0)
    for number in range(48):
        speaker, emotion = f"s{number // 6}", ("anger", "calm")[number % 2]
        path, loudness = folder / f"{number}.wav", CLASSES[emotion] * draws.uniform(0.5, 1.0)
        soundfile.write(path, loudness * voice(0.4 + 0.05 * (number % 5), 95 + 5 * (number // 6)), 16000)
        votes = {"anger": 3.0, "calm": 1.0} if emotion == "anger" else {"calm": 4.0}
        place = {"arousal": 4 + np.log10(loudness), "valence": 2.5}
        yield Utterance("test" if number >= 36 else "train", speaker, f"{number:02d}", path, emotion, "en", "",
                        votes=votes, dimensions=place)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data, and a random encoder of each kind."""
    folder = tmp_path_factory.mktemp("fine tune")
    write_corpus(describe(folder), folder / "data", labels="raw")
    torch.manual_seed(0)
    sizes = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
             "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 60}  # fmt: skip
    tokens = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}
    WhisperModel(WhisperConfig(**sizes, **tokens, init_std=0.2)).save_pretrained(folder / "whisper")
    WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    small = {"dim": 32, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    save_model(Emotion2Vec(Emotion2VecConfig(**small, convs=[[16, 320, 160], [16, 2, 2]])), folder / "e2v")
    for name, (config, kind, changes) in FOREIGN.items():
        kind(config(**WAV2VEC2, **changes)).save_pretrained(folder / name)
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / name)
    return folder


def waves(*seconds):
    generator = np.random.default_rng(0)
    return [generator.normal(size=int(16000 * s)).astype(np.float32) * 0.1 for s in seconds]


def network(place, kind, tuning="frozen", layer=None, outputs=("anger", "calm")):
    torch.manual_seed(1)
    made = HeadNetwork(read_encoder(str(place / kind), layer), outputs, 8)
    made.tune(tuning, 2)
    return made.eval()


def outputs_of(model, given):
    with torch.no_grad():
        return model([model.prepare(wave) for wave in given])


# --- encoders


@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_gives_the_same_alone_and_in_a_batch(place, kind):
    model, given = network(place, kind), waves(0.4, 1.0, 0.7)
    alone = torch.cat([outputs_of(model, [wave]) for wave in given])
    assert torch.allclose(outputs_of(model, given), alone, atol=1e-5) and (alone[0] - alone[1]).abs().max() > 1e-5


@pytest.mark.parametrize("kind", ["e2v", *FOREIGN])
def test_states_are_those_of_extracted_embeddings(place, kind):
    layer, given = (None if kind == "e2v" else 2), waves(0.4, 1.0)
    model = network(place, kind, layer=layer)
    with torch.no_grad():
        states = model.encode([model.prepare(wave) for wave in given])
    expected = [torch.from_numpy(rows) for rows in load_encoder(str(place / kind), layer=layer).embed(given, "frame")]
    if kind == "large":  # its norm after the last layer would not fit another layer
        expected = [layer_norm(rows, rows.shape[1:]) for rows in expected]
    assert all(torch.allclose(ours, theirs, atol=2e-5) for ours, theirs in zip(states, expected, strict=True))


def test_whisper_keeps_its_first_half_unless_told(place):
    assert [len(network(place, "whisper", layer=n).encoder.layers()) for n in (None, 1, 2)] == [1, 1, 2]
    with pytest.raises(ValueError, match="has no layer 3; give 0 to 2"):
        network(place, "whisper", layer=3)
    with pytest.raises(ValueError, match="layer 0 is what enters the first one"):
        network(place, "hubert", layer=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_adapter_learns_and_the_folder_gives_the_same(place, kind, tmp_path):
    model, given = network(place, kind, "lora"), waves(0.4, 0.6)
    model.train()
    model([model.prepare(wave) for wave in given]).square().sum().backward()
    adapters = {name: p for name, p in model.named_parameters() if ".lora_B" in name}
    assert len(adapters) >= 2 and all(p.grad.abs().max() > 0 for p in adapters.values())
    assert not any(p.requires_grad for name, p in model.encoder.named_parameters() if ".lora_" not in name)
    before = outputs_of(model.eval(), given)
    with torch.no_grad():
        for parameter in adapters.values():
            parameter.normal_(0, 0.1)
    adapted = outputs_of(model, given)
    assert (adapted - before).abs().max() > 1e-4
    save_head(model, tmp_path, "emotion", TWO, {"encoder": "x"})
    read, target, labels = load_head(tmp_path)
    assert (target, labels) == ("emotion", TWO) and torch.allclose(outputs_of(read, given), adapted, atol=1e-5)
    assert not any("lora" in name for name in read.state_dict())


def test_a_damaged_or_other_folder_is_refused_in_one_line(place, tmp_path):
    with pytest.raises(ValueError, match="give another, or finish its training"):
        load_head(tmp_path)
    with pytest.raises(ValueError, match="no model of c2ser finetune"):
        load_head(place / "whisper")
    model = network(place, "whisper")
    save_head(model, tmp_path, "emotion", TWO, {})
    described = read_json(tmp_path / "config.json")
    for change, reason in (
        ({"encoder": {"kind": "sphinx", "config": {}}}, "no kind of encoder"), ({"hidden": 9}, "has shape"),
        ({"outputs": ["anger"]}, "has shape"),
        ({"outputs": ["anger", "joy"]}, "joy is none of its classes"),
        ({"target": "mood"}, "unknown target"), ({"encoder": {}}, "is missing"),
    ):  # fmt: skip
        write_json(tmp_path / "config.json", {**described, **change})
        with pytest.raises(ValueError, match=rf"^{tmp_path}: damaged \(.*{reason}"):
            load_head(tmp_path)
    write_json(tmp_path / "config.json", described)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-9])
    with pytest.raises(ValueError, match="missing or damaged"):
        load_head(tmp_path)
    model.head.output.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="head.output.bias holds NaN or Inf; its training diverged"):
        save_head(model, tmp_path, "emotion", TWO, {})


# --- training


class Stopped(HeadObjective):
    """Asks its own process to stop after some steps, once."""

    stop_after = None

    def update_ema(self, step):
        if step == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)


def study(place, out, target="emotion", tuning="lora", stop_after=None, epochs=2, lr=1e-3, **sizes):
    """Train; return how the training ended, what it has learnt, and the objective."""
    items = read_items(place / "data/train", [])
    held_out = {name: item for name, item in items.items() if name.startswith("s5")}
    learnt = {name: item for name, item in items.items() if name not in held_out}
    names = target_names({name: item.utterance for name, item in learnt.items()}, target)
    batches = HeadBatchConfig(seconds=6.0, utterances=8, **sizes)
    masks = SpecAugment() if tuning == "full" else None
    objective = Stopped(
        network(place, "whisper", tuning, outputs=names), HeadMaterial(learnt, held_out, target, batches, masks), 3
    )
    objective.stop_after = stop_after
    training = TrainConfig(epochs=epochs, valid_every=1000, save_every=100)
    try:
        best = train(objective, OptimConfig(lr=lr, warmup=0.1), training, out)
    except SystemExit as end:
        return end.code, None, None
    return best, checkpoint.load(checkpoint.newest(out / "checkpoints")), objective


def test_interrupted_training_gives_the_same_bits(place, tmp_path):
    assert study(place, tmp_path / "twice", stop_after=2)[0] == REQUEUE_STATUS
    (_, (one, moments, state), _), (_, two, _) = study(place, tmp_path / "whole"), study(place, tmp_path / "twice")
    assert state == two[2] and state["step"] >= 8
    assert all(torch.equal(tensor, two[0]["trained"][name]) for name, tensor in one["trained"].items())
    assert all(torch.equal(tensor, two[1][name]) for name, tensor in moments.items())
    assert all(".lora_" in name or name.startswith("model.head.") for name in one["trained"])


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_kept_features_give_the_same_training(place, tmp_path, tuning):
    trained = []
    for keep in (False, True):
        _, (tensors, _, _), objective = study(place, tmp_path / str(keep), tuning=tuning, epochs=1, keep_features=keep)
        trained.append(tensors["trained"])
        assert len(objective.feature_cache) == 36 * keep
    assert all(torch.allclose(tensor, trained[1][name], atol=1e-6) for name, tensor in trained[0].items())
    assert any(name.startswith("model.encoder") for name in trained[0]) == (tuning == "full")


def test_votes_are_learnt_as_a_distribution(place, tmp_path):
    _, (_, _, state), objective = study(place, tmp_path, "votes", "frozen", epochs=15, lr=1e-2)
    scores = [row["valid/score"] for row in state["history"] if "valid/score" in row]
    assert scores[-1] > scores[0] and scores[-1] > -0.02  # minus the divergence, in nats
    model = HeadModel(objective.model, "votes")
    loud = model.outputs({"loud": 0.7 * voice(0.5)})["loud"]
    assert loud == pytest.approx([0.75, 0.25], abs=0.12)


def test_the_temperature_of_a_head_is_fitted_to_votes(place, tmp_path):
    config = FinetuneConfig(str(place / "whisper"), hidden=8, target="votes", training=HeadTrainConfig(epochs=2))
    sets = FinetuneSets(place / "data/train", place / "data/test", ())
    finetune(sets, config, tmp_path, score=False)
    fitted = read_json(tmp_path / "calibration.json")
    assert fitted["utterances"] == 12 and fitted["nll_after"] <= fitted["nll_before"]
    head = HeadModel.from_pretrained(tmp_path)
    assert head.temperature == fitted["temperature"] != 1
    waves = {name: soundfile.read(one.wav, dtype="float32")[0] for name, one in read_data_dir(sets.valid).items()}
    votes = {name: one.votes for name, one in read_data_dir(sets.valid).items()}
    found = {name: dict(zip(head.classes, row, strict=True)) for name, row in head.outputs(waves).items()}
    told = -np.mean([votes[i].get(c, 0) / 4 * np.log(share) for i, row in found.items() for c, share in row.items()])
    assert 2 * told == pytest.approx(fitted["nll_after"], abs=1e-4)  # a mean over two classes


def test_dimensions_come_back_on_their_scale(place, tmp_path):
    _, _, objective = study(place, tmp_path, "dimensions", "frozen", epochs=30, lr=1e-2)
    assert objective.model.outputs == ["valence", "arousal"]
    objective.finish()
    model = HeadModel(objective.model, "dimensions")
    arousal = {}
    for name, utterance in read_data_dir(place / "data/test").items():
        row = model.outputs({name: soundfile.read(utterance.wav, dtype="float32")[0]})[name]
        arousal[name] = (utterance.dimensions["arousal"], row[1])
    true, found = np.array([*arousal.values()]).T
    ccc = 2 * np.cov(true, found, bias=True)[0, 1] / (true.var() + found.var() + (true.mean() - found.mean()) ** 2)
    assert ccc >= 0.9


# --- the command


@pytest.fixture(scope="module")
def finetuned(place, tmp_path_factory):
    """The folder of a model that tells loud from quiet voices, and what the command said."""
    out = tmp_path_factory.mktemp("model") / "loud or quiet"
    options = ["--encoder", place / "whisper", "--lora", 2, "--hidden", 8, "--optim.lr", "1e-2", "--training.epochs", 4]
    done = run_entry("finetune", place / "data", "--out", out, *options, check=True)
    return out, done.stderr


def test_one_command_makes_a_model_with_scores_report_and_card(place, finetuned):
    out, said = finetuned
    assert "no validation set: 12 of 36 utterances, those of 2 of 6 speakers" in said
    split = {name: read_table(out / f"data/{name}/utt2spk") for name in ("train", "valid")}
    assert not {*split["train"].values()} & {*split["valid"].values()} and len(split["train"]) == 24
    figures = read_json(out / "decode_test/scores.json")
    assert figures["ua"] == 1.0 and set(figures["per_emotion"]) == {"anger", "calm"} and figures["speakers"] == 2
    assert read_table(out / "decode_test/utt2emo") == read_table(place / "data/test/utt2emo")
    assert read_json(out / "config.json")["outputs"] == ["anger", "calm"]
    assert 0.05 <= read_json(out / "calibration.json")["temperature"] <= 20
    card, page = ((out / name).read_text("utf-8") for name in ("README.md", "report.html"))
    assert "| outputs | anger, calm |" in card and "| train | 12 | 12 | 24 |" in card and "| test | 100.0 [" in card
    assert "decode_test" not in page and "calm" in page and "24 of 24" in page  # recordings of both sets


def test_its_model_predicts_everywhere(finetuned, tmp_path):
    out, _ = finetuned
    soundfile.write(tmp_path / "loud.wav", 0.7 * voice(1.0), 16000)
    done = run_entry("predict", "--model", out, tmp_path / "loud.wav", check=True)
    heading, row = (line.split("\t") for line in done.stdout.splitlines())
    assert heading[5:] == ["emotion", "anger", "calm", "answer", "differs"] and row[5] == "anger"
    model = c2ser.load(out)
    assert model.classes == ("anger", "calm") and model.predict(tmp_path / "loud.wav").emotion == "anger"
    with pytest.raises(ValueError, match="gives no answers"):
        model.recogniser(style="explicit")
    quiet, loud = 0.005 * np.tile(voice(1.0), 25), 0.7 * np.tile(voice(1.0), 25)
    long = np.concatenate([quiet, np.zeros(8000, np.float32), loud])
    found = model.outputs({"long": long, "quiet": quiet, "loud": loud})
    assert np.abs(found["long"] - (found["quiet"] + found["loud"]) / 2).max() < 0.1
    assert found["long"].sum() == pytest.approx(1)


def test_dimensions_are_printed_without_an_emotion(place, tmp_path):
    save_head(network(place, "e2v", outputs=("valence", "arousal")), tmp_path, "dimensions", SEVEN, {})
    soundfile.write(tmp_path / "a.wav", voice(1.0), 16000)
    done = run_entry("predict", "--model", tmp_path, "--format", "json", tmp_path / "a.wav", check=True)
    (told,) = json.loads(done.stdout)
    assert told["emotion"] == "" and {*told["probabilities"]} == {"valence", "arousal"}
    done = run_entry("predict", "--model", tmp_path, tmp_path / "a.wav", check=True)
    assert done.stdout.splitlines()[1].split("\t")[5] == ""
    done = run_entry("export-onnx", "--model", tmp_path, "--out", tmp_path / "x.onnx")
    assert done.returncode == 1 and "gives dimensions" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_with_a_head_is_one_graph(place, kind, tmp_path):
    from c2ser.model.head_model import load_exportable

    model = network(place, kind)
    with torch.no_grad():
        model.head.output.weight.mul_(20)  # else both probabilities are about a half
    save_head(model, tmp_path, "emotion", TWO, {})
    write_json(tmp_path / "calibration.json", {"temperature": 0.5})
    given = waves(0.5, 0.9, 0.0133)  # the last has two frames of Whisper
    expected = c2ser.load(tmp_path).outputs(dict(zip("abc", given[: 3 if kind == "whisper" else 2], strict=False)))
    classifier = load_exportable(tmp_path)
    assert classifier.labels == ["anger", "calm"] and (len(classifier.groups(given)) == 1) == (
        kind in ("whisper", "e2v")
    )
    found = classifier.classify(given[: len(expected)])
    assert np.allclose(found, [*expected.values()], atol=1e-5) and np.ptp(np.diff(np.log(found))) > 0.01


def test_a_model_with_a_head_takes_no_probe(place, tmp_path):
    save_head(network(place, "whisper"), tmp_path / "w", "emotion", TWO, {})
    done = run_entry("export-onnx", "--model", tmp_path / "w", "--probe", tmp_path, "--out", tmp_path / "x.onnx")
    assert done.returncode == 1 and "has a head of its own" in done.stderr


@pytest.mark.slow
def test_a_trained_c2ser_learns_own_classes(place, tmp_path):
    from c2ser.cot.prompts import SENTENCES
    from c2ser.model.c2ser import C2SER
    from c2ser.model.config import C2SERConfig, ConnectorConfig, TinyLlm, TinyWhisper
    from c2ser.model.tiny import make_tiny_models

    texts = {f"{name}-{code}": text.format(emotion=name) for code, text in SENTENCES["implicit"].items()
             for name in (*EMOTIONS, "calm")}  # fmt: skip
    write_table(tmp_path / "cot/cot_implicit", texts)
    make_tiny_models(tmp_path / "cot", tmp_path, TinyWhisper(32, 1, 2), TinyLlm(32, 2, 2, vocabulary=360), seed=1)
    parts = {"whisper": str(tmp_path / "whisper"), "llm": str(tmp_path / "llm"), "emotion2vec": None}
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
    C2SER.build(C2SERConfig(connector=connector, style="implicit", **parts)).save_pretrained(tmp_path / "trained")
    words = ["finetune", place / "data", "--model", tmp_path / "trained", "--out", tmp_path / "out"]
    run_entry(*words, "--training.epochs", 1, check=True)
    assert c2ser.load(tmp_path / "out").classes == ("anger", "calm")
    figures = read_json(tmp_path / "out/decode_test/scores.json")
    assert figures["utterances"] == 12 and (tmp_path / "out/report.html").exists()
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert f"| test | {100 * figures['ua']:.1f} |" in card and "in words" not in card and str(place) not in card
    assert {*read_table(tmp_path / "out/decode_test/utt2prob")} == {*read_table(place / "data/test/utt2emo")}
    assert 0.05 <= read_json(tmp_path / "out/calibration.json")["temperature"] <= 20
    for options, reason in (
        (["--lora", 2], "of a C²SER is trained what was"),
        (["--target", "dimensions"], "leave --model"),
    ):
        done = run_entry(*words, *options)
        assert done.returncode == 1 and reason in done.stderr.splitlines()[-1]
    done = run_entry(*words, "--model", place / "whisper")
    assert done.returncode == 1 and "no C²SER model" in done.stderr.splitlines()[-1]


def test_bad_input_is_one_line(place, tmp_path):
    def refused(*words, encoder="whisper"):
        done = run_entry("finetune", *words, "--out", tmp_path / "x", "--encoder", place / encoder)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert not (tmp_path / "x/config.json").exists()
        return done.stderr.splitlines()[-1]

    assert "neither a data directory nor a folder with train/" in refused(tmp_path)
    assert "three ways to train an encoder" in refused(place / "data", "--lora", 2, "--full")
    assert "no rank of adapters" in refused(place / "data", "--lora", 0)
    assert "one data set makes one model" in refused(place / "data", place / "data/test")
    assert "two sets have this name" in refused(place / "data", "--valid", place / "data/test")
    assert "masks spectrograms" in refused(place / "data", "--spec_augment.time_masks", 1, encoder="hubert")
    given = [Utterance("train", "s", str(i), place / f"{i}.wav", "anger", "en", "") for i in range(2)]
    write_corpus(given, tmp_path / "one")
    assert "one speaker alone" in refused(tmp_path / "one")
    valid = ["--valid", place / "data/test"]
    assert "no votes in train/utt2votes" in refused(tmp_path / "one", *valid, "--target", "votes")
    assert "no dimensions in train/utt2vad" in refused(tmp_path / "one", *valid, "--target", "dimensions")
    assert "anger alone" in refused(tmp_path / "one", *valid)
