"""Error texts of models and trainings that no other test raises: each has its thing first and a remedy last."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from model_server import make_chat_model
from safetensors.torch import save_file
from torch import nn
from transformers import (
    ClapFeatureExtractor,
    T5Config,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from c2ser.baselines import sensevoice
from c2ser.baselines.audio_llm import AudioLlm
from c2ser.baselines.cascade import Transcriber
from c2ser.baselines.class_answers import load_audio_classifier, load_emotion2vec
from c2ser.baselines.classifier import ClassifierAnswers
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.kinds import load_baseline
from c2ser.bin import predict, score
from c2ser.chat.config import LocalConfig
from c2ser.chat.local import LocalChat
from c2ser.data.config import SpecAugment
from c2ser.emotion2vec import onnx_export
from c2ser.emotion2vec.checkpoints import read_published
from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
from c2ser.emotion2vec.convert import load_model, save_model
from c2ser.emotion2vec.encoders import load_encoder
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotion2vec.onnx_check import compare_on_speech
from c2ser.emotion2vec.probe import Probe, TrainedProbe
from c2ser.emotion2vec.probe_files import save_probe
from c2ser.emotion2vec.speech_classifier import load_speech_classifier
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model import published
from c2ser.model.c2ser import C2SER
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings, TinyLlm, TinyWhisper
from c2ser.model.emotion2vec_classifier import Emotion2VecClassifier, read_labels
from c2ser.model.export import export, merge_lora
from c2ser.model.folder import (
    FEATURES,
    _build_empty,
    _stored_tensors,
    load_network,
    load_weights,
    read_temperature,
    save_network,
)
from c2ser.model.head_folder import load_head, save_head
from c2ser.model.head_model import HeadModel, load_exportable
from c2ser.model.head_network import HeadNetwork
from c2ser.model.llm_loading import load_llm
from c2ser.model.lm import LanguageModel
from c2ser.model.loading import load
from c2ser.model.perception import Vectors, WhisperEncoder
from c2ser.model.published_names import LLM, PREFIXES, WHOLE, Names, rename
from c2ser.model.speech_encoders import Emotion2VecStates, TransformersStates
from c2ser.model.tiny import make_tiny_models, train_tokenizer
from c2ser.planning.hollow import _whisper_sizes
from c2ser.recordings import vad
from c2ser.serving.config import Limits
from c2ser.serving.server_process import serve
from c2ser.tables import read_json, write_json, write_table
from c2ser.training.c2ser_objective import C2SERObjective
from c2ser.training.config import OptimConfig
from c2ser.training.finetune_c2ser import C2SERFinetuneConfig, finetune_c2ser
from c2ser.training.finetune_run import FinetuneConfig, _calibrate, finetune
from c2ser.training.finetune_scores import score_set
from c2ser.training.finetune_sets import FinetuneSets
from c2ser.training.head_objective import HeadMaterial, HeadObjective
from c2ser.training.loop import Trainer
from c2ser.training.processes import make_accelerator
from c2ser.training.weights import parameter_groups

BAD = Path("bad.pt")

SIZES = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "tokens": 2, "position_depth": 1,
         "convs": [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]], "position_kernel": 3,
         "position_groups": 2, "decoder_layers": 0}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Small random models: a language model, Whisper, an encoder, an encoder with a head that gives dimensions."""
    folder = tmp_path_factory.mktemp("models")
    make_chat_model(folder / "llm")
    small = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "vocab_size": 8,
             "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "pad_token_id": 0,
             "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}  # fmt: skip
    WhisperModel(WhisperConfig(**small)).save_pretrained(folder / "whisper")
    WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    T5Config().save_pretrained(folder / "t5")
    ClapFeatureExtractor().save_pretrained(folder / "clap")
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder / "telephone")
    for name in ("clap", "telephone"):
        write_json(folder / name / "config.json", {"model_type": "wav2vec2"})
    encoder = Emotion2Vec(Emotion2VecConfig(**SIZES))
    save_model(encoder, folder / "encoder")
    save_head(HeadNetwork(Emotion2VecStates(encoder), ["valence"], 8), folder / "head", "dimensions", SEVEN, {})
    for name, dim, target in (("probe", 16, "dimensions"), ("other probe", 9, "emotion")):
        config = ProbeConfig(hidden=4, target=target)
        save_probe(TrainedProbe(Probe(dim, 4, 1), ["valence"], config, 0.5, 1, None), folder / name)
    return folder


