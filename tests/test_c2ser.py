"""C²SER: parity with transformers, padding that does not matter, folders, both stages, resume after kills."""

import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, Qwen2Config, WhisperConfig, WhisperFeatureExtractor, WhisperModel

from c2ser.corpus import Utterance
from c2ser.cot.prompts import Request, instruction, sentence
from c2ser.data.collate import augment, pad_waves
from c2ser.data.config import SpecAugment
from c2ser.devices import move, pick_device
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.acoustic import AcousticEncoder
from c2ser.model.c2ser import C2SER
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings, SearchConfig, TinyLlm, TinyWhisper
from c2ser.model.connector import Connector
from c2ser.model.llm_loading import load_llm
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import LogMel, Vectors, WhisperEncoder, stack
from c2ser.model.qformer import QFormerConnector
from c2ser.model.tiny import make_tiny_models, train_tokenizer
from c2ser.model.token_weights import token_weights
from c2ser.planning.counting import READS
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_table, write_table
from c2ser.training import checkpoint
from c2ser.training.config import LossConfig

EMOTIONS = ("anger", "sadness")


def waves(*seconds):
    generator = np.random.default_rng(0)
    return [generator.normal(size=int(16000 * s)).astype(np.float32) * 0.1 for s in seconds]


def describe(folder):
    """A corpus of two emotions, loud and quiet."""
    import soundfile

    for number in range(24):
        emotion, set_name = EMOTIONS[number % 2], "valid" if number >= 16 else "train"
        path = folder / f"{number}.wav"
        noise = np.random.default_rng(number).normal(size=8000 + 800 * (number % 5))
        soundfile.write(path, (0.2 if emotion == "anger" else 0.005) * noise, 16000)
        yield Utterance(set_name, f"s{number // 16}", f"{number:02d}", path, emotion, "en", f"Number {number}, please.")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data with chains of thought, and all parts of a small model."""
    folder = tmp_path_factory.mktemp("c2ser pla ce")
    write_corpus(describe(folder), folder / "data")
    for name in ("train", "valid"):
        data = folder / "data" / name
        emotions, texts = read_table(data / "utt2emo"), read_table(data / "text")
        levels = dict.fromkeys(("pitch", "loudness", "rate"), "medium")
        for style in ("explicit", "implicit"):
            made = {i: Request(i, "en", texts[i], emotion, levels) for i, emotion in emotions.items()}
            write_table(data / f"cot_{style}", {i: sentence(request, style) for i, request in made.items()})
    sizes = TinyWhisper(dim=32, layers=1, heads=2), TinyLlm(dim=32, layers=2, heads=2, vocabulary=400)
    make_tiny_models(folder / "data/train", folder / "tiny", *sizes, seed=1)
    torch.manual_seed(0)
    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    small = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    config = Emotion2VecConfig(
        **small, position_kernel=3, position_groups=2, convs=convs, decoder_groups=2, decoder_dim=16
    )
    save_model(Emotion2Vec(config), folder / "e2v")
    return folder


def build(place, **changes):
    torch.manual_seed(0)
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
    parts = {"whisper": str(place / "tiny/whisper"), "emotion2vec": str(place / "e2v"), "llm": str(place / "tiny/llm")}
    return C2SER.build(C2SERConfig(**{"connector": connector, **parts, **changes})).network.eval()


def whisper():
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128, decoder_layers=1,
        decoder_attention_heads=4, decoder_ffn_dim=64, vocab_size=10, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    model = WhisperModel(config).eval()
    encoder = WhisperEncoder(config).eval()
    encoder.layers = model.encoder
    return model, encoder


def test_whisper_is_transformers_on_thirty_seconds():
    model, encoder = whisper()
    wave = waves(30)[0]
    theirs = WhisperFeatureExtractor(return_attention_mask=False)([wave], sampling_rate=16000, return_tensors="pt")
    padded, lengths = pad_waves([wave])
    with torch.no_grad():
        mel = encoder.log_mel(padded, lengths)
        states = encoder(mel)
        reference = model.encoder(theirs["input_features"]).last_hidden_state
    assert (mel.values - theirs["input_features"]).abs().max() < 1e-4
    assert states.values.shape == reference.shape == (1, 1500, 64)
    with torch.no_grad():
        own = encoder(Vectors(theirs["input_features"], mel.lengths))
    assert (own.values - reference).abs().max() < 1e-5
    assert (states.values - reference).abs().max() < 1e-4
    assert encoder.layers.config._attn_implementation == "sdpa"


def test_whisper_padded_to_thirty_seconds_is_transformers_on_short_audio():
    model, encoder = whisper()
    encoder.padding = "30s"
    parts = waves(0.71, 2.3)
    extractor = WhisperFeatureExtractor(return_attention_mask=False)
    theirs = extractor(parts, sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        mel = encoder.log_mel(*pad_waves(parts))
        states = encoder(mel)
        own = encoder(Vectors(theirs, mel.lengths))
        reference = model.encoder(theirs).last_hidden_state
    assert (mel.values - theirs).abs().max() < 1e-4 and states.values.shape == (2, 115, 64)
    for row, size in enumerate(states.lengths.tolist()):
        assert size == (len(parts[row]) // 160 + 1) // 2
        assert (own.values[row, :size] - reference[row, :size]).abs().max() < 1e-5
        assert (states.values[row, :size] - reference[row, :size]).abs().max() < 1e-4
        assert states.values[row, size:].abs().sum() == 0
    encoder.padding = "exact"
    assert (encoder(encoder.log_mel(*pad_waves(parts))).values - states.values).abs().max() > 1e-3


def test_a_cut_whisper_gives_the_states_of_its_middle_layers(place, tmp_path):
    model, encoder = whisper()
    features = torch.randn(1, 80, 3000)
    with torch.no_grad():
        middle = model.encoder(features, output_hidden_states=True).hidden_states[1]
        encoder.cut(1)
        own = encoder(Vectors(features, torch.tensor([3000]))).values
    assert (own - torch.nn.functional.layer_norm(middle, (64,))).abs().max() < 1e-5
    for layers in (0, 2):
        with pytest.raises(ValueError, match=f"whisper_layers {layers}: this Whisper has 1; give a number from 1 to 1"):
            build(place, whisper_layers=layers)
    network = build(place, whisper_layers=1)
    C2SER(network).save_pretrained(tmp_path / "model")
    loaded = C2SER.from_pretrained(tmp_path / "model").network
    assert torch.equal(loaded.whisper.layers.layer_norm.weight, torch.ones(32))
    assert len(loaded.whisper.layers.layers) == 1 and loaded.config.whisper_layers == 1


def test_padding_does_not_matter_to_whisper():
    _, encoder = whisper()
    parts = waves(0.71, 2.3, 1.234)
    with torch.no_grad():
        together = encoder(encoder.log_mel(*pad_waves(parts)))
        for row, wave in enumerate(parts):
            alone = encoder(encoder.log_mel(*pad_waves([wave])))
            assert int(alone.lengths) == int(together.lengths[row])
            assert (together.values[row, : int(alone.lengths)] - alone.values[0]).abs().max() < 1e-5
            assert together.values[row, int(alone.lengths) :].abs().sum() == 0


def test_log_mel_of_silence_and_of_128_bins():
    mel = LogMel(128)(torch.zeros(1, 1600), torch.tensor([1600]))
    assert mel.values.shape == (1, 128, 10) and torch.isfinite(mel.values).all()


def test_connector_has_the_papers_size_and_ignores_padding():
    with torch.device("meta"):
        connector = Connector(ConnectorConfig(), semantic=1024, acoustic=768, out=3584)
    assert sum(p.numel() for p in connector.parameters()) == pytest.approx(51.96e6, rel=1e-3)
    torch.manual_seed(0)
    small = Connector(ConnectorConfig(dim=16, layers=2, heads=2, feed_forward=32), 8, 6, 12).eval()
    lengths = [9, 30, 17]
    rows = [torch.randn(n, 8) for n in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    acoustic = torch.randn(3, 10, 6)
    tens = torch.tensor([10, 10, 10])
    with torch.no_grad():
        together = small(Vectors(padded, torch.tensor(lengths)), Vectors(acoustic, tens))
        for row, states in enumerate(rows):
            alone = small(
                Vectors(states[None], torch.tensor([len(states)])), Vectors(acoustic[row : row + 1], tens[:1])
            )
            size = int(alone.lengths)
            assert size == int(together.lengths[row]) == 10 + -(-lengths[row] // 4)
            assert (together.values[row, :size] - alone.values[0]).abs().max() < 1e-5


def test_acoustic_vectors_of_any_level_join_without_gaps():
    torch.manual_seed(0)
    small = Connector(ConnectorConfig(dim=16, layers=2, heads=2, feed_forward=32), 8, 6, 12).eval()
    rows, frames = [torch.randn(n, 8) for n in (9, 30)], [torch.randn(n, 6) for n in (21, 4)]
    with torch.no_grad():
        together = small(stack(rows), stack(frames))
        for row in range(2):
            alone = small(stack([rows[row]]), stack([frames[row]]))
            size = int(alone.lengths)
            assert size == int(together.lengths[row]) == len(frames[row]) + -(-len(rows[row]) // 4)
            assert (together.values[row, :size] - alone.values[0]).abs().max() < 1e-5
            assert together.values[row, size:].abs().sum() == 0


@pytest.mark.parametrize(("window", "counts"), [(0.0, [5, 5]), (0.2, [10, 25])])
def test_queries_see_their_own_utterance_alone(window, counts):
    torch.manual_seed(0)
    sizes = ConnectorConfig("qformer", dim=16, layers=2, heads=2, feed_forward=32, queries=5, window=window)
    small = QFormerConnector(sizes, 8, 6, 12).eval()
    rows, frames = [torch.randn(n, 8) for n in (9, 40)], [torch.randn(n, 6) for n in (4, 3)]
    with torch.no_grad():
        together = small(stack(rows), stack(frames))
        for row in range(2):
            alone = small(stack([rows[row]]), stack([frames[row]]))
            size = int(alone.lengths)
            assert size == int(together.lengths[row]) == counts[row]
            assert size == small.max_embeddings(len(rows[row]), len(frames[row]))
            assert (together.values[row, :size] - alone.values[0]).abs().max() < 1e-5
            assert together.values[row, size:].abs().sum() == 0
    with pytest.raises(ValueError, match="connector.dim 16 does not divide into 3 heads"):
        QFormerConnector(ConnectorConfig("qformer", dim=16, heads=3), 8, None, 12)


def test_a_model_with_queries_is_kept_and_answers_as_before(place, tmp_path):
    sizes = ConnectorConfig("qformer", dim=16, layers=2, heads=2, feed_forward=32, queries=4)
    model = build(place, connector=sizes, trainable=["connector"], lora=LoraSettings(r=0))
    given, answers = waves(0.5, 0.9), ["anger", "sadness"]
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(name.startswith("connector.") for name in trained)
    loss = model(model.extract_features(given), ["Say it."] * 2, answers)["loss"]
    loss.backward()
    assert model.connector.queries.grad.abs().sum() > 0
    assert {type(layer).__name__ for layer in model.trained_layers} == {"Blip2QFormerLayer", "Qwen2DecoderLayer"}
    model.eval()
    C2SER(model).save_pretrained(tmp_path / "model")
    again = C2SER.from_pretrained(tmp_path / "model").network
    with torch.no_grad():
        assert torch.equal(again.encode(given).values, model.encode(given).values)
    assert again.config.connector.kind == "qformer" and again.max_embeddings(3.0) == 4


def test_connector_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="neither Whisper nor Emotion2Vec-S"):
        Connector(ConnectorConfig(), None, None, 8)
    with pytest.raises(ValueError, match="connector.dim 32 does not divide into 3 heads"):
        Connector(ConnectorConfig(dim=32, heads=3), None, 16, 8)
    with pytest.raises(ValueError, match="set connector.acoustic: linear"):
        Connector(ConnectorConfig(dim=8, heads=2, acoustic="pad"), None, 16, 8)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_tokeniser_gives_any_text_back(text):
    tokenizer = test_tokeniser_gives_any_text_back.tokenizer
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


test_tokeniser_gives_any_text_back.tokenizer = train_tokenizer(
    ["The emotion of this speech is anger.", "这条语音的情感为愤怒。"] * 20, 400
)


def test_loss_is_transformers_and_the_head_sees_labels_only(place):
    model = build(place, trainable=["llm"])
    features = model.extract_features(waves(0.5, 0.9))
    answers = ["The emotion of this speech is anger.", "sadness"]
    seen = []
    head = model.language.llm.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    with torch.no_grad():
        loss = model(features, ["Say it."] * 2, answers)["loss"]
        handle.remove()
        tokens = [[*model.language._tokens(answer), model.language.end] for answer in answers]
        assert seen == [torch.Size([sum(map(len, tokens)), 32])]
        speech = model.encode_features(features)
        contexts = model.language.contexts(speech, model.connector.boundaries, ["Say it."] * 2)
        total = 0.0
        for context, ids in zip(contexts, tokens, strict=True):  # each alone, by transformers' own loss
            embedded = torch.cat([context, model.language._embed(ids)])[None]
            labels = torch.tensor([[-100] * len(context) + ids])
            total += float(model.language.llm(inputs_embeds=embedded, labels=labels).loss) * len(ids)
    assert float(loss) == pytest.approx(total / sum(map(len, tokens)), rel=1e-5)


CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def instruct(place):
    """The small language model and its tokeniser, made to look like an Instruct model."""
    llm, tokenizer = load_llm(str(place / "tiny/llm"), "float32")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.eos_token, tokenizer.chat_template = "<|im_end|>", CHAT
    llm.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return LanguageModel(llm, tokenizer, LoraSettings(r=2, dropout=0.0), chat_template=True)


def test_the_chat_template_holds_prompt_speech_and_end(place, monkeypatch):
    language = instruct(place)
    monkeypatch.setattr("c2ser.model.lm.TOKENISED_AT_ONCE", 2)
    before, after = language.prompt_ids("Say it.")
    assert language.tokenizer.decode(before) == "<|im_start|>user\nSay it."
    assert language.tokenizer.decode(after) == "<|im_end|>\n<|im_start|>assistant\n"
    assert language.tokenizer.decode([language.end]) == "<|im_end|>"
    answers = ["sad", "", "He is sad, and she is not.", "glad", "no"]
    around = len(before) + len(after) + 3
    assert language.sequence_lengths("Say it.", answers) == [around + len(language._tokens(text)) for text in answers]
    with pytest.raises(ValueError, match="no chat template; set chat_template: false"):
        LanguageModel(*load_llm(str(place / "tiny/llm"), "float32"), LoraSettings(), chat_template=True)


@pytest.mark.parametrize("kind", ["plain", "chat"])
def test_head_at_labels_gives_the_gradients_of_the_full_loss(place, kind):
    torch.manual_seed(0)
    language = instruct(place) if kind == "chat" else build(place, lora=LoraSettings(r=2, dropout=0.0)).language
    language.requires_grad_(True)
    lengths = torch.tensor([5, 9])
    speech, boundaries = Vectors(torch.randn(2, 9, 32), lengths), torch.randn(2, 32)
    prompts, answers = ["Say it.", "What is it?"], ["sadness, said slowly", "joy"]
    own, _ = language.answer_loss(speech, boundaries, prompts, answers)
    own.backward()
    gradients = {name: p.grad.clone() for name, p in language.named_parameters() if p.grad is not None}
    language.zero_grad(set_to_none=True)
    rows = language.contexts(speech, boundaries, prompts)
    labels = [torch.tensor([*language._tokens(answer), language.end]) for answer in answers]
    embedded = [torch.cat([row, language._embed(ids.tolist())]) for row, ids in zip(rows, labels, strict=True)]
    target = [torch.cat([torch.full((len(row),), -100), ids]) for row, ids in zip(rows, labels, strict=True)]
    mask = [torch.ones(len(row)) for row in embedded]
    pad = torch.nn.utils.rnn.pad_sequence
    full = language.llm(
        inputs_embeds=pad(embedded, True), attention_mask=pad(mask, True), labels=pad(target, True, -100)
    ).loss
    full.backward()
    assert abs(float(own - full)) < 1e-6
    assert set(gradients) == {name for name, p in language.named_parameters() if p.grad is not None}
    assert all((p.grad - gradients[n]).abs().max() < 1e-6 for n, p in language.named_parameters() if n in gradients)


def test_the_words_that_name_the_emotion_weigh_as_asked(place):
    network = build(place, lora=LoraSettings(r=2, dropout=0.0))
    tokenizer = network.language.tokenizer
    answers = ["He says “I feel sadness” in anger.", "The emotion of this speech is fear.", "Nobody knows."]
    assert token_weights(tokenizer, answers, network.labels, 1.0) is None
    weights = token_weights(tokenizer, answers, network.labels, 3.0)
    tokens = [[*tokenizer.tokenize(answer), "end"] for answer in answers]
    heavy = [token for token, weight in zip([*chain(*tokens)], weights, strict=True) if weight == 3]
    assert {*weights} == {1.0, 3.0} and "".join(heavy).replace("▁", "") == "angerfear"
    speech = network.encode(waves(0.5, 1.1, 0.8))
    loss = {w: float(network.answer_loss(speech, ["Say it."] * 3, answers, w)["loss"]) for w in (1.0, 3.0, 7.0)}
    light, few = len(weights) - len(heavy), len(heavy)
    # of two unknown sums, of the heavy and the light tokens, the first two losses tell both
    named = (loss[3.0] * (light + 3 * few) - loss[1.0] * (light + few)) / 2
    others = loss[1.0] * (light + few) - named
    assert loss[7.0] == pytest.approx((others + 7 * named) / (light + 7 * few), rel=1e-4) and loss[7.0] != loss[1.0]
    with pytest.raises(ValueError, match="losses.named is 0; give more than 0"):
        LossConfig(named=0)
    with pytest.raises(ValueError, match="SimpleNamespace does not tell where its tokens are; set it to 1"):
        token_weights(types.SimpleNamespace(is_fast=False), answers, network.labels, 3.0)


class Reads(TorchFunctionMode):
    """Notes from which files numbers of tensors are read, for which a processor would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.files = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in READS:
            self.files.append(inspect.stack()[1].filename)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["transformer", "qformer"])
