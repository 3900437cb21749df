"""Decoding: label probabilities, sampling, long speech, one-line use, files, model folders that are not whole."""

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from fixtures.sound import voice
from hypothesis import given, settings
from hypothesis import strategies as st
from random_c2ser import answering, make_parts
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax

from c2ser import C2SER, audio
from c2ser.bin.argmax_labels import main as argmax_main
from c2ser.bin.decode import main as decode_main
from c2ser.bin.train_c2ser import main as train_main
from c2ser.cli import run
from c2ser.corpus import read_data_dir
from c2ser.cot.prompts import instruction
from c2ser.data.datasets import load_wave
from c2ser.data.prefetch import prefetch, prefetch_batches
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotions import EMOTIONS
from c2ser.model import lm as lm_module
from c2ser.model import search as search_module
from c2ser.model.config import (
    DecodeConfig,
    SearchConfig,
)
from c2ser.model.continuations import Tree, log_probabilities
from c2ser.model.decoding import calibrate
from c2ser.model.export import export
from c2ser.model.folder import load_network
from c2ser.model.key_values import InstructionCache, Reading
from c2ser.model.label_scores import endings, label_scores, short_answers
from c2ser.model.recognition import decode_batch
from c2ser.model.search import search_tokens
from c2ser.scoring.probabilities import argmax_labels, fit_temperature, fit_to_shares
from c2ser.tables import read_json, read_table, write_json, write_table

PUBLISHED = SearchConfig(beams=4, sample=True, top_p=0.0, top_k=0, repetition_penalty=1.05)


def wave(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=int(16000 * seconds)).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Random models and their tokeniser, which knows the answers."""
    folder = tmp_path_factory.mktemp("parts")
    make_parts(folder)
    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    small = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    small |= {"position_kernel": 3, "position_groups": 2, "decoder_groups": 2, "decoder_dim": 16}
    save_model(Emotion2Vec(Emotion2VecConfig(**small, convs=convs)), folder / "e2v")
    return folder


@pytest.fixture(scope="module")
def folder(parts):
    """A model's folder whose adapters do something."""
    torch.manual_seed(0)
    answering(parts, emotion2vec=str(parts / "e2v")).save_pretrained(parts / "model")
    return parts / "model"


@pytest.fixture(scope="module")
def model(folder):
    return C2SER.from_pretrained(folder)


def one_by_one(llm, context, continuations):
    """Score each continuation by a forward pass of its own over everything."""
    scores = []
    for ids in continuations:
        tokens = torch.tensor(ids)
        embedded = torch.cat([context, llm.get_input_embeddings()(tokens)])[None]
        logits = llm(inputs_embeds=embedded).logits[0, len(context) - 1 : -1]
        scores.append(log_softmax(logits, -1)[range(len(ids)), ids].sum())
    return torch.stack(scores)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=5), min_size=1, max_size=6), min_size=1, max_size=3
    )
)
def test_one_pass_over_a_tree_is_many_passes(continuations):
    llm = test_one_pass_over_a_tree_is_many_passes.llm
    contexts = [torch.randn(3 + 4 * i, 16) for i in range(len(continuations))]
    with torch.no_grad():
        together = log_probabilities(llm, contexts, continuations)
        for context, ids, scores in zip(contexts, continuations, together, strict=True):
            assert (one_by_one(llm, context, ids) - scores).abs().max() < 1e-5


def small_llm():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=8, num_key_value_heads=1, initializer_range=0.3, **sizes)).eval()


test_one_pass_over_a_tree_is_many_passes.llm = small_llm()


def test_a_tree_holds_common_beginnings_once():
    tree = Tree.of([[5, 6, 7, 2], [5, 6, 8, 2], [5, 2], [9]])
    assert tree.tokens == [5, 6, 7, 8] and tree.parents == [-1, 0, 1, 1]
    assert tree.steps[2] == [(-1, 5), (0, 2)] and tree.steps[3] == [(-1, 9)]