def language(place, **changes):
    """Make a language model whose parts are changed first."""
    llm, tokenizer = load_llm(str(place / "llm"), "float32")
    for name, value in changes.items():
        setattr(llm.config, name, value)
    return LanguageModel(llm, tokenizer, LoraSettings(), False, "<nothing>" if not changes else None)


def odd_embeddings(place):
    llm, tokenizer = load_llm(str(place / "llm"), "float32")
    llm.set_input_embeddings(nn.Linear(4, 4))
    LanguageModel(llm, tokenizer, LoraSettings(), False)


def network(place, r=4):
    parts = {"whisper": str(place / "whisper"), "emotion2vec": None, "llm": str(place / "llm")}
    connector = ConnectorConfig(dim=16, layers=1, heads=2, feed_forward=32)
    return C2SER.build(C2SERConfig(connector=connector, llm_dtype="float32", lora=LoraSettings(r=r), **parts)).network


def stored(place):
    """Load weights one of which has another shape."""
    model = network(place)
    tensors = _stored_tensors(model) | {"connector.boundaries": torch.zeros(3)}
    load_weights(model, tensors, BAD)


def fitted(place, name, tensor):
    model = network(place)
    published._check_shapes(model, {name: tensor}, Names({"theirs": name}, {}, []), BAD)


def untied(place):
    model = network(place)
    model.language.llm.config.tie_word_embeddings = True
    rows = model.state_dict()[published.EMBEDDINGS]
    published._completed(model, {published.EMBEDDINGS: rows, published.HEAD: rows + 1}, BAD)


def dropped(**weights):
    published._check_dropped(weights, Names({}, {}, []), BAD)


def damaged_head(place, folder, **changes):
    """Read a head whose configuration was changed, or lacks its outputs."""
    shutil.copytree(place / "head", folder / "head")
    values = read_json(folder / "head/config.json") | changes
    if not changes:
        del values["outputs"]
    write_json(folder / "head/config.json", values)
    load_head(folder / "head")


def changed_model(place, folder, setting):
    """Read a model folder one of whose settings was changed."""
    save_network(network(place), folder / "model")
    path = folder / "model/config.json"
    write_json(path, read_json(path) | {setting: "x"})
    load_network(folder / "model")


def other_spectrograms(place, folder):
    shutil.copytree(place / "whisper", folder / "whisper")
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder / "whisper")
    load_encoder(str(folder / "whisper"))


def tiny_graph():
    helper = pytest.importorskip("onnx.helper")
    ends = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def large_onnx():
    """Export a graph that is larger than the bound, which is lowered for it."""
    graph = tiny_graph()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MAX_BYTES", 9), ("metadata", lambda *given: {}), ("_graph", lambda *given: graph)):
            patch.setattr(onnx_export, name, value)
        onnx_export.export_onnx(None, "bad.onnx")


def damaged_encoder(place, folder):
    (folder / "config.json").write_bytes((place / "encoder/config.json").read_bytes())
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    load_model(folder)


def checkpoint(folder, kernel=10, **settings):
    """Read a checkpoint of the settings that fairseq keeps beside the weights."""
    convs = [[8, kernel, 5], *SIZES["convs"][1:]]
    weights = Emotion2Vec(Emotion2VecConfig(**{**SIZES, "convs": convs})).state_dict()
    torch.save({"model": weights, "cfg": {"model": settings}}, folder / "bad.pt")
    read_published(folder / "bad.pt")


def classes_of(folder, content):
    (folder / "bad.txt").write_bytes(content)
    read_labels(folder / "bad.txt", 2)


def heard_too_long(place):
    encoder = WhisperEncoder.from_pretrained(str(place / "whisper"), 0.0)
    encoder(Vectors(torch.zeros(1, 80, 3002), torch.tensor([3002]), [3002]))


def few_tags(folder, left_out=None):
    weights = {"embed.weight": torch.zeros(16, 560), "encoder.tp_norm.weight": torch.zeros(4 * sensevoice.HEAD_DIM)}
    weights = {name: tensor for name, tensor in weights.items() if name != left_out}
    torch.save(weights | {"ctc.ctc_lo.weight": torch.zeros(9, 4)}, folder / "bad.pt")
    sensevoice._read_weights(folder / "bad.pt")