def test_a_training_step_reads_no_length_back(place, kind):
    connector = ConnectorConfig(kind=kind, dim=32, layers=1, heads=2, feed_forward=64)
    network = build(place, connector=connector).train()
    prompts, answers = ["Say it."] * 3, ["sadness, said slowly", "joy", ""]
    features = network.extract_features(waves(0.5, 1.1, 0.8))
    with Reads() as reads:
        speech = network.encode_features(features)
        loss = network.answer_loss(speech, prompts, answers)["loss"]
    assert [path for path in reads.files if "transformers" not in path] == []
    assert speech.counts == speech.lengths.tolist() and speech.values.shape[1] == max(speech.counts)
    loss.backward()


def test_a_common_prompt_is_computed_once_and_changes_nothing(place, monkeypatch):
    language = build(place, lora=LoraSettings(r=2, dropout=0.0)).language
    boundaries, prompts, answers = torch.randn(2, 32), ["Say it."] * 2, ["sadness, said slowly", "joy"]
    values, lengths, seen = torch.randn(2, 9, 32), torch.tensor([5, 9]), []
    monkeypatch.setattr(language, "hidden_states", lambda *args: seen.append(args[0].shape) or whole(*args))
    whole = type(language).hidden_states.__get__(language)
    figures = []
    for shared in (True, False):
        speech = values.clone().requires_grad_()
        if not shared:
            monkeypatch.setattr(language, "_shared", lambda prompts: 0)
        loss, _ = language.answer_loss(Vectors(speech, lengths), boundaries, prompts, answers)
        loss.backward()
        adapters = [p.grad.clone() for p in language.parameters() if p.grad is not None]
        language.zero_grad(set_to_none=True)
        figures.append([loss.detach(), speech.grad, *adapters])
    assert seen[1][1] - seen[0][1] == len(language.prompt_ids("Say it.")[0]) + 1
    assert len(figures[0]) > 2 and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*figures, strict=True))
    assert type(language)._shared(language, ["Say it.", "What?"]) == 0
    other = build(place, lora=LoraSettings(r=2, dropout=0.1)).language
    assert other._shared(prompts) > 0 == other.train()._shared(prompts)
    language.llm.gradient_checkpointing_enable()
    assert type(language)._shared(language, prompts) == 0


