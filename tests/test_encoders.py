"""Encoders of transformers: the entry point gives what transformers gives for one utterance; data2vec 2.0; refusals."""

import functools
import io
import json
import os
import pickle
import shutil

import numpy as np
import pytest
import soundfile
import torch
from entry import run_entry
from transformers import (
    BertConfig,
    BertModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from c2ser.data.arks import ArkWriter, read_matrices, read_matrix
from c2ser.emotion2vec.config import EmbeddingBatchConfig, Emotion2VecConfig
from c2ser.emotion2vec.convert import load_model
from c2ser.emotion2vec.embeddings import extract_embeddings
from c2ser.emotion2vec.encoders import load_encoder
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.speech_encoders import read_encoder
from c2ser.tables import read_table

SIZES = {
    "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def wavlm():
    return WavLMModel(WavLMConfig(**SIZES))


def hubert():
    return HubertModel(HubertConfig(**SIZES, feat_extract_norm="group"))


def data2vec():
    return Data2VecAudioModel(Data2VecAudioConfig(**SIZES, conv_pos_kernel_size=5))


def wav2vec2():
    return Wav2Vec2ForCTC(Wav2Vec2Config(**SIZES, vocab_size=8, feat_extract_norm="layer", do_stable_layer_norm=True))


def whisper():
    numbers = {"layers": 3, "attention_heads": 2}
    sizes = {f"{side}_{name}": number for side in ("encoder", "decoder") for name, number in numbers.items()}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(d_model=16, vocab_size=50, max_source_positions=150, **sizes, **tokens)
    return WhisperForConditionalGeneration(config)


def w2v_bert():
    sizes = {
        name: SIZES[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    }
    return Wav2Vec2BertModel(Wav2Vec2BertConfig(**sizes))


MODELS = {
    "wavlm": wavlm,
    "hubert": hubert,
    "data2vec": data2vec,
    "wav2vec2": wav2vec2,
    "whisper": whisper,
    "w2v_bert": w2v_bert,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders as the hub has them: tiny, with random weights."""
    root = tmp_path_factory.mktemp("mo dels")
    for name, make in MODELS.items():
        torch.manual_seed(0)
        make().save_pretrained(root / name)
        if name == "whisper":
            WhisperFeatureExtractor(chunk_length=3).save_pretrained(root / name)
        elif name == "w2v_bert":
            SeamlessM4TFeatureExtractor(padding_value=1).save_pretrained(root / name)
        else:
            Wav2Vec2FeatureExtractor(do_normalize=name != "hubert").save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def waves():
    generator = np.random.default_rng(0)
    sizes = {"s-a": 8000, "s-b": 20000, "s-c": 13123}
    return {n: (0.02 + 0.1 * generator.normal(size=size)).astype(np.float32) for n, size in sizes.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory, waves):
    folder = tmp_path_factory.mktemp("data")
    sounds = {**waves, "s-long": np.tile([0.1, -0.1], 32000)}
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16000, subtype="FLOAT")
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in sorted(sounds)))
    (folder / "utt2spk").write_text("".join(f"{name} s\n" for name in sorted(sounds)))
    return folder


def extract(root, data, model, out, *words, check=True):
    words = ["--model", model, "--data", data, "--out", out, *words]
    return run_entry("extract_embeddings", *words, check=check, CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")


def direct(name, wave, normalise, layer=None):
    """What transformers gives when it is called by hand: the last states, or those after a layer."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    if name == "whisper":
        inputs = WhisperFeatureExtractor(chunk_length=3)(wave, sampling_rate=16000, return_tensors="pt")
        model, frames = model.model.encoder, len(wave) // 320
    elif name == "w2v_bert":
        inputs = SeamlessM4TFeatureExtractor(padding_value=1)(wave, sampling_rate=16000, return_tensors="pt")
        frames = int(inputs.attention_mask.sum())
    else:
        if normalise:
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        model = model.wav2vec2 if name == "wav2vec2" else model
        inputs, frames = {"input_values": torch.from_numpy(wave)[None]}, None
    output = model(**inputs, output_hidden_states=True)
    return (output.last_hidden_state if layer is None else output.hidden_states[layer])[0, :frames]


@pytest.mark.parametrize("name", ["wavlm", "whisper", "w2v_bert"])
def test_the_entry_point_gives_what_transformers_gives(root, data, models, waves, tmp_path, name):
    extract(root, data, models / name, tmp_path / "x.scp")
    table = read_table(tmp_path / "x.scp")
    found = dict(read_matrices(table, table))
    assert set(found) == set(waves) | ({"s-long"} if name != "whisper" else set())
    if name == "whisper":
        assert read_table(tmp_path / "x.scp.rejected") == {"s-long": "4.0 s, over the encoder's 3; cut it"}
    for utterance, wave in waves.items():
        with torch.no_grad():
            expected = direct(name, wave, normalise=True).numpy()
        assert found[utterance].shape == expected.shape
        assert np.abs(found[utterance] - expected).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_normalisation_is_the_models_own_and_batches_change_nothing(models, waves, name):
    encoder = load_encoder(str(models / name))
    together = encoder.embed(list(waves.values()), "frame")
    means = encoder.embed(list(waves.values()), "utterance")
    for wave, frames, mean in zip(waves.values(), together, means, strict=True):
        with torch.no_grad():
            expected = direct(name, wave, normalise=name != "hubert").numpy()
        assert np.abs(frames - expected).max() < 1e-5
        assert np.allclose(frames, encoder.embed([wave], "frame")[0], atol=1e-6)
        assert mean.shape == (1, frames.shape[1]) and np.allclose(mean[0], frames.mean(axis=0), atol=1e-5)
    if name in ("whisper", "w2v_bert"):
        return
    forced = load_encoder(str(models / name), normalise="yes" if name == "hubert" else "no")
    with torch.no_grad():
        expected = direct(name, waves["s-a"], normalise=name == "hubert").numpy()
    assert np.abs(forced.embed([waves["s-a"]], "frame")[0] - expected).max() < 1e-5
    assert np.abs(together[0] - expected).max() > 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_states_of_a_layer(models, waves, name):
    """They are transformers' own, and layers that they do not need are not there."""
    wave = waves["s-b"]
    for layer in range(4):
        encoder = load_encoder(str(models / name), layer=layer)
        with torch.no_grad():
            expected = direct(name, wave, normalise=name != "hubert", layer=layer).numpy()
        assert np.abs(encoder.embed([wave], "frame")[0] - expected).max() < 1e-5
        blocks = [module for module in encoder.model.modules() if isinstance(module, torch.nn.ModuleList)]
        assert min(layer + 1, 3) in map(len, blocks)
    with pytest.raises(ValueError, match="has no layer 4; give 0 to 3"):
        load_encoder(str(models / name), layer=4)


def test_a_layer_is_chosen_by_option(root, data, models, waves, tmp_path):
    extract(root, data, models / "whisper", tmp_path / "x.scp", "--layer", "1")
    expected = load_encoder(str(models / "whisper"), layer=1).embed([waves["s-b"]], "frame")[0]
    assert np.abs(dict(read_matrices(read_table(tmp_path / "x.scp"), ["s-b"]))["s-b"] - expected).max() < 1e-5


def test_the_shortest_audio_gives_one_frame(models):
    for name in ("wavlm", "whisper"):
        encoder = load_encoder(str(models / name))
        wave = np.random.default_rng(1).normal(size=encoder.shortest).astype(np.float32)
        assert encoder.embed([wave], "frame")[0].shape[0] == 1


CONVS = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]


def test_data2vec_2_is_our_encoder_without_tokens(tmp_path, waves):
    torch.manual_seed(0)
    sizes = {"dim": 32, "heads": 2, "inner": 48, "prenet_depth": 0, "depth": 4, "tokens": 0, "convs": CONVS}
    positions = {"position_depth": 2, "position_kernel": 5, "position_groups": 4}
    decoder = {"decoder_dim": 16, "decoder_layers": 2, "decoder_groups": 4}
    original = Emotion2Vec(Emotion2VecConfig(**sizes, **positions, **decoder)).eval()
    weights = {name: value for name, value in original.state_dict().items() if not name.endswith("extra_tokens")}
    assert len(weights) == len(original.state_dict()) - 1
    torch.save({"args": None, "cfg": None, "model": {**weights, "_ema": {}}}, tmp_path / "base.pt")
    found = load_model(tmp_path / "base.pt")
    assert (found.config.tokens, found.config.prenet_depth, found.config.depth) == (0, 0, 4)
    encoder = load_encoder(str(tmp_path / "base.pt"))
    wave = waves["s-a"]
    with torch.no_grad():
        expected = original(torch.from_numpy(wave)[None], torch.tensor([len(wave)])).frames[0]
    assert np.abs(encoder.embed([wave], "frame")[0] - expected.numpy()).max() < 1e-6
    encoder.only_embed()
    assert not any(isinstance(module, torch.nn.Linear) for module in encoder.model.modules())
    assert np.abs(encoder.embed([wave], "frame")[0] - expected.numpy()).max() < 1e-5
    for level in ("tokens", "first-frames"):
        with pytest.raises(ValueError, match=f"level {level}: this model has no utterance tokens"):
            encoder.embed([wave], level)


def test_what_is_no_speech_encoder_is_refused(root, data, models, waves, tmp_path):
    done = extract(root, data, tmp_path / "nothing", tmp_path / "x.scp", check=False)
    assert done.returncode == 1 and "nothing: no model folder, checkpoint or hub id" in done.stderr.splitlines()[-1]
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="bert: no model folder"):
        load_encoder(str(tmp_path / "bert"))
    with pytest.raises(ValueError, match="whisper: takes spectrograms"):
        load_encoder(str(models / "whisper"), normalise="no")
    with pytest.raises(ValueError, match="wavlm: it encodes one utterance at a time"):
        load_encoder(str(models / "wavlm"), peer_padding=True)
    with pytest.raises(ValueError, match="level tokens: this model has no utterance tokens"):
        load_encoder(str(models / "wavlm")).embed([waves["s-a"]], "tokens")


def test_missing_weights_are_not_replaced_by_random_ones(models, tmp_path):
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    wavlm().save_pretrained(tmp_path / "m")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "m")
    weights = load_file(tmp_path / "m/model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, tmp_path / "m/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="m: its file lacks 1 weights, as encoder.layers.1.attention.k_proj.weight"):
        load_encoder(str(tmp_path / "m"))

    whole = (tmp_path / "m/model.safetensors").read_bytes()
    (tmp_path / "m/model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="m: no speech encoder that loads .*; download it again"):
        load_encoder(str(tmp_path / "m"))


CANARY = """from pathlib import Path

Path({place!r}).write_text("run")


class Canary:
    pass
"""


@pytest.mark.parametrize("file", ["preprocessor_config.json", "config.json"])
def test_code_in_a_model_folder_is_never_run(root, data, models, tmp_path, monkeypatch, file):
    """transformers asks "Do you wish to run the custom code?" and runs the folder's Python file for a "y"."""
    folder, ran = tmp_path / "m", tmp_path / "ran"
    shutil.copytree(models / "wavlm", folder)
    (folder / "bird.py").write_text(CANARY.format(place=str(ran)))
    values = json.loads((folder / file).read_text())
    classes = ("AutoFeatureExtractor", "AutoProcessor", "AutoConfig", "AutoModel")
    values |= {"auto_map": {name: "bird.Canary" for name in classes}}
    values |= {"feature_extractor_type": "Bird", "model_type": "bird"}
    (folder / file).write_text(json.dumps(values))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 4))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    done = extract(root, data, folder, tmp_path / "x.scp", check=False)
    assert not ran.exists()
    assert done.returncode == 1 and done.stderr.splitlines()[-1].count("m: ") and "[y/N]" not in done.stdout