@pytest.mark.parametrize("languages", [["en", "zh", "de"], [None, "en", None]])
def test_seven_labels_in_one_pass_are_seven_passes(model, languages):
    model, calls = model.network, []
    model.language._instructions = InstructionCache()
    handle = model.language.llm.get_decoder().register_forward_hook(lambda *words: calls.append(1))
    with torch.no_grad():
        speech = model.encode_features(model.extract_features([wave(0.7), wave(1.9), wave(1.2)]))
        scores = label_scores(model, speech, "implicit", languages, None)
        assert len(calls) == 2  # the instruction, once for all batches; then seven labels for three utterances
        assert torch.equal(scores, label_scores(model, speech, "implicit", languages, None)) and len(calls) == 3
        handle.remove()
        contexts = model.language.contexts(speech, model.connector.boundaries, [instruction("implicit")] * 3)
        for context, language, row in zip(contexts, languages, scores, strict=True):
            forms = []
            for texts in short_answers(language):
                ids = [[*model.language._tokens(text), model.language.end] for text in texts]
                forms.append(one_by_one(model.language.llm, context, ids).double())
            total = torch.stack(forms).logsumexp(0)
            assert (total - row).abs().max() < 1e-4  # sums of some sixty logarithms, in single precision
            assert (total.softmax(0) - row.softmax(0)).abs().max() < 1e-5
    assert len(short_answers(None)) == 2 and short_answers("en")[0][0] == "The emotion of this speech is anger."


def test_explicit_answers_are_kept_up_to_the_emotion():
    spoken = "A low tone: “I fear so”. Hence the emotion was inferred to be "
    assert endings(f"{spoken}sadness, deep grief. No joy.", "en")[0] == f"{spoken}anger."
    assert endings("声音低：“高兴”。推断情绪为悲伤。", None)[1] == "声音低：“高兴”。推断情绪为高兴。"
    conclusion = "Based on the analysis of speech characteristics, the emotion was inferred to be fear."
    assert endings("A low tone", "en")[6] == f"A low tone {conclusion}"
    assert endings("声音低。", "zh")[0] == "声音低。根据对语音特征的分析，推断情绪为愤怒。"


def test_explicit_probabilities_follow_the_answer(model):
    found = decode_batch(
        model.network, {"a": wave(0.8)}, {"a": "en"}, DecodeConfig(style="explicit", max_new_tokens=6)
    )["a"]
    with torch.no_grad():
        speech = model.network.encode([wave(0.8)])
        by_hand = model.network.score(speech, "explicit", [endings(found.answer, "en")])[0]
    assert np.abs(by_hand.numpy() - found.scores).max() < 1e-4
    with pytest.raises(ValueError, match="follow from their answers"):
        model.predict(wave(0.5), 16000, style="explicit", answers=False)


@pytest.mark.parametrize(
    "search", [PUBLISHED, SearchConfig(beams=4, sample=True, top_p=0.9), SearchConfig(sample=True)]
)
def test_sampling_depends_on_the_utterance_and_the_seed_alone(model, search):
    waves = {"a": wave(0.6, 1), "b": wave(1.1, 2), "c": wave(0.6, 1)}
    config = DecodeConfig(**vars(search), max_new_tokens=25)
    before = torch.random.get_rng_state()
    together = model.recognise(waves, {}, config)
    assert torch.equal(before, torch.random.get_rng_state())
    alone = model.recognise({"b": waves["b"]}, {}, config)
    assert alone["b"].answer == together["b"].answer
    other = model.recognise(waves, {}, DecodeConfig(**{**vars(search), "seed": 1}, max_new_tokens=25))
    # With top_p 0 two tokens of each of four beams are all drawn, as eight are. Chance orders them, and so decides
    # what may be the last; the answers are the same up to there.
    assert (other["b"].answer[:20] == together["b"].answer[:20]) == (search is PUBLISHED)
    same_speech = together["a"].answer[:20], together["c"].answer[:20]
    assert (same_speech[0] == same_speech[1]) == (search is PUBLISHED)
    greedy = model.recognise(waves, {}, DecodeConfig(max_new_tokens=25))
    assert [greedy[name].answer for name in waves] != [together[name].answer for name in waves]


def tokens_read(llm, counts):
    """Count the positions that the language model computes, in all rows together."""

    def count(module, words, options):
        embedded = options.get("inputs_embeds")
        counts.append(options["input_ids"].numel() if embedded is None else embedded.shape[:2].numel())

    return llm.get_decoder().register_forward_pre_hook(count, with_kwargs=True)