def statistics(folder, text):
    (folder / "am.mvn").write_text(text)
    sensevoice._read_statistics(folder / "am.mvn")


def data_dir(folder, emotion="anger"):
    soundfile.write(folder / "a.wav", 0.1 * np.sin(np.arange(16000) / 9), 16000)
    (folder / "data").mkdir()
    for name, value in (("wav.scp", folder / "a.wav"), ("utt2spk", "s"), ("utt2emo", emotion), ("utt2dur", "1")):
        write_table(folder / "data" / name, {"s-a": str(value)})
    return folder / "data"


def one_class(place, folder):
    data = data_dir(folder)
    finetune(FinetuneSets(data, data), FinetuneConfig(str(place / "encoder")), folder / "out")


def nothing_heard():
    """Validate where the audio of no batch was usable."""
    objective = HeadObjective.__new__(HeadObjective)
    objective.outputs([], "the validation")


def untrained_for_chats(place, folder):
    shutil.copytree(place / "llm", folder / "llm")
    for path in folder.glob("llm/*"):
        if path.suffix == ".jinja":
            path.unlink()
    values = read_json(folder / "llm/tokenizer_config.json")
    write_json(folder / "llm/tokenizer_config.json", {**values, "chat_template": None})
    LocalChat(LocalConfig(), str(folder / "llm"))


def cold(folder):
    write_json(folder / "calibration.json", {"temperature": 0})
    read_temperature(folder)


def unheard(folder):
    """A data directory whose one file is gone."""
    data = data_dir(folder)
    (folder / "a.wav").unlink()
    return data


def unheard_stage():
    """Validate a stage of C²SER where the audio of no batch was usable."""
    model = SimpleNamespace(config=SimpleNamespace(style="implicit"))
    C2SERObjective.validate(SimpleNamespace(model=model, valid_batches=[]), 1)


def unheard_onnx(folder):
    """Compare on a data directory whose one file is too long."""
    pytest.importorskip("onnxruntime")
    (folder / "bad.onnx").write_bytes(tiny_graph().SerializeToString())
    encoder = SimpleNamespace(min_samples=1, max_samples=9)
    classifier = SimpleNamespace(labels=["anger"], classify=None, encoder=encoder)
    compare_on_speech(classifier, folder / "bad.onnx", data_dir(folder))


