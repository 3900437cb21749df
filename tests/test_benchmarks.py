"""Benchmarks: operations counted right, unequal outputs void a timing, every case runs at its small size."""

import json
import math
import os
import re
import subprocess
import sys
import time

import numpy as np
import profile_step
import pytest
import torch
from benchmark import c2ser_cases, emotion2vec_cases, pitch_cases, random_models, runner
from benchmark.cases import CASES, durations, signals
from benchmark.harness import Case, Equivalence, Setting, run_case
from benchmark.report_table import markdown
from test_c2ser import build, place  # noqa: F401 - the fixture is used by name
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from c2ser import audio
from c2ser.attributes.pitch import PitchConfig, PitchTracker, Track
from c2ser.data.sampler import Batches
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import Vectors, WhisperEncoder
from c2ser.training.config import BatchConfig, OptimConfig, TrainConfig, ValidConfig

QUICK = Setting(size="quick")


def made(gap=0.0, calls=None):
    """A case that notes who runs."""
    calls = [] if calls is None else calls
    matrix = torch.randn(200, 200)
    functions = [lambda name=name: (calls.append(name), matrix @ matrix) for name in ("ours", "peer")]
    check = Equivalence("gap", gap, 1e-4)
    return Case(*functions, "other 1.0", lambda: check, {"utterances": 1}, 2 * 200**3, 3 * 4 * 200**2)


def test_ours_and_the_peer_take_turns():
    calls = []
    report = run_case("turns", made(calls=calls), QUICK, 4)
    assert calls == ["ours", "peer"] * 5  # one warm-up of each
    assert len(report["ours"]["runs_s"]) == len(report["peer"]["runs_s"]) == 4
    ratios = sorted(p / o for o, p in zip(report["ours"]["runs_s"], report["peer"]["runs_s"], strict=True))
    assert report["ratio_to_peer"]["median"] == pytest.approx((ratios[1] + ratios[2]) / 2)
    assert (report["ratio_to_peer"]["min"], report["ratio_to_peer"]["max"]) == (ratios[0], ratios[3])
    limit = max(2 * 200**3 / report["ceilings"]["flops_per_s"], 480000 / report["ceilings"]["bytes_per_s"])
    assert report["ratio_to_limit"] == pytest.approx(limit / report["ours"]["min_s"])
    assert 0 <= report["others"] < 1 and report["contended"] == (report["others"] > 0.1)
    assert "other 1.0" in json.dumps(report) and f"{report['ratio_to_peer']['median']:.2f}" in markdown([report])


def test_work_beside_a_benchmark_is_noticed():
    """Another process that computes on one core."""
    case = made()
    case.ours = case.peer = lambda: time.sleep(0.1)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.2)
        report = run_case("beside", case, QUICK, 4)
        other.kill()
    assert report["others"] > 0.4 / os.cpu_count() and "others used" in markdown([report])


@pytest.mark.parametrize("gap", [2e-4, math.nan])
def test_unequal_outputs_void_the_timing(gap):
    calls = []
    report = run_case("void", made(gap, calls), QUICK, 3)
    assert not calls and report["ratio_to_peer"] is None and "ours" not in report
    assert "void" in markdown([report])


def test_outputs_are_compared_without_rounding_convolutions():
    case, rounds = made(), []
    case.check = lambda: rounds.append(torch.backends.cudnn.allow_tf32) or Equivalence("gap", 0.0, 1e-4)
    run_case("rounding", case, QUICK, 1)
    assert rounds == [False] and torch.backends.cudnn.allow_tf32


def test_signals_are_the_same_for_a_seed_and_have_the_lengths():
    seconds = durations(64, 1)
    assert 0.6 <= seconds.min() and seconds.max() <= 20 and 4 < seconds.mean() < 8
    first, again = signals(seconds[:2], 1), signals(seconds[:2], 1)
    assert all((one == other).all() and one.std() > 0.01 for one, other in zip(first, again, strict=True))
    assert [len(wave) for wave in first] == [int(length * 16000) for length in seconds[:2]]


def test_operations_are_those_that_torch_counts():
    model = emotion2vec_cases.build(QUICK)
    waves = torch.randn(1, 12400)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model(waves, torch.tensor([12400]))
    flops, moved = emotion2vec_cases.extraction_cost(model.config, 12400)
    assert counter.get_total_flops() == pytest.approx(flops, rel=0.02) and moved > 0
    objective, batch = emotion2vec_cases._objective(model, QUICK, [0.775], 2)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        objective(batch, 0)
    needed = emotion2vec_cases.pretraining_flops(model.config, 12400, 2, int(batch.masked[0].sum()))
    teacher = flops - emotion2vec_cases._local_cost(model.config, 12400)[0]
    assert counter.get_total_flops() == pytest.approx((needed - teacher) / 3 + teacher, rel=0.02)