@pytest.mark.parametrize(
    "style, search",
    [
        ("implicit", SearchConfig()),
        ("explicit", SearchConfig()),
        ("explicit", SearchConfig(beams=3)),
        ("implicit", SearchConfig(repetition_penalty=1.5)),
    ],
)
def test_nothing_is_read_twice(model, monkeypatch, style, search):
    """Answers and scores are those of a model that reads each context alone, from its beginning, twice."""
    network, read, codes = model.network, [], {"0": "en", "1": "zh"}
    language = network.language
    sounds = {str(i): wave(seconds, i) for i, seconds in enumerate((0.7, 1.9, 1.2))}
    config = DecodeConfig(**vars(search), max_new_tokens=8, style=style)
    with monkeypatch.context() as patched:
        patched.setattr(lm_module, "may_share", lambda llm: False)
        patched.setattr(Reading, "take", lambda self: None)
        alone = {name: decode_batch(network, {name: sound}, codes, config)[name] for name, sound in sounds.items()}
    together = decode_batch(network, sounds, codes, config)
    with torch.no_grad():
        speech = network.encode(list(sounds.values()))
        contexts = language.contexts(speech, network.connector.boundaries, [instruction(style)] * 3)
    for name, one in together.items():
        assert (one.answer, one.tokens) == (alone[name].answer, alone[name].tokens)
        assert one.scores == pytest.approx(alone[name].scores, rel=1e-6)  # sums of hundreds of logarithms
    handle = tokens_read(language.llm, read)
    decode_batch(network, sounds, {}, replace(config, max_new_tokens=1))
    handle.remove()
    shared = len(language.prompt_ids(instruction(style))[0]) + 1
    longest = max(map(len, contexts))
    assert read[0] == 3 * search.beams * (longest - shared)  # the instruction was read for the batch before
    assert len(read) == 2


@pytest.mark.parametrize("search", [SearchConfig(compiled=True), SearchConfig(compiled=True, beams=2)])
def test_answers_for_which_a_card_compiles_are_the_same(model, monkeypatch, search):
    """Only the shapes and the place of keys and values are a card's here; nothing is compiled on a processor."""
    network, shapes = model.network, []
    sounds = {str(i): wave(seconds, i) for i, seconds in enumerate((0.7, 1.9, 1.2))}
    config = DecodeConfig(**vars(search), max_new_tokens=8)
    plain = decode_batch(network, sounds, {}, config)  # a processor takes no notice
    monkeypatch.setattr(search_module, "compiles_steps", lambda kind: True)
    llm = network.language.llm
    monkeypatch.setattr(llm, "generate", lambda **options: shapes.append(options) or type(llm).generate(llm, **options))
    found = decode_batch(network, sounds, {}, config)
    for name, one in found.items():
        assert (one.answer, one.tokens) == (plain[name].answer, plain[name].tokens)
        assert one.scores == pytest.approx(plain[name].scores, rel=1e-6)
    (options,) = shapes
    rows, places = options["inputs_embeds"].shape[:2]
    assert rows == 4 and places % 64 == 0 and options["cache_implementation"] == "static"


def test_other_weights_read_the_instruction_anew(model):
    network = model.network
    language, boundaries = network.language, network.connector.boundaries

    def begin():
        with torch.no_grad():
            context = torch.cat([language._embed(language.prompt_ids("a b")[0]), boundaries[:1]])
        return language._begun([context], boundaries, ["a b"])

    first = begin()
    assert begin() is first
    weight = next(p for name, p in language.llm.named_parameters() if ".lora_B" in name)
    for changed in (weight, boundaries):
        before = changed.detach().clone()
        with torch.no_grad():
            changed += 0.5
            second = begin()
            assert second is not first and begin() is second
            changed.copy_(before)
        first = begin()
    with torch.autocast("cpu", torch.bfloat16):
        assert begin() is not first


@pytest.mark.parametrize("bad", [{"beams": 0}, {"top_p": 3.0}, {"top_k": -1}, {"repetition_penalty": 0.0}])
def test_a_search_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="no such search; set beams from 1"):
        DecodeConfig(**bad)


