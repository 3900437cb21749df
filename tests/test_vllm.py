"""Answers by vLLM: the requests, checked against its documented interface, and the same tables as by transformers."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
import vllm_stub
from random_c2ser import answering, make_parts
from transformers import AutoModelForCausalLM

from c2ser import C2SER
from c2ser.bin.decode import main as decode_main
from c2ser.model import decoding, vllm_engine
from c2ser.model.adapters import merge_adapters
from c2ser.model.config import DecodeConfig
from c2ser.tables import read_table, write_table

SHORT = DecodeConfig(max_new_tokens=8, batch_utterances=2)
DRAWN = replace(SHORT, sample=True, top_k=50, top_p=0.95, temperature=1.5)


def wave(seconds, seed):
    return np.random.default_rng(seed).normal(size=int(16000 * seconds)).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a model whose adapters do something, and whose end token does come up; and a data directory."""
    place = tmp_path_factory.mktemp("vllm")
    make_parts(place)
    model = answering(place)
    waves = {f"s-{i}": wave(0.4 + 0.2 * i, i) for i in range(6)} | {"s-6": wave(31, 6)}
    network = model.network.eval()
    said = network.language.tokenizer(network.generate(network.encode([waves["s-0"]]), max_new_tokens=6)[0][0])
    network.config.end_token = network.language.tokenizer.convert_ids_to_tokens(said["input_ids"][3])
    model.save_pretrained(place / "model")
    (place / "data").mkdir()
    for name, samples in waves.items():
        soundfile.write(place / f"data/{name}.wav", samples, 16000)
    (place / "data/s-7.wav").write_bytes(b"RIFF")
    rows = [*waves, "s-7"]
    write_table(place / "data/wav.scp", {name: str(place / f"data/{name}.wav") for name in rows})
    write_table(place / "data/utt2spk", dict.fromkeys(rows, "s"))
    write_table(place / "data/utt2dur", {name: "31" if name == "s-6" else "0.5" for name in rows})
    return place


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", vllm_stub.module())
    monkeypatch.setattr(decoding, "ENGINE_BATCHES", 2)
    return vllm_stub.LLM


@pytest.fixture(scope="module")
def model(made):
    return C2SER.from_pretrained(made / "model")


@pytest.fixture
def decode(made, model):
    def run(out, config):
        decoding.decode(model, made / "data", out / "answer", config)
        return tables(out)

    return run


def tables(out):
    """What a run wrote, without times and with probabilities as numbers."""
    probabilities = {name: [*map(float, row.split())] for name, row in read_table(out / "utt2prob").items()}
    tokens = {name: row.split()[1] for name, row in read_table(out / "utt2ms").items()}
    return read_table(out / "answer"), tokens, read_table(out / "answer.rejected"), probabilities


@pytest.mark.parametrize("config", [SHORT, DRAWN, replace(SHORT, style="explicit")])
def test_both_engines_write_the_same_tables(decode, stub, tmp_path, config):
    plain = decode(tmp_path / "plain", config)
    found = decode(tmp_path / "vllm", replace(config, engine="vllm"))
    assert found[:3] == plain[:3] and [*found[2]] == ["s-7"]
    for name, row in found[3].items():
        assert row == pytest.approx(plain[3][name], abs=1e-5)
    assert len({*plain[1].values()}) > 1  # some answers end by themselves
    assert len(stub.started) == 1 and stub.calls == [4, 4]  # the long one in two pieces


def test_the_folder_holds_the_merged_model_and_is_made_once(made, tmp_path):
    folder, model = tmp_path / "model/vllm", C2SER.from_pretrained(made / "model")
    folder.parent.mkdir()
    llm = model.network.language.llm
    vllm_engine.write_merged(llm, folder)
    written = AutoModelForCausalLM.from_pretrained(folder)
    merge_adapters(llm)
    weights = {name: weight for name, weight in written.named_parameters()}
    for name, weight in llm.named_parameters():
        assert torch.equal(weight, weights.pop(name))
    assert not weights
    first = (folder / "config.json").stat().st_mtime_ns
    llm = C2SER.from_pretrained(made / "model").network.language.llm
    vllm_engine.write_merged(llm, folder)
    assert (folder / "config.json").stat().st_mtime_ns == first
    with torch.no_grad():
        next(parameter for name, parameter in llm.named_parameters() if ".lora_B" in name)[0, 0] += 1e-6
    vllm_engine.write_merged(llm, folder)
    assert (folder / "config.json").stat().st_mtime_ns > first
    assert [path.name for path in folder.parent.iterdir()] == ["vllm"]