def command(root, out, *words):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, root / "tools/run_benchmark.py", "--size", "quick", "--out", out, *words]
    return subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)


def test_what_cannot_run_is_one_line(root, tmp_path):
    done = command(root, tmp_path, "--cases", "e2v_extract,none")
    assert done.returncode == 1 and "none: no such case; choose from batched_decode" in done.stderr
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no GPU"):
            runner.run_cases(["e2v_extract"], Setting("cuda", "quick"), 2, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.peer
def test_every_case_of_emotion2vec_runs_and_equals_its_peer(root, tmp_path):
    pytest.importorskip("funasr", reason="FunASR is not installed; pip install funasr (extra [peer])")
    names = [name for name in CASES if name not in PARTS]
    done = command(root, tmp_path, "--cases", ",".join(names), "--rounds", "2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2 + len(names)
    for name in names:
        report = json.loads((tmp_path / f"{name}.json").read_text())
        assert report["equivalence"]["holds"] and report["ratio_to_peer"]["median"] > 0
        assert report["ratio_to_limit"] > 0 and "FunASR" in report["peer"]["name"]


SPOILT = {
    "whisper_encoder": (WhisperEncoder, "forward", lambda out: Vectors(out.values * 1.01, out.lengths)),
    "label_score": (LanguageModel, "score", lambda out: [row + 0.01 * torch.arange(7) for row in out]),
    "batched_decode": (LanguageModel, "answer_tokens", lambda out: [*out[:-1], out[0]]),
    "loss": (LanguageModel, "answer_loss", lambda out: (out[0] * 1.00001, out[1])),
    "packing": (Batches, "at", lambda out: out[1:]),
    "train_step": (C2SERNetwork, "forward", lambda out: {"loss": out["loss"] * 1.0001}),
    "decode_latency_explicit": (LanguageModel, "answer_tokens", lambda out: [[*row[:-1], row[-1] + 1] for row in out]),
    "decode_latency_labels": (WhisperEncoder, "forward", lambda out: Vectors(out.values * 1.5, out.lengths)),
    "small_step": (C2SERNetwork, "forward", lambda out: {"loss": out["loss"] * 1.0001}),
    "penn_pitch": (PitchTracker, "track", lambda out: [Track(one.pitch * 1.0001, one.periodicity) for one in out]),
}
"""How ours is spoilt so that its outputs differ from the peer's."""

PARTS = [*SPOILT, "small_step_tuned", "decode_latency_implicit", "decode_throughput"]
"""The cases whose peers are always there: transformers, and PENN."""


@pytest.mark.parametrize("name", PARTS)
def test_cases_of_c2ser_run_and_equal_their_peers(name):
    case = CASES[name](QUICK)
    report = run_case(name, case, QUICK, 1)
    assert report["equivalence"]["holds"] and report["ratio_to_peer"]["median"] > 0
    assert name in markdown([report]) and json.dumps(report)
    if isinstance(case, Case):
        peer = "penn 1." if name == "penn_pitch" else "transformers"
        assert report["ratio_to_limit"] > 0 and peer in report["peer"]["name"]


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_case_is_void(name, monkeypatch):
    owner, function, spoil = SPOILT[name]
    right = getattr(owner, function)
    monkeypatch.setattr(owner, function, lambda *words: spoil(right(*words)))
    assert not CASES[name](QUICK).check().holds


def test_random_models_say_different_things():
    asking = random_models.asked(c2ser_cases.endless(random_models.language(QUICK, "quick")), "explicit", 4, 1)
    answers = c2ser_cases.batch_answers(asking, 12)
    assert {len(answer) for answer in answers} == {12} and min(len(set(answer)) for answer in answers) > 2
    assert len({tuple(answer) for answer in answers}) > 1
    labels = random_models.language(QUICK, "quick").tokenizer(random_models.explicit_answer(0))["input_ids"]
    assert 50 < len(labels) < 80


def test_padding_of_an_epoch_is_small_and_the_same_each_time():
    ours, again = CASES["packing"](Setting()), CASES["packing"](Setting())
    assert ours.ours == again.ours > ours.peer == again.peer > 0.9
    assert ours.check().holds


def test_seven_billion_parameters_need_a_gpu():
    for name in ("train_step", "decode_latency_labels", "decode_throughput"):
        with pytest.raises(ValueError, match=f"{name}: 7B parameters need a GPU; use --device cuda"):
            CASES[name](Setting())


def test_operations_of_whisper_and_the_language_model_are_those_that_torch_counts():
    encoder = random_models.whisper(QUICK, "quick")
    mel = encoder.log_mel(torch.randn(1, 16000), torch.tensor([16000]))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        encoder(mel)
    assert counter.get_total_flops() == pytest.approx(random_models.whisper_flops(encoder, 16000), rel=0.02)
    model = random_models.language(QUICK, "quick")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.hidden_states(torch.randn(1, 90, model.dim), [90])
    unseen = 4 * 90 * 89 / 2 * model.dim * 2  # torch counts what the causal mask hides, in both layers
    assert counter.get_total_flops() == pytest.approx(random_models.decoder_flops(model, 90) + unseen, rel=0.02)
    assert pitch_cases.frame_flops(PitchTracker(PitchConfig())) == pytest.approx(394.6e6, rel=0.01)
    together = random_models.decoder_flops(model, 60) + random_models.decoder_flops(model, 30, 60)
    assert together == pytest.approx(random_models.decoder_flops(model, 90))


@pytest.mark.xdist_group("penn")
def test_pitch_is_benchmarked_on_recordings(test_data):
    folder = test_data / "speech/emodb/wav"
    waves = pitch_cases._speech(Setting(size="quick", speech=str(folder)), 3)
    files = sorted(folder.glob("*.wav"))
    assert len({len(wave) for wave in waves}) == 3 and np.array_equal(waves[0], audio.load(files[0], "x"))
    with pytest.raises(ValueError, match="no wav file in it; give a folder of recordings to --speech"):
        pitch_cases._speech(Setting(speech=str(test_data / "oracle")), 3)


def test_silence_proves_nothing_about_pitch():
    silent = Track(np.full(9, 100.0, np.float32), np.zeros(9, np.float32))
    assert math.isnan(pitch_cases._cents(silent, silent, 0.065))
    voiced = Track(np.array([100.0, 200.0]), np.array([0.9, 0.0]))
    assert pitch_cases._cents(Track(np.array([100.1, 9.0]), voiced.periodicity), voiced, 0.5) == pytest.approx(
        1.73, abs=0.01
    )


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["e2v_extract", "e2v_pretrain_step"])
def test_ours_is_timed_alone_where_funasr_is_missing(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "funasr", None)
    monkeypatch.setattr("benchmark.emotion2vec_cases.has_funasr", lambda: False)
    setting = Setting("cpu", "quick")
    report = run_case(name, CASES[name](setting), setting, 1, alone=True)
    assert report["equivalence"]["metric"] == "not compared: FunASR is not installed"
    assert report["ours"]["median_s"] > 0 and report["ratio_to_peer"] is None
    with pytest.raises(ValueError, match="FunASR cannot be imported .*; pip install funasr, or give --peer-path"):
        run_case(name, CASES[name](setting), setting, 1)


@pytest.mark.parametrize("name", ["e2v_extract", "e2v_pretrain_step", *PARTS])
def test_cases_run_on_a_gpu(name):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    if name not in PARTS:
        pytest.importorskip("funasr", reason="FunASR is not installed; pip install funasr (extra [peer])")
    setting = Setting("cuda", "quick")
    report = run_case(name, CASES[name](setting), setting, 2)
    assert report["equivalence"]["holds"]
    assert name == "packing" or report["ours"]["peak_memory_bytes"] > 0


def test_the_profile_of_a_step_names_all_parts(place, capsys):  # noqa: F811
    model = build(place, trainable=["connector", "llm"]).config
    profile_step.main(
        place / "data/train", "explicit", model, BatchConfig(seconds=10, keep_features=True), OptimConfig(),
        TrainConfig(), ValidConfig(2), steps=2,
    )  # fmt: skip
    said = capsys.readouterr().out
    whole = float(re.search(r"([\d.]+) s a step, mean of 2", said)[1])
    parts = {name: float(s) for name, s in re.findall(r"^  (\w.*?): ([\d.]+) s, \d+ %$", said, re.MULTILINE)}
    assert set(parts) == {"audio and features", "forward", "backward", "optimiser"}
    assert sum(parts.values()) == pytest.approx(whole, abs=0.03)
    assert all(f"in the forward pass, {part}: " in said for part in ("connector", "language model"))
    assert re.search(r"[\d.]+ TFLOP in a step; matrices alone: [1-9]\d* GFLOP/s", said)