@pytest.mark.parametrize(
    "main, word, message",
    [(decode_main, "--decode.beams=0", "no such search"), (train_main, "--training.accumulate=0", "is 0; give 1")],
)
def test_settings_that_cannot_be_are_one_line(monkeypatch, capsys, main, word, message):
    required = ["--model=x", "--data=x"] if main is decode_main else ["--train=x", "--valid=x", "--stage=explicit"]
    monkeypatch.setattr(sys, "argv", ["entry", *required, "--out=x", word])
    with pytest.raises(SystemExit) as end:
        run(main)
    said = capsys.readouterr().err
    assert end.value.code == 2 and message in said and said.count("\n") == 1


def test_repetition_is_made_less_probable(model):
    context = torch.randn(5, 32)
    plain, other = (
        search_tokens(model.network.language.llm, [context], 30, SearchConfig(repetition_penalty=p))[0]
        for p in (1.0, 1e6)
    )
    assert len(set(plain)) < 0.9 * len(plain) and len(set(other)) == len(other)


@settings(max_examples=30, deadline=None)
@given(seconds=st.floats(0.1, 40), longest=st.floats(2.0, 9.0))
def test_pieces_make_up_the_wave(seconds, longest):
    whole = wave(seconds)
    pieces = audio.pieces(whole, longest, 1.0)
    assert np.array_equal(np.concatenate(pieces), whole)
    assert all(len(piece) <= longest * 16000 for piece in pieces)
    assert len(pieces) == 1 or min(map(len, pieces)) >= 16000 - 1


def test_long_speech_is_cut_in_its_pauses():
    whole = wave(70)
    for start in 24.0, 47.5:  # half a second each
        whole[int(start * 16000) : int((start + 0.5) * 16000)] *= 1e-3
    ends = np.cumsum([len(piece) for piece in audio.pieces(whole)]) / 16000
    assert len(ends) == 3 and 24.1 < ends[0] < 24.4 and 47.6 < ends[1] < 47.9


def test_long_speech_is_pooled_by_duration(model):
    whole, config = wave(37.5), DecodeConfig(max_new_tokens=4)
    found = model.recognise({"x": whole, "y": wave(0.5)}, {"x": "en"}, config)
    parts = [model.recognise({"x": piece}, {"x": "en"}, DecodeConfig())["x"] for piece in audio.pieces(whole)]
    lengths = [len(piece) for piece in audio.pieces(whole)]
    assert len(parts) == 2
    for emotion in EMOTIONS:
        mean = sum(n * part.probabilities[emotion] for n, part in zip(lengths, parts, strict=True)) / len(whole)
        assert found["x"].probabilities[emotion] == pytest.approx(mean, abs=1e-5)
    assert sum(found["x"].probabilities.values()) == pytest.approx(1) and found["x"].tokens > found["y"].tokens


def data_dir(folder, waves):
    rows = {}
    for name, samples in waves.items():
        rows[name] = str(folder / f"{name}.wav")
        folder.mkdir(exist_ok=True)
        soundfile.write(rows[name], samples, 16000)
    write_table(folder / "wav.scp", rows)
    write_table(folder / "utt2spk", {name: name.split("-")[0] for name in rows})
    write_table(folder / "utt2lang", dict.fromkeys(rows, "en"))
    write_table(folder / "utt2emo", {name: EMOTIONS[i % 7] for i, name in enumerate(rows)})
    return folder


def test_decode_writes_probabilities_beside_answers(folder, model, tmp_path):
    data = data_dir(tmp_path / "data", {"s-1": voice(0.6), "s-2": wave(31.0), "s-3": wave(0.05)})
    decode_main(folder, data, tmp_path / "out/answer", DecodeConfig(max_new_tokens=5), "cpu")
    rows = read_table(tmp_path / "out/utt2prob")
    assert list(rows) == ["s-1", "s-2"] == list(read_table(tmp_path / "out/answer"))
    assert "under the model's" in read_table(tmp_path / "out/answer.rejected")["s-3"]
    alone = model.predict(data / "s-1.wav", language="en")
    assert [float(p) for p in rows["s-1"].split()] == pytest.approx([*alone.probabilities.values()], abs=1e-5)
    assert argmax_labels(rows)["s-1"] == alone.emotion
    with pytest.raises(ValueError, match="^x: '1 2' is not 7 numbers"):
        argmax_labels({"x": "1 2"})