def test_embeddings_with_nan_are_rejected_and_never_read(root, data, tmp_path, monkeypatch):
    class Overflowing:
        shortest, longest = 400, 2.0

        def embed(self, waves, level):
            return [np.full((2, 3), np.nan if len(wave) == 20000 else 1.0, np.float32) for wave in waves]

    extract_embeddings(Overflowing(), data, tmp_path / "x.scp", EmbeddingBatchConfig(), "frame")
    assert set(read_table(tmp_path / "x.scp")) == {"s-a", "s-c"}
    assert "NaN or infinite" in read_table(tmp_path / "x.scp.rejected")["s-b"]
    with ArkWriter(tmp_path / "y.ark") as ark:
        place = ark.write("u", np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="u: NaN or Inf in the matrix at .*; extract the embeddings again"):
        read_matrix(place, "u")


DAMAGES = {
    "type": lambda values: values | {"hidden_size": "many"}, "list": lambda values: [values],
    "deep": lambda values: values | {"conv_dim": functools.reduce(lambda inner, _: [inner], range(500), 1)},
    "no heads": lambda values: values | {"num_attention_heads": 0},
    "kernel": lambda values: values | {"conv_kernel": 3},
    "text": lambda values: "wavlm", "null": lambda values: None, "known": lambda values: {"model_type": "canary"},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_configuration_is_one_line(models, tmp_path, damage):
    shutil.copytree(models / "wavlm", tmp_path / "m")
    values = json.loads((tmp_path / "m/config.json").read_text())
    (tmp_path / "m/config.json").write_text(json.dumps(DAMAGES[damage](values)))
    with pytest.raises(ValueError, match=r"m(/config.json)?: "):
        load_encoder(str(tmp_path / "m"))


@pytest.mark.parametrize("field", [{"hop_length": 320}, {"hop_length": "x"}, {"feature_size": 10}, {"chunk_length": 1}])
def test_a_preprocessor_that_does_not_fit_is_one_line(models, tmp_path, field):
    shutil.copytree(models / "whisper", tmp_path / "m")
    values = json.loads((tmp_path / "m/preprocessor_config.json").read_text()) | field
    (tmp_path / "m/preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="m: no .* that loads"):
        load_encoder(str(tmp_path / "m")).embed([np.zeros(16000, np.float32)], "frame")


def test_a_pickle_for_weights_is_not_read(models, tmp_path):
    shutil.copytree(models / "wavlm", tmp_path / "m")
    (tmp_path / "m/model.safetensors").unlink()
    (tmp_path / "m/pytorch_model.bin").write_bytes(pickle.dumps(Runs(str(tmp_path / "ran"))))
    with pytest.raises(ValueError, match="m: no speech encoder that loads .*; download it again"):
        load_encoder(str(tmp_path / "m"))
    assert not (tmp_path / "ran").exists()


class Runs:
    """A pickle that makes a folder when it is read."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_no_head_sits_on_an_encoder_of_other_spectrograms(models):
    with pytest.raises(ValueError, match="w2v-BERT takes spectrograms of its own, and gets no head; give Whisper"):
        read_encoder(str(models / "w2v_bert"), None)