@pytest.mark.parametrize("kind", ["aborted", "killed"])
def test_a_run_goes_on_where_it_ended(decode, stub, tmp_path, monkeypatch, kind):
    config, calls = replace(SHORT, engine="vllm"), []
    whole = decode(tmp_path / "whole", config)
    answer = stub.answer

    def end(self, embeds, params):
        calls.append(len(embeds))
        if len(calls) == 6 and kind == "killed":
            raise KeyboardInterrupt
        output = answer(self, embeds, params)
        if len(calls) == 6:
            output.outputs[0].finish_reason = "abort"
        return output

    monkeypatch.setattr(stub, "answer", end)
    words = r"^s-\d/\d: vLLM gave up its answer \(abort\); give the same command again" if kind == "aborted" else None
    with pytest.raises(ValueError if words else KeyboardInterrupt, match=words):
        decode(tmp_path / "out", config)
    assert not (tmp_path / "out/answer").exists() and (tmp_path / "out/answer.partial").exists()
    kept = len(calls)
    assert decode(tmp_path / "out", config) == whole
    assert len(calls) - kept == 4  # what was answered is not asked again


@pytest.mark.parametrize("place", ["__init__", "generate"])
def test_what_vllm_says_is_one_line(decode, stub, tmp_path, monkeypatch, place):
    def dead(*words, **options):
        raise RuntimeError("EngineCore encountered an issue.\nSee stack trace")

    monkeypatch.setattr(stub, place, dead)
    said = "does not start" if place == "__init__" else "stopped"
    with pytest.raises(ValueError, match=rf"^vLLM: {said} \(EngineCore encountered an issue. See stack trace\); its "):
        decode(tmp_path, replace(SHORT, engine="vllm"))


def test_without_vllm_one_line_says_what_to_install(made, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ValueError, match=r"^vllm: cannot be imported \(.*\); pip install 'c2ser\[vllm\]'$"):
        decode_main(made / "model", made / "data", tmp_path / "answer", replace(SHORT, engine="vllm"), "cpu")


@pytest.mark.parametrize("bad", [{"beams": 2}, {"repetition_penalty": 1.05}, {"sample": True, "top_p": 0.0}])
def test_a_search_that_vllm_does_not_know_is_refused(bad):
    assert DecodeConfig(**bad)
    with pytest.raises(ValueError, match="^engine vllm: knows no beams"):
        DecodeConfig(**bad, engine="vllm")


def test_requests_fit_and_have_the_precision_of_the_language_model(made, stub, tmp_path):
    network = C2SER.from_pretrained(made / "model").network
    network.language.llm.bfloat16()
    contexts = network.contexts(network.encode([wave(30, 0), wave(0.5, 1)]), "implicit")
    engine = vllm_engine.VllmEngine(network, tmp_path / "vllm", DecodeConfig(max_new_tokens=3, engine="vllm"))
    assert [len(row) <= 3 for row in engine.answer(contexts, ["long", "short"])] == [True, True]
    (started,) = stub.started
    assert started["dtype"] == "bfloat16" and 0 <= started["max_model_len"] - len(contexts[0]) - 3 < 3


def test_vllm_is_for_data_directories(model):
    with pytest.raises(ValueError, match="^engine vllm: answers data directories"):
        model.recogniser(decode=DecodeConfig(engine="vllm"))
    with pytest.raises(ValueError, match="^vLLM reads models from folders; save this one"):
        C2SER(model.network).start_engine(DecodeConfig(engine="vllm"))


def test_vllm_leaves_a_part_of_the_card_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert vllm_engine._memory(torch.device("cuda")) == {"gpu_memory_utilization": pytest.approx(0.525)}
    assert vllm_engine._memory(torch.device("cpu")) == {}