def test_the_most_probable_class_among_those_of_a_corpus(tmp_path, caplog):
    write_table(tmp_path / "utt2prob", {"a": "0.1 0.2 0.1 0.1 0.3 0.1 0.1", "b": "0.3 0.1 0.1 0.2 0.1 0.1 0.1"})
    words = ["--probabilities", str(tmp_path / "utt2prob"), "--out", str(tmp_path / "utt2emo")]
    run(argmax_main, args=[*words, "--among", "[sadness, happiness]"])
    assert read_table(tmp_path / "utt2emo") == {"a": "happiness", "b": "sadness"}
    for among, problem in {
        "[calm]": "--among: calm is none of the classes; choose from anger",
        "[]": "--among: no class is named",
    }.items():
        with pytest.raises(SystemExit):
            run(argmax_main, args=[*words, "--among", among])
        assert problem in caplog.text


def in_bfloat16(folder, device="cpu"):
    """Return the model with its language model in bfloat16, adapters excepted, as `llm_dtype: bfloat16` has it."""
    model = load_network(folder)
    for name, parameter in model.language.llm.named_parameters():
        if ".lora_" not in name:
            parameter.data = parameter.data.bfloat16()
    return model.to(device).eval()


def precisions(model, waves):
    """Return probabilities, and speech embeddings, with the encoders in the model's precision and in fp32."""
    rows, speech = [], [model.encode(waves), model.encode_features(model.extract_features(waves))]
    for vectors in speech:
        with torch.no_grad():
            rows.append(label_scores(model, vectors, "implicit", ["en"] * len(waves), None).softmax(dim=1))
    return rows, [vectors.values.float().cpu() for vectors in speech]


def test_on_a_processor_nothing_is_rounded(folder, model):
    waves = [wave(0.7), wave(1.3)]
    for network in (model.network, in_bfloat16(folder)):
        rows, speech = precisions(network, waves)
        assert torch.equal(*speech) and torch.equal(*rows)


def test_encoders_in_bfloat16_say_nearly_the_same(folder, monkeypatch):
    fast, waves = in_bfloat16(folder), [wave(0.7), wave(1.3), wave(2.0)]
    monkeypatch.setattr(fast, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))  # as it is on a card
    inputs = []
    hooks = [part.register_forward_hook(lambda _, given, made: inputs.append(made)) for part in (
        fast.whisper.spectrogram, fast.whisper.layers.conv1, fast.acoustic.model.audio.project_features[2],
        fast.connector.project)]  # fmt: skip
    rows, speech = precisions(fast, waves)
    assert len(hooks) == 4 and inputs[0].values.dtype == torch.float32
    assert [made.dtype for made in inputs[1:4]] == [torch.bfloat16] * 3
    assert 0 < (speech[0] - speech[1]).abs().max() < 0.05 * speech[1].abs().max()
    assert (rows[0] - rows[1]).abs().max() < 0.05


@pytest.mark.gpu
def test_encoders_answer_in_the_precision_of_the_language_model_on_a_card(folder):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    waves = [wave(0.7), wave(1.3), wave(2.0)]
    rows, speech = precisions(in_bfloat16(folder, "cuda"), waves)
    assert 0 < (speech[0] - speech[1]).abs().max() < 0.05 * speech[1].abs().max()
    assert (rows[0] - rows[1]).abs().max() < 0.05
    rows, speech = precisions(load_network(folder).to("cuda"), waves)
    assert torch.equal(*speech)  # a language model in fp32 leaves the encoders in it


def test_batches_are_read_while_those_before_are_in_use(tmp_path):
    data = data_dir(tmp_path / "data", {f"s-{i}": wave(0.3, i) for i in range(8)})
    (data / "s-3.wav").write_bytes(b"RIFF")
    utterances, read, third = read_data_dir(data), [], threading.Event()

    def load(name):
        read.append(name)
        if name == "s-5":
            third.set()
        return load_wave(utterances[name])

    batches = prefetch_batches([["s-0", "s-1"], ["s-2", "s-3"], ["s-4", "s-5"], ["s-6"], ["s-7"]], load)
    first = next(batches)
    assert third.wait(20)  # the third is read although the second was not asked for
    time.sleep(0.2)
    assert "s-7" not in read
    found = [first, *batches]
    assert [[*batch.items] for batch in found] == [["s-0", "s-1"], ["s-2"], ["s-4", "s-5"], ["s-6"], ["s-7"]]
    assert [*found[1].rejected] == ["s-3"] and found[1].rejected["s-3"].startswith("cannot read")
    assert all(np.array_equal(batch.items[n], load_wave(utterances[n])) for batch in found for n in batch.items)
    assert read == [*utterances]
    stopped = prefetch_batches([[name] for name in utterances], load)
    next(stopped)
    stopped.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
    with pytest.raises(KeyError):  # what is no flaw of the sound stops the job
        [*prefetch_batches([["nobody"]], load)]