def full_memory(place):
    """A batch of prompts that does not fit."""
    chat = LocalChat(LocalConfig(dtype="float32", device="cpu"), str(place / "llm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat, "_answer", lambda batch: (_ for _ in ()).throw(torch.OutOfMemoryError()))
        [*chat.responses([{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Hello"}]}}])]


def lone_process():
    """One of two processes that does not find the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        make_accelerator(False, 1, Path("bad"))


def voice_network(folder=None):
    """Look for silero-vad where it is not, or in another folder."""
    found = folder and SimpleNamespace(submodule_search_locations=[str(folder)])
    if folder:
        (folder / "data").mkdir()
        save_file({"x": torch.zeros(1)}, folder / "data/silero_vad_16k.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: found)
        vad.network.__wrapped__()  # past its cache


def served():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "uvicorn", None)
        serve(None, "m", None, Limits(), None)


def scored(folder):
    data = data_dir(folder)
    for name in ("utt2emo", "answer"):
        write_table(folder / name, {"s-a": "anger"})
    drawing = SimpleNamespace(plot_confusion=None, plot_durations=None)  # its library takes seconds, and is not reached
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "c2ser.scoring.pictures", drawing)
        score.main(data / "utt2emo", folder / "utt2emo", folder / "out", answers=folder / "answer")


def head_objective(place):
    network, _, _ = load_head(place / "head")
    HeadObjective(network, HeadMaterial({}, {}, spec_augment=SpecAugment()), 1)


def own_file(folder):
    (folder / "C2SER_llm.pt").write_bytes(b"x")
    load(str(folder / "C2SER_llm.pt"), "cpu")


ROWS = {
    # language models
    "/.*t5: t5 is no causal language model; choose": lambda p, q: load_llm(str(q / "t5"), "float32"),
    "/.*llm: its tokenizer has no <nothing>; choose another": lambda p, q: language(q),
    "/.*llm: keeps its embeddings in a Linear; choose another": lambda p, q: odd_embeddings(q),
    "/.*llm: scales its logits (logit_scale); choose a model": lambda p, q: language(q, logit_scale=2.0),
    "no tokenizer of 10 tokens (.*); raise llm.vocabulary": lambda p, q: train_tokenizer(["Say it."] * 9, 10),
    "a: 1 prompts of up to 5 characters do not fit into memory; lower local.batch": lambda p, q: full_memory(q),
    # Whisper and other encoders
    "/.*llm: a model of the kind .*, not Whisper; choose a Whisper":
        lambda p, q: Transcriber.from_pretrained(str(q / "llm")),
    "/.*llm: a model of the kind .*, not Whisper; choose a":
        lambda p, q: WhisperEncoder.from_pretrained(str(q / "llm"), 0),
    "/.*llm: a model of the kind .*, not Whisper; choose": lambda p, q: _whisper_sizes(str(q / "llm"), 0),
    "audio over the 30 s that Whisper takes; cut it": lambda p, q: heard_too_long(q),
    "/.*encoder: layers of the emotion2vec family cannot be chosen; leave":
        lambda p, q: load_encoder(str(q / "encoder"), layer=1),
    "/.*clap: ClapFeatureExtractor takes no waveforms; give a speech": lambda p, q: load_encoder(str(q / "clap")),
    "/.*telephone: takes 8000 Hz; give a model for 16000 Hz": lambda p, q: load_encoder(str(q / "telephone")),
    "hubert: its layers cannot be taken away; leave --layer out": lambda p, q: flat_encoder().cut(1),
    "/.*: its weights or configuration are damaged (.*); train again": lambda p, q: damaged_encoder(q, p),
    "/.*none.pt: no such file; give a checkpoint or a model folder": lambda p, q: read_published(p / "none.pt"),
    "/.*bad.pt: not an emotion2vec checkpoint (norm_eps is 5.0); choose": lambda p, q: checkpoint(p, norm_eps=5),
    # classifiers
    "/.*head: no emotion2vec with a classifier; give one": lambda p, q: load_emotion2vec(classifier(q / "head")),
    "/.*telephone: takes audio at 8000 Hz, not 16,000; choose":
        lambda p, q: load_audio_classifier(classifier(q / "telephone")),
    "baseline.model: gives dimensions and no classes; train it":
        lambda p, q: ClassifierAnswers(HeadModel.from_pretrained(q / "head")),
    "/.*head: gives dimensions, and export-onnx writes": lambda p, q: load_exportable(q / "head"),
    "style 'explicit': this model gives no answers; leave":
        lambda p, q: HeadModel.from_pretrained(q / "head").recogniser(style="explicit"),
    "style 'explicit': emotion2vec gives no answers; leave":
        lambda p, q: Emotion2VecClassifier.recogniser(None, style="explicit"),
    "/.*head: damaged ('.*' is missing); copy it again": lambda p, q: damaged_head(q, p),
    "/.*probe: gives dimensions and no classes; give a probe of emotions":
        lambda p, q: load_speech_classifier(q / "encoder", q / "probe"),
    "/.*bad.txt: not UTF-8; download it again": lambda p, q: classes_of(p, b"\xff\n\n"),
    "/.*bad.txt: a class twice, or none; download it again": lambda p, q: classes_of(p, b"anger\nanger\n"),
    "/.*bad.pt: its outputs do not reach the tokens of emotions; download": lambda p, q: few_tags(p),
    "/.*am.mvn: not two rows of 560 numbers; download it again":
        lambda p, q: statistics(p, "<LearnRateCoef> 0 [ 1 ]\n"),
    "/.*am.mvn: not Kaldi's statistics (.*); download it again":
        lambda p, q: statistics(p, "<LearnRateCoef> 0 [ x ]\n"),
    # C²SER's folder and the published checkpoint
    "bad.pt: connector.boundaries is (3,), but its configuration asks for (.*); take": lambda p, q: stored(q),
    "bad.pt/config.json: 'features' is missing; copy the model again": lambda p, q: _build_empty(BAD, {}, False),
    "bad.pt: its features differ from this version's; copy the model":
        lambda p, q: _build_empty(BAD, {"features": 1}, False),
    "/.*: exists; choose a new folder, or": lambda p, q: export(q / "llm", p, False),
    "/.*: exists; choose a new folder, or remove": lambda p, q: published.convert(BAD, None, "explicit", p),
    "/.*C2SER_llm.pt: the authors' file goes with other models; make": lambda p, q: own_file(p),
    "bad.pt: x is unknown; choose a checkpoint of C²SER": lambda p, q: rename(["x"], BAD),
    "bad.pt: encoder.embed.conv.0.weight is missing; choose a": lambda p, q: rename([], BAD),
    "bad.pt: no adapters (.*) in it; choose a checkpoint of C²SER":
        lambda p, q: rename([*WHOLE, *(f"{name}.weight" for name in PREFIXES)], BAD),
    "bad.pt: speech_token_emded.weight has 1 rows, not .* and more; choose":
        lambda p, q: published._boundaries({"speech_token_emded.weight": torch.zeros(1, 4)}, BAD),
    "bad.pt: lm_head.weight is no copy of .*; choose another file":
        lambda p, q: dropped(**{"lm_head.weight": torch.ones(2), f"{LLM}lm_head.weight": torch.zeros(2)}),
    "bad.pt: .*pos_enc.pe holds no sinusoids; choose another":
        lambda p, q: dropped(**{"speech_transformer.embed.pos_enc.pe": torch.ones(1, 5, 4)}),
    "bad.pt: its head is no copy of its embeddings, as it is in --llm; check": lambda p, q: untied(q),
    "bad.pt: theirs is unknown to the models given; check --llm": lambda p, q: fitted(q, "x", torch.zeros(1)),
    "bad.pt: theirs is (1,), but the models given ask for (.*); check":
        lambda p, q: fitted(q, "connector.boundaries", torch.zeros(1)),
    # trainings
    "--target dimensions: C²SER names classes; leave --model out":
        lambda p, q: finetune_c2ser(None, C2SERFinetuneConfig("m", target="dimensions"), p),
    "/.*data: has anger alone; a classifier needs two classes": lambda p, q: one_class(q, p),
    "spec_augment: masks spectrograms, and this encoder takes waveforms; leave": lambda p, q: head_objective(q),
    "no validation utterance has readable audio; mend what the lines": lambda p, q: nothing_heard(),
    "bad: processes do not see each other; on CPUs set": lambda p, q: lone_process(),
    "bad: nothing to train; every parameter is frozen":
        lambda p, q: parameter_groups(nn.Linear(1, 1).requires_grad_(False), OptimConfig(), Path("bad")),
    # programs
    "--resume: standard output cannot be resumed; give --out": lambda p, q: predict.main([p], resume=True),
    "/.*answer: answers are compared with levels and text; give": lambda p, q: scored(p),
    "uvicorn: this package is missing; pip install": lambda p, q: served(),
    "silero-vad is not installed; pip install silero-vad": lambda p, q: voice_network(),
    "/.*silero_vad_16k.safetensors: the weights of another network; pip install": lambda p, q: voice_network(p),
    # others of them
    "/.*llm: .* is no language model that takes speech; see docs":
        lambda p, q: AudioLlm.from_pretrained(classifier(q / "llm")),
    "sensevoice: names the seven emotions alone; leave this baseline":
        lambda p, q: load_baseline(BaselineConfig("sensevoice"), LabelSet(("a", "b"))),
    "/.*bad.pt: embed.weight is missing or of another shape, so this is not SenseVoice-Small; give":
        lambda p, q: few_tags(p, "embed.weight"),
    "/.*llm: its tokenizer has no chat template; choose a model that was trained":
        lambda p, q: untrained_for_chats(q, p),
    "/.*: no config.json in it; give the folder that train_emotion2vec": lambda p, q: load_model(p),
    "/.*head: not an Emotion2Vec-S model; give the folder that train": lambda p, q: load_model(q / "head"),
    "/.*whisper: takes spectrograms; leave normalise at auto":
        lambda p, q: load_encoder(str(q / "whisper"), normalise="yes"),
    "heads: 16 dimensions for 3 heads; choose a number that divides":
        lambda p, q: Emotion2Vec(Emotion2VecConfig(**{**SIZES, "heads": 3})),
    "/.*other probe: takes 9 dimensions and .* gives 16; give the encoder that":
        lambda p, q: load_speech_classifier(q / "encoder", q / "other probe"),
    "style 'x': no chain of thought of C²SER; give": lambda p, q: C2SER.recogniser(None, style="x"),
    "the model has no LoRA adapters; export it without": lambda p, q: merge_lora(network(q, r=0)),
    "bad.pt: .* weights do not fit its configuration, .* is missing; take":
        lambda p, q: load_weights(network(q), {}, BAD),
    "/.*calibration.json: holds no temperature above 0; delete it": lambda p, q: cold(p),
    "/.*encoder: an encoder without a classifier gives embeddings .*; train a head":
        lambda p, q: load(q / "encoder", "cpu"),
    "/.*: no chains of thought; run stage 3 first": lambda p, q: make_tiny_models(p, p, TinyWhisper(), TinyLlm(), 1),
    "/.*bad.txt: 1 classes for 2 outputs of the classifier; download both": lambda p, q: classes_of(p, b"anger"),
    "bad.pt: no utterance is of a class of the training set; give another": lambda p, q: _calibrate({}, {}, p, BAD),
    "bad.pt: the best checkpoint is missing or damaged; train again":
        lambda p, q: Trainer._finish(SimpleNamespace(checkpoints=BAD, _best_path=lambda: None)),
    "/.*data: no utterance has readable audio; mend what the lines":
        lambda p, q: score_set(HeadModel.from_pretrained(q / "head"), unheard(p), p),
    "no validation utterance has readable audio; mend what": lambda p, q: unheard_stage(),
    # what others say in parentheses
    "/.*bad.pt: not an emotion2vec checkpoint (pre-norm checkpoints, layer_norm_first, are not":
        lambda p, q: checkpoint(p, layer_norm_first=True),
    "/.*bad.pt: not an emotion2vec checkpoint (a convolution has a kernel of 7); choose":
        lambda p, q: checkpoint(p, kernel=7),
    "/.*whisper: no .* (preprocessor_config.json makes other spectrograms than the model takes); ":
        lambda p, q: other_spectrograms(q, p),
    "/.*head: damaged (unknown target x); copy it again": lambda p, q: damaged_head(q, p, target="x"),
    "/.*head: damaged (valence is none of its classes); copy": lambda p, q: damaged_head(q, p, target="emotion"),
    "/.*head: damaged (no kind of encoder: x); copy":
        lambda p, q: damaged_head(q, p, encoder={"kind": "x", "config": {}}),
    "bad.pt: C2SERConfig has no setting 'x'; copy the model":
        lambda p, q: _build_empty(BAD, {"features": FEATURES, "c2ser": {"x": 1}}, False),
    "/.*model: its tokenizer splits texts differently from the one .*; copy":
        lambda p, q: changed_model(q, p, "tokenizer_fingerprint"),
    "/.*model: .*llm is not the language model that it was trained with; copy":
        lambda p, q: changed_model(q, p, "llm_fingerprint"),
    "bad.onnx: .* GB, and an ONNX file holds 2; export it with": lambda p, q: large_onnx(),
}  # fmt: skip
"""How a message begins, parentheses, brackets and + as they are; and what raises it in a folder, with small models."""


def classifier(model):
    return BaselineConfig(model=str(model))


def flat_encoder():
    """An encoder whose layers are not in a list of its own."""
    model = nn.Linear(1, 1)
    model.config = SimpleNamespace(hidden_size=1, model_type="hubert")
    return TransformersStates(model, False)


@pytest.mark.parametrize("text", ROWS)
def test_an_error_of_a_model_names_its_thing_and_a_remedy(tmp_path, place, text):
    pattern = re.sub(r"([()\[\]{}+])", r"\\\1", text)
    with pytest.raises((ValueError, OSError)) as caught:
        ROWS[text](tmp_path, place)
    message = str(caught.value)
    assert re.match(pattern, message), message
    assert ";" in message and "\n" not in message


def test_what_is_too_long_for_onnx_is_named(tmp_path, caplog):
    with pytest.raises(ValueError, match="/data: no utterance can be read; mend what the lines"):
        unheard_onnx(tmp_path)
    assert "s-a: 16000 samples, over the encoder's 9; cut it" in caplog.text