def test_padding_on_either_side_gives_the_same_first_token(place):
    language = build(place).language
    rows = [torch.randn(n, language.dim) for n in (4, 9)]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    right = language.hidden_states(padded, [4, 9])
    scores = language.llm.get_output_embeddings()(torch.stack([right[0, 3], right[1, 8]]))
    shifted = torch.stack([torch.nn.functional.pad(rows[0], (0, 0, 5, 0)), rows[1]])
    mask = torch.tensor([[0] * 5 + [1] * 4, [1] * 9])
    said = language.llm.generate(
        inputs_embeds=shifted, attention_mask=mask, max_new_tokens=1, do_sample=False, output_logits=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    assert (said.logits[0] - scores).abs().max() < 1e-5


def test_full_configurations_have_the_published_sizes(root):
    """The paper's system from its own configuration, without weights."""
    layers = [yaml.safe_load((root / f"local/conf/full/{name}.yaml").read_text()) for name in ("c2ser", "model")]
    values = {**layers[0]["model"], **layers[1]["model"]}
    parts = {"connector": ConnectorConfig(**values["connector"]), "lora": LoraSettings(**values["lora"])}
    config = C2SERConfig(**{**values, **parts})
    assert (config.whisper, config.llm) == ("openai/whisper-medium", "Qwen/Qwen2-7B-Instruct")
    medium = WhisperConfig(d_model=1024, encoder_layers=24, encoder_attention_heads=16, encoder_ffn_dim=4096)
    qwen = Qwen2Config(
        vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4,
    )  # fmt: skip
    with torch.device("meta"):
        llm = AutoModelForCausalLM.from_config(qwen, dtype=getattr(torch, config.llm_dtype))
        language = LanguageModel(llm, train_tokenizer(["a b"] * 9, 270), config.lora, config.chat_template)
        acoustic = AcousticEncoder(Emotion2Vec(Emotion2VecConfig()), config.acoustic)
        model = C2SERNetwork(config, WhisperEncoder(medium), acoustic, language)
    counts, dtypes = Counter(), {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "lora" if ".lora_" in name else name.split(".")[0]
            counts[part] += parameter.numel()
            dtypes.setdefault(part, set()).add(parameter.dtype)
    assert counts["lora"] == 15_138_816 and counts["whisper"] == pytest.approx(305.7e6, rel=1e-3)
    assert counts["connector"] - model.connector.boundaries.numel() == 51_963_392
    assert dtypes == dict.fromkeys(("whisper", "connector", "lora"), {torch.float32})
    assert llm.get_input_embeddings().weight.dtype == torch.bfloat16
    targets = {name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in model.named_parameters() if ".lora_" in name}
    assert targets == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"}


@pytest.mark.parametrize("trainable", [["whisper", "connector", "lora"], ["lora"]])
def test_checkpointing_computes_layers_again_and_changes_no_gradient(place, trainable):
    found = []
    for checkpointing in (False, True):
        model = build(place, trainable=trainable, checkpointing=checkpointing, whisper_dropout=0.0)
        model.train()
        calls = Counter()
        towers = {"whisper": model.whisper.layers.layers[0].fc1, "llm": model.language.llm.get_decoder().layers[0].mlp}
        for name, module in towers.items():
            module.register_forward_pre_hook(lambda *_, name=name, calls=calls: calls.update([name]))
        torch.manual_seed(0)
        model(model.extract_features(waves(0.5, 0.9)), ["Say it."] * 2, ["anger", "sadness"])["loss"].backward()
        found.append((calls, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    (once, plain), (again, same) = found
    assert once == {"whisper": 1, "llm": 1}
    assert again == {"whisper": 2 if "whisper" in trainable else 1, "llm": 2}
    assert plain.keys() == same.keys() and all((plain[n] - same[n]).abs().max() < 1e-6 for n in plain)


@pytest.mark.parametrize("beams", [1, 3])
def test_batched_answers_are_the_single_ones(place, beams):
    search = SearchConfig(beams=beams)
    model = build(place)
    parts = waves(0.5, 1.7, 0.9)
    together = model.generate(model.encode(parts), max_new_tokens=12, search=search)
    for row, wave in enumerate(parts):
        answers, tokens = model.generate(model.encode([wave]), max_new_tokens=12, search=search)
        assert answers[0] == together[0][row] and tokens[0] == together[1][row]


@pytest.mark.parametrize(
    "changes", [{"whisper": None}, {"emotion2vec": None}, {"acoustic": "first-frames"}, {"acoustic": "frame"}]
)
def test_parts_can_be_left_out(place, changes):
    model = build(place, **changes)
    answers, _ = model.generate(model.encode(waves(0.5)), max_new_tokens=5)
    assert len(answers) == 1
    speech = model.encode_features(model.extract_features(waves(0.5)))
    assert int(speech.lengths) <= model.max_embeddings(0.5) <= int(speech.lengths) + 1


def test_a_model_reads_the_wording_that_it_is_asked_with(place):
    model, read = build(place), []
    prompt_ids = model.language.prompt_ids
    model.language.prompt_ids = lambda prompt: read.append(prompt) or prompt_ids(prompt)
    for model.wording in (0, 7):
        model.generate(model.encode(waves(0.5)), "implicit", max_new_tokens=2)
    asked = list(dict.fromkeys(read))
    assert asked == [instruction("implicit"), instruction("implicit", 7)] and asked[0] != asked[1]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-2000])


def without_a_weight(path):
    tensors = load_file(path)
    del tensors[first_layer(tensors)]
    save_file(tensors, path, metadata={"format": "pt"})


def with_nan(path):
    tensors = load_file(path)
    tensors[first_layer(tensors)][0, 0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


def first_layer(tensors):
    return next(
        name for name in tensors if name.endswith(("encoder.layers.0.fc1.weight", "layers.0.mlp.up_proj.weight"))
    )


@pytest.mark.parametrize("part", ["whisper", "llm"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, "that loads (.*); download it again"),
        (without_a_weight, "its file lacks 1 weights, as .*layers.0.*; download it again"),
        (with_nan, "layers.0.* holds NaN or Inf; download it again"),
        (lambda path: path.with_name("config.json").unlink(), "that loads .*; check its folder or hub id"),
        (lambda path: path.with_name("config.json").write_text('{"model_type": "t5"}'), "t5.* choose "),
    ],
)
def test_damaged_parts_are_refused_in_one_line(place, tmp_path, part, damage, message):
    folder = shutil.copytree(place / "tiny" / part, tmp_path / part)
    damage(folder / "model.safetensors")
    with pytest.raises(ValueError, match=f"^{folder}: .*{message}") as caught:
        build(place, **{part: str(folder)}, trainable=["connector"])
    assert "\n" not in str(caught.value)


def test_a_language_model_without_its_tokeniser_is_refused(place, tmp_path):
    folder = shutil.copytree(place / "tiny/llm", tmp_path / "llm")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ValueError, match=f"^{folder}: its tokenizer knows no words; download it again"):
        build(place, llm=str(folder))


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    for name, message in (("gpu", "gpu: no kind of device; choose auto"), ("cuda:99", "no such GPU here")):
        with pytest.raises(ValueError, match=message):
            pick_device(name)

    class Large(torch.nn.Linear):
        def to(self, device):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ValueError, match="^cpu: has too little memory for the model; use a larger GPU"):
        move(Large(1, 1), "cpu")