def test_small_batches_with_bad_audio_give_the_answers_of_each_alone(folder, model, tmp_path):
    data = data_dir(tmp_path / "data", {f"s-{i}": wave(0.3 + 0.1 * (i % 4), i) for i in range(9)})
    (data / "s-5.wav").write_bytes((data / "s-5.wav").read_bytes()[:2000])
    write_table(data / "utt2dur", {f"s-{i}": "0.5" for i in range(9)})  # so that its header is not looked at before
    decode_main(folder, data, tmp_path / "out/answer", DecodeConfig(max_new_tokens=5, batch_utterances=2), "cpu")
    said = read_table(tmp_path / "out/answer")
    assert list(said) == [f"s-{i}" for i in range(9) if i != 5]
    assert list(read_table(tmp_path / "out/answer.rejected")) == ["s-5"]
    for name in said:
        alone = model.recognise({name: audio.load(data / f"{name}.wav", name)}, {name: "en"},
                          DecodeConfig(max_new_tokens=5))[name]  # fmt: skip
        assert said[name] == " ".join(alone.answer.split())


def test_the_temperature_is_found_again():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(4000, 7)) * 2
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    drawn = [EMOTIONS[generator.choice(7, p=row)] for row in shares]
    rows = {str(i): " ".join(map(str, 3 * row - 40)) for i, row in enumerate(scores)}  # three times too sure
    fitted = fit_temperature(rows, {str(i): emotion for i, emotion in enumerate(drawn)})
    assert fitted["temperature"] == pytest.approx(3, rel=0.05) and fitted["nll_after"] < fitted["nll_before"]
    with pytest.raises(ValueError, match="check the validation set"):
        fit_temperature(rows, {})


def test_the_temperature_fits_shares_of_votes_too():
    """A vote drawn from each row would say the same; shares need no draw, and fewer utterances."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 4)) * 2
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert fit_to_shares(2.5 * scores, shares)["temperature"] == pytest.approx(2.5, rel=0.03)


def test_a_model_that_errs_nowhere_is_not_made_sure_of_everything():
    scores = np.full((60, 7), -9.0)
    true = [number % 7 for number in range(60)]
    scores[np.arange(60), true] = -0.1
    rows = {str(i): " ".join(map(str, row)) for i, row in enumerate(scores)}
    fitted = fit_temperature(rows, {str(i): EMOTIONS[emotion] for i, emotion in enumerate(true)})
    probabilities = np.exp(scores / fitted["temperature"])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert probabilities[np.arange(60), true] == pytest.approx(1 - 1 / 62, abs=1e-4)


def test_calibration_changes_what_a_folder_predicts(folder, model, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    data = data_dir(tmp_path / "data", {f"s-{i}": wave(0.4 + 0.1 * i, i) for i in range(7)})
    temperature = calibrate(C2SER.from_pretrained(folder), tmp_path / "m", data, DecodeConfig())
    again = C2SER.from_pretrained(tmp_path / "m")
    assert again.temperature == temperature != 1.0
    before, after = (m.predict(voice(0.6), 16000, "en").probabilities for m in (model, again))
    powers = np.array([*before.values()]) ** (1 / temperature)
    assert [*after.values()] == pytest.approx(powers / powers.sum(), abs=1e-6)
    again.save_pretrained(tmp_path / "m")  # other weights want another temperature
    assert C2SER.from_pretrained(tmp_path / "m").temperature == 1.0


def test_one_line_takes_files_lists_and_waveforms(model, tmp_path):
    soundfile.write(tmp_path / "a b.wav", voice(0.6), 16000)
    found = model.predict(str(tmp_path / "a b.wav"))
    assert found.emotion == max(found.probabilities, key=found.probabilities.get) and found.style == "implicit"
    read = audio.load(tmp_path / "a b.wav", "x")
    both = model.predict([tmp_path / "a b.wav", torch.from_numpy(read)], rate=16000)
    for one in both:
        assert one.answer == found.answer and one.tokens == found.tokens > 0
        assert [*one.probabilities.values()] == pytest.approx([*found.probabilities.values()], abs=1e-5)
    assert model.predict(voice(0.6)[::2], rate=8000, answers=False).answer == ""


def test_the_package_reaches_torch_only_for_the_model(root):
    code = (
        "import sys, c2ser; early = 'torch' in sys.modules; c2ser.C2SER; sys.exit(early or 'torch' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.mark.parametrize("merge", [True, False])
def test_an_exported_model_answers_as_its_source(folder, parts, model, tmp_path, merge):
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    write_json(source / "calibration.json", {"temperature": 2.0})
    (source / "config.yaml").write_text("train: no/such\nvalid: x\noptim:\n  lr: 0.25\n")
    write_json(source / "decode_test/scores.json", {"ua": 0.5, "wa": 0.25, "utterances": 9, "unreadable": 1})
    export(source, tmp_path / "new/model", merge)
    again = C2SER.from_pretrained(tmp_path / "new/model")
    parts_of_it = load_file(tmp_path / "new/model/model.safetensors")
    assert any(".lora_" in name for name in parts_of_it) != merge
    waves = [wave(0.5), wave(1.4)]
    one, two = (m.network.generate(m.network.encode(waves), max_new_tokens=12) for m in (again, model))
    assert one == two
    scores = [
        decode_batch(m.network, {"a": waves[1]}, {"a": "en"}, DecodeConfig(max_new_tokens=1))["a"].scores
        for m in (again, model)
    ]
    assert np.abs(scores[0] - scores[1]).max() < 1e-3 and again.temperature == 2.0
    page = (tmp_path / "new/model/README.md").read_text()
    assert "| test | 50.0 | 25.0 | 9 | 1 |" in page and "lr: 0.25" in page and "Article 5(1)(f)" in page
    with pytest.raises(ValueError, match="exists; choose a new folder"):
        export(source, tmp_path / "new/model", merge)
    if merge:
        with pytest.raises(ValueError, match="no LoRA adapters"):
            export(tmp_path / "new/model", tmp_path / "twice", True)
        assert not (tmp_path / "twice").exists()


def test_a_folder_of_format_2_gives_the_same_model(folder, model, tmp_path):
    """Format 2 had other names for the connector's feed-forward layers and for the fingerprints."""
    old = shutil.copytree(folder, tmp_path / "old")
    renamed = {}
    for name, tensor in load_file(old / "model.safetensors").items():
        if name.startswith("connector.layers."):
            name = name.replace(".up_proj.", ".rise.").replace(".down_proj.", ".fall.")
        renamed[name] = tensor
    assert sum(".rise." in name or ".fall." in name for name in renamed) == 4
    save_file(renamed, old / "model.safetensors")
    content = read_json(old / "config.json") | {"format": 2}
    for name in ("llm", "tokenizer"):
        content[f"{name}_print"] = content.pop(f"{name}_fingerprint")
    write_json(old / "config.json", content)
    weights, expected = (m.network.state_dict() for m in (C2SER.from_pretrained(old), model))
    assert weights.keys() == expected.keys() and all(torch.equal(weights[name], expected[name]) for name in weights)
    C2SER.from_pretrained(old).save_pretrained(old)
    assert read_json(old / "config.json")["format"] == 3 and load_network(old)


def settings_changed(*path, value):
    def change(folder):
        content = read_json(folder / "config.json")
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        write_json(folder / "config.json", content)

    return change