def test_trainable_parts_are_those_asked_for(place):
    model = build(place, trainable=["connector", "lora"])
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert names and all(name.startswith("connector.") or ".lora_" in name for name in names)
    model.set_trainable(["whisper"])
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith("whisper.") and "embed_positions" not in name for name in trained)
    assert model.train().acoustic.training is False


@pytest.mark.parametrize("trainable", [["connector", "lora"], ["whisper", "connector", "lora", "llm"]])
def test_folder_gives_the_same_model_back(place, tmp_path, trainable):
    model = build(place, trainable=trainable, lora=LoraSettings(r=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter) * parameter.requires_grad
    C2SER(model).save_pretrained(tmp_path / "mo del")
    size = (tmp_path / "mo del/model.safetensors").stat().st_size
    again = C2SER.from_pretrained(tmp_path / "mo del").network
    stored = again.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    one, two = (network.generate(network.encode(waves(0.6)), max_new_tokens=8) for network in (model, again))
    assert one == two
    inside = sum(p.numel() for n, p in model.named_parameters() if n.startswith("language.") and ".lora_" not in n)
    total = sum(p.numel() for p in model.parameters())
    assert size >= 4 * (total if "llm" in trainable else total - inside)
    with pytest.raises(ValueError, match="no config.json"):
        C2SER.from_pretrained(tmp_path)


def test_spec_augment_stays_in_the_utterance():
    torch.manual_seed(0)
    mel = augment(torch.ones(4, 80, 100), torch.tensor([100, 50, 20, 3]), SpecAugment(time_width=30))
    hidden = (mel == 0).float()
    assert 0 < hidden.mean() < 0.7
    times = (hidden.mean(dim=1) == 1).sum(dim=1)
    assert (times <= 2 * torch.tensor([20, 10, 4, 0])).all()


def test_substituted_frames_come_from_the_utterance_and_not_from_later():
    torch.manual_seed(0)
    frames, lengths = torch.arange(1.0, 101.0), torch.tensor([100, 40, 1])
    config = SpecAugment(time_masks=0, bin_masks=0, substitutions=3, substitution_width=20)
    moved = 0.0
    for _ in range(20):
        mel = augment(frames.expand(3, 80, 100), lengths, config)
        sources = mel[:, 0]
        assert torch.equal(mel, sources[:, None].expand_as(mel))  # all bins of a frame move together
        assert (sources <= frames).all() and (sources >= 1).all()
        for row, length in zip(sources, lengths, strict=True):
            assert torch.equal(row[length:], frames[length:])
        changed = (sources[:2] != frames).float().sum(dim=1)
        assert (changed <= 60).all()
        moved += float(changed.sum())
    assert moved > 200
    assert torch.equal(augment(frames.expand(3, 80, 100), lengths, SpecAugment(0, 0, 0, 0)), frames.expand(3, 80, 100))


YAML = """
model:
  connector: {dim: 32, layers: 1, heads: 2, feed_forward: 64}
  lora: {r: 2}
  trainable: [whisper, connector, lora, llm]
batches: {seconds: 8, utterances: 8, keep_features: true}
optim: {lr: 3.0e-3, warmup: 0.1, schedule: cosine}
training: {steps: 30, valid_every: 15, save_every: 3, log_every: 1}
validation: {utterances: 8, max_new_tokens: 80}
"""


def command(name, *words):
    return [sys.executable, "-m", f"c2ser.bin.{name}", *map(str, words)]


def environment(root):
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(root, *words):
    return subprocess.run(command(*words), env=environment(root), capture_output=True, text=True)


def explicit_command(place, out):
    (place / "conf.yaml").write_text(YAML)
    parts = ["--model.whisper", place / "tiny/whisper", "--model.llm", place / "tiny/llm"]
    sets = ["--train", place / "data/train", "--valid", place / "data/valid"]
    options = ["--config", place / "conf.yaml", "--stage", "explicit", *sets, "--model.emotion2vec", place / "e2v"]
    return ["train_c2ser", *options, *parts, "--out", out]


@pytest.fixture(scope="module")
def explicit(place, root):
    done = run(root, *explicit_command(place, place / "explicit"))
    assert done.returncode == 0, done.stderr
    return place / "explicit"


def history(folder):
    return checkpoint.load(checkpoint.newest(folder / "checkpoints"))[2]["history"]


def kill_when(root, words, reached):
    job = subprocess.Popen(command(*words), env=environment(root), stderr=subprocess.DEVNULL)
    while job.poll() is None and not reached():
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -9


@pytest.mark.slow
@pytest.mark.xdist_group("c2ser")
def test_killed_training_gives_the_model_of_an_undisturbed_one(place, root, explicit, tmp_path):
    words = explicit_command(place, tmp_path / "m")
    kill_when(root, words, lambda: len(list((tmp_path / "m/checkpoints").glob("step_*"))) >= 2)
    assert not (tmp_path / "m/config.json").exists()
    done = run(root, *words)
    assert done.returncode == 0 and "going on from" in done.stderr
    assert (tmp_path / "m/model.safetensors").read_bytes() == (explicit / "model.safetensors").read_bytes()
    assert history(tmp_path / "m") == history(explicit)
    losses = [row["train/loss"] for row in history(explicit) if "train/loss" in row]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.xdist_group("c2ser")
def test_the_implicit_stage_goes_from_all_explicit_to_none(place, root, explicit, tmp_path):
    sets = ["--train", place / "data/train", "--valid", place / "data/valid", "--out", tmp_path / "m"]
    words = ["train_c2ser", "--config", place / "conf.yaml", "--stage", "implicit", *sets]
    done = run(root, *words)
    assert done.returncode == 1 and "give the explicit stage's folder with --init" in done.stderr
    done = run(root, *words, "--init", explicit)
    assert done.returncode == 0, done.stderr
    shares = [row["train/explicit"] for row in history(tmp_path / "m") if "train/explicit" in row]
    assert len(shares) == 30 and set(shares) == {0.0, 1.0}
    assert sum(shares[:10]) >= 7 and sum(shares[-10:]) <= 3
    assert C2SER.from_pretrained(tmp_path / "m").config.style == "implicit"


@pytest.mark.slow
@pytest.mark.xdist_group("c2ser")
def test_killed_decoding_gives_the_answers_of_an_undisturbed_one(place, root, explicit, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("wav.scp", "utt2spk"):
        write_table(data / name, read_table(place / "data/train" / name))
    with open(data / "wav.scp", "a") as file:
        file.write("s9-missing /no/such.wav\n")
    with open(data / "utt2spk", "a") as file:
        file.write("s9-missing s9\n")
    options = ["--model", explicit, "--data", data, "--decode.batch_utterances", "2", "--decode.max_new_tokens", "90"]
    done = run(root, "decode", *options, "--out", tmp_path / "one/answer")
    assert done.returncode == 0, done.stderr
    partial = tmp_path / "two/answer.partial"
    words = ["decode", *options, "--out", tmp_path / "two/answer"]
    kill_when(root, words, lambda: partial.exists() and partial.read_text().count("\n") >= 5)
    assert not (tmp_path / "two/answer").exists()
    done = run(root, *words)
    assert done.returncode == 0 and "were finished before; going on" in done.stderr
    for name in ("answer", "answer.rejected"):
        assert read_table(tmp_path / "two" / name) == read_table(tmp_path / "one" / name)
    assert len(read_table(tmp_path / "one/answer")) == 16 == len(read_table(tmp_path / "two/utt2ms"))
    assert "cannot read" in read_table(tmp_path / "one/answer.rejected")["s9-missing"]


def test_a_generic_tokeniser_beside_qwen2_stays_what_it_is(place):
    llm, tokenizer = load_llm(str(place / "tiny/llm"), "float32")
    assert llm.config.model_type == "qwen2"
    text = "The emotion of 这条语音 is anger."
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