def weights_changed(change):
    def write(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return write


def cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def another_llm(folder):
    """The same sizes, other weights."""
    from transformers import AutoModelForCausalLM

    llm = AutoModelForCausalLM.from_pretrained(read_json(folder / "config.json")["c2ser"]["llm"])
    with torch.no_grad():
        next(llm.parameters()).mul_(2)
    llm.save_pretrained(folder / "llm")
    shutil.copytree(folder / "tokenizer", folder / "llm", dirs_exist_ok=True)
    settings_changed("c2ser", "llm", value=str(folder / "llm"))(folder)


def llm_cut_short(folder):
    """The language model's own file is damaged."""
    llm = shutil.copytree(read_json(folder / "config.json")["c2ser"]["llm"], folder / "llm")
    cut_short(llm)
    settings_changed("c2ser", "llm", value=str(llm))(folder)


def another_tokenizer(folder):
    path = folder / "tokenizer/tokenizer.json"
    content = json.loads(path.read_text())
    pieces = content["model"]["vocab"]
    pieces[300], pieces[301] = [pieces[301][0], pieces[300][1]], [pieces[300][0], pieces[301][1]]
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (settings_changed("c2ser", "colour", value=1), "no setting 'colour'"),
        (settings_changed("c2ser", "lora", "ranks", value=1), "LoraSettings has no setting 'ranks'"),
        (settings_changed("emotion2vec", "depths", value=1), "Emotion2VecConfig has no setting 'depths'"),
        (settings_changed("c2ser", "lora", "r", value=2), r"asks for \(2, 32\) \(lora.r is 2\)"),
        (settings_changed("features", "hop", value=200), "its features differ"),
        (settings_changed("format", value=1), "not a C²SER model of format 2 to 4"),
        (settings_changed("c2ser", "llm", value="/no/such/llm"), "no/such/llm"),
        (settings_changed("c2ser", "end_token", value="<|nowhere|>"), "no <|nowhere|>"),
        (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "config.json").write_text('{"format": 3}'), "'features' is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "missing or damaged"),
        (lambda folder: shutil.rmtree(folder / "tokenizer"), "tokenizer"),
        (lambda folder: write_json(folder / "calibration.json", {"temperature": 0}), "holds no temperature"),
        (weights_changed(lambda t: t["connector.norm.weight"].fill_(float("nan"))), "connector.norm.weight holds NaN"),
        (weights_changed(lambda t: t.pop("connector.norm.weight")), "connector.norm.weight is missing"),
        (weights_changed(lambda t: t.update(extra=torch.zeros(1))), "extra is unknown"),
        (cut_short, "missing or damaged"),
        (another_llm, "is not the language model"),
        (llm_cut_short, "no language model that loads"),
        (another_tokenizer, "splits texts differently"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder, tmp_path, change, message):
    shutil.copytree(folder, tmp_path / "m")
    change(tmp_path / "m")
    with pytest.raises(ValueError) as caught:
        C2SER.from_pretrained(tmp_path / "m")
    text = str(caught.value)
    assert message.replace("\\", "") in text and "\n" not in text and ";" in text and str(tmp_path / "m") in text


def test_a_small_language_model_is_found_where_the_project_is_now(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "m")
    llm = read_json(folder / "config.json")["c2ser"]["llm"]
    settings_changed("c2ser", "llm", value="/before/tools/models/little")(tmp_path / "m")
    monkeypatch.setattr("c2ser.pretrained.__file__", str(tmp_path / "now/c2ser/pretrained.py"))
    with pytest.raises(ValueError, match=f"{tmp_path}/now/tools/models/little: no language model here; run make small"):
        load_network(tmp_path / "m")
    shutil.copytree(llm, tmp_path / "now/tools/models/little")
    assert load_network(tmp_path / "m").config.llm == str(tmp_path / "now/tools/models/little")


def test_weights_that_are_nan_are_not_written(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    broken = C2SER.from_pretrained(folder)
    with torch.no_grad():
        broken.network.connector.norm.weight[0] = float("inf")
    with pytest.raises(ValueError, match="holds NaN or Inf; its training diverged"):
        broken.save_pretrained(tmp_path / "m")
    load_network(tmp_path / "m")


def test_a_full_graphics_card_names_the_batch(model, monkeypatch):
    def full(waves, **_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.network, "extract_features", full)
    with pytest.raises(ValueError, match=r"^a/0: .* 2 utterances, the longest 0.6 s.*lower batch_seconds \(240\)"):
        model.recognise({"a": wave(0.5), "b": wave(0.6)}, {}, DecodeConfig())


def test_readers_leave_the_cores_to_the_model():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert {*prefetch(range(20), lambda _: torch.get_num_threads(), 3)} == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
