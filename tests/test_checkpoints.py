"""Published checkpoints: their layouts, guarded reading, damage; embeddings of any kind of encoder."""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
from entry import run_entry
from safetensors.torch import save_file

from c2ser.data.arks import read_matrices
from c2ser.emotion2vec.checkpoints import AUDIO, LABELS, read_published
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import load_model, save_model
from c2ser.emotion2vec.model import Emotion2Vec, embed
from c2ser.tables import read_table
from c2ser.tensors import whole_folder

CONVS = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]


def model(**changes):
    torch.manual_seed(0)
    sizes = {"dim": 32, "heads": 2, "inner": 48, "prenet_depth": 2, "depth": 3, "tokens": 5, "convs": CONVS}
    small = {"position_depth": 2, "position_kernel": 5, "position_groups": 4, "decoder_dim": 16, "decoder_layers": 2}
    return Emotion2Vec(Emotion2VecConfig(**{**sizes, **small, "decoder_groups": 4, **changes})).eval()


def wrapped(weights, prefix="", **more):
    return {"model": {prefix + name: tensor for name, tensor in weights.items()}, **more}


def namespace(**values):
    return argparse.Namespace(**values)


@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("decoder", [0, 2])
def test_sizes_come_from_the_shapes(tmp_path, per_layer, decoder):
    original = model(alibi_per_layer=per_layer, decoder_layers=decoder)
    torch.save(wrapped(original.state_dict()), tmp_path / "checkpoint.pt")
    found = read_published(tmp_path / "checkpoint.pt")
    expected = original.config if decoder else model(alibi_per_layer=per_layer, decoder_layers=0).config
    same = ("dim", "heads", "inner", "prenet_depth", "depth", "tokens", "convs", "position_kernel", "alibi_per_layer")
    assert all(getattr(found.model.config, name) == getattr(expected, name) for name in same)
    assert found.model.config.decoder_layers == decoder and found.head is None
    state = original.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.model.state_dict().items())


def test_the_layout_of_emotion2vec_plus(tmp_path):
    weights = model(decoder_layers=0).state_dict()
    weights["modality_encoders.AUDIO.alibi_scale"] = weights["modality_encoders.AUDIO.alibi_scale"][0]  # 4-D
    head = {"proj.weight": torch.randn(9, 32), "proj.bias": torch.randn(9)}
    content = wrapped(weights, "d2v_model.") | {"args": None, "last_optimizer_state": {"state": {0: torch.ones(3)}}}
    content["model"] |= head
    torch.save(content, tmp_path / "model.pt")
    found = read_published(tmp_path / "model.pt")
    assert found.head.out_features == 9 and torch.equal(found.head.bias, head["proj.bias"])
    assert found.model.audio.alibi_scale.dim() == 5 and found.model.audio.decoder is None
    waves, lengths = torch.randn(2, 4000), torch.tensor([4000, 2500])
    frames = [
        found.model(row[None, :length], length[None]).frames[0] for row, length in zip(waves, lengths, strict=True)
    ]
    logits = [row.mean(0) @ head["proj.weight"].T + head["proj.bias"] for row in frames]
    waves[1, 2500:] = 0
    assert torch.allclose(found.classify(waves, lengths), torch.stack(logits).softmax(-1), atol=1e-5)
    assert len(LABELS) == 9


def test_a_head_is_asked_for_where_there_is_none(tmp_path):
    torch.save(wrapped(model().state_dict()), tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="has no classifier; use one of the emotion2vec_plus"):
        read_published(tmp_path / "checkpoint.pt").classify(torch.randn(1, 4000), torch.tensor([4000]))


def test_a_training_state_of_fairseq(tmp_path):
    settings = namespace(model=namespace(norm_eps=1e-6, layer_norm_first=False), task=namespace(normalize=False))
    content = wrapped(model().state_dict(), cfg=settings)
    content["model"]["_ema"] = {"blocks.0.norm1.weight": torch.zeros(32)}
    torch.save(content, tmp_path / "checkpoint_last.pt")
    found = read_published(tmp_path / "checkpoint_last.pt").model
    assert found.config.norm_eps == 1e-6 and found.config.normalize is False
    assert found.blocks[0].norm1.weight.sum() == 32


OMEGACONF = """
import sys, types, torch
module = types.ModuleType("omegaconf.dictconfig")
class DictConfig:
    def __init__(self, **content): self.__dict__["_content"] = content
    def __setstate__(self, state): open(sys.argv[2], "w")
class AnyNode:
    def __init__(self, value): self._val = value
for kind in (DictConfig, AnyNode):
    kind.__module__, kind.__qualname__ = "omegaconf.dictconfig", kind.__name__
    setattr(module, kind.__name__, kind)
sys.modules["omegaconf"], sys.modules["omegaconf.dictconfig"] = types.ModuleType("omegaconf"), module
content = torch.load(sys.argv[1], weights_only=True)
content["cfg"] = DictConfig(model=DictConfig(norm_eps=AnyNode(1e-6)), task=DictConfig(normalize=AnyNode(False)))
torch.save(content, sys.argv[1])
"""


def test_settings_of_omegaconf_are_read_without_omegaconf(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save(wrapped(model().state_dict()), path)
    subprocess.run([sys.executable, "-c", OMEGACONF, path, tmp_path / "run"], check=True)
    found = read_published(path).model.config
    assert found.norm_eps == 1e-6 and found.normalize is False and not (tmp_path / "run").exists()


class Payload:
    """What an attacker would put into a file."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, subprocess.getoutput, eval])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, function):
    text = f"touch {tmp_path}/bad" if function is not eval else f"open('{tmp_path}/bad', 'w')"
    torch.save(wrapped(model().state_dict(), cfg=Payload(function, text)), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x.pt: .*(which is no data|not a readable checkpoint)"):
        read_published(tmp_path / "x.pt")
    assert not (tmp_path / "bad").exists()


def spoil(path, kind):
    weights = model().state_dict()
    if kind == "missing":
        del weights["blocks.1.norm1.bias"]
    elif kind == "left over":
        weights["blocks.1.norm3.bias"] = torch.ones(32)
    elif kind == "sizes":
        weights["blocks.1.norm1.bias"] = torch.ones(31)
    elif kind == "nan":
        weights["blocks.1.norm1.bias"][3] = torch.nan
    elif kind == "heads":
        weights[f"{AUDIO}alibi_scale"] = torch.ones(1, 1, 5, 1, 1)
    elif kind == "no heads":
        weights[f"{AUDIO}alibi_scale"] = torch.ones(1)
    elif kind == "kernel":
        weights[f"{AUDIO}local_encoder.conv_layers.0.0.weight"] = torch.ones(8, 1, 11)
    elif kind == "groups":
        weights[f"{AUDIO}relative_positional_encoder.1.0.weight"] = torch.ones(32, 0, 5)
    elif kind == "gigantic":  # four terabytes, of which the file holds one number
        weights["blocks.0.mlp.fc1.weight"] = torch.zeros(1).expand(10**7, 10**5)
    elif kind == "classifier":
        weights |= {"proj.weight": torch.tensor(1.0), "proj.bias": torch.tensor(1.0)}
    elif kind in SETTINGS:
        torch.save(wrapped(weights, cfg=namespace(model=SETTINGS[kind])), path)
        return
    elif kind == "old":
        torch.save(wrapped(weights, cfg=namespace()), path, _use_new_zipfile_serialization=False)
        return
    elif kind == "other model":
        weights = {"encoder.weight": torch.ones(3)}
    torch.save(wrapped(weights) if kind != "a list" else [1, 2], path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == "text":
        path.write_text("<html>not found</html>")
    elif kind == "empty":
        path.write_bytes(b"")


SETTINGS = {
    "pre-norm": namespace(layer_norm_first=True),
    "epsilon": namespace(norm_eps=None),
    "no epsilon": namespace(norm_eps=float("nan")),
    "circle": namespace(),
}
SETTINGS["circle"].model = SETTINGS["circle"]

DAMAGE = {
    "nan": "blocks.1.norm1.bias holds NaN or Inf",
    "heads": "32 dimensions for 5 heads",
    "no heads": "not an emotion2vec checkpoint",
    "kernel": "a kernel of 11",
    "groups": "not an emotion2vec checkpoint",
    "gigantic": r"fc1.weight has shape \(48, 32\) instead of \(10000000, 32\)",
    "classifier": "its classifier does not fit",
    "epsilon": "not an emotion2vec checkpoint",
    "no epsilon": "norm_eps is nan",
    "circle": "not an emotion2vec checkpoint",
    "old": r"not a readable checkpoint \(foreign objects in it\)",
    "missing": "blocks.1.norm1.bias is missing",
    "left over": "blocks.1.norm3.bias is unknown",
    "sizes": r"blocks.1.norm1.bias has shape \(31,\) instead of \(32,\)",
    "pre-norm": "pre-norm checkpoints",
    "other model": "no weights of emotion2vec",
    "a list": "holds a list and no weights",
    "truncated": "not a readable checkpoint",
    "text": "not a readable checkpoint",
    "empty": "not a readable checkpoint",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_clear_line(tmp_path, kind):
    spoil(tmp_path / "x.pt", kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=DAMAGE[kind]) as caught:
        load_model(tmp_path / "x.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # kB
    assert str(caught.value).startswith(f"{tmp_path}/x.pt: ") and "; " in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_the_format_of_old_torch_is_read_and_runs_nothing(tmp_path):
    weights, old = model().state_dict(), {"_use_new_zipfile_serialization": False}
    torch.save(wrapped(weights), tmp_path / "old.pt", **old)
    found = read_published(tmp_path / "old.pt").model.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    torch.save(wrapped(weights, cfg=Payload(os.system, f"touch {tmp_path}/bad")), tmp_path / "bad.pt", **old)
    with pytest.raises(ValueError, match="foreign objects in it"):
        read_published(tmp_path / "bad.pt")
    assert not (tmp_path / "bad").exists()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("da ta")
    generator = np.random.default_rng(0)
    sounds = {f"s-{k}": 0.1 * generator.normal(size=4000 + 3000 * k) for k in range(5)}
    sounds |= {"s-constant": np.full(9000, 0.2), "s-ten": np.full(10, 0.1)}
    sounds |= {"s-short": np.full(399, 0.1), "s-silent": np.zeros(9000), "s-long": np.full(16000 * 7, 0.1)}
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16000)
    names = sorted([*sounds, "s-missing", "s-nan"])
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in names))
    (folder / "utt2spk").write_text("".join(f"{name} s\n" for name in names))
    soundfile.write(folder / "s-nan.wav", np.full(9000, np.nan), 16000, subtype="FLOAT")
    return folder


def extract(root, data, out, *words):
    run_entry("extract_embeddings", "--data", data, "--out", out, *words, check=True)
    return dict(read_matrices(read_table(out), read_table(out)))


def test_embeddings_from_a_checkpoint_are_those_of_the_folder_and_bad_audio_is_named(root, data, tmp_path):
    original = model()
    torch.save(wrapped(original.state_dict()), tmp_path / "checkpoint.pt")
    save_model(original, tmp_path / "folder")
    limit = ["--batches.max_seconds", "5"]
    one = extract(root, data, tmp_path / "one.scp", "--model", tmp_path / "checkpoint.pt", *limit)
    two = extract(root, data, tmp_path / "two.scp", "--model", tmp_path / "folder", *limit, "--batches.utterances", "1")
    assert set(one) == {f"s-{k}" for k in range(5)}
    assert all(np.abs(one[name] - two[name]).max() < 1e-4 for name in one)
    rejected = read_table(tmp_path / "one.scp.rejected")
    assert set(rejected) == {"s-short", "s-ten", "s-silent", "s-constant", "s-long", "s-missing", "s-nan"}
    assert all("under the encoder's 400" in rejected[name] for name in ("s-short", "s-ten"))
    assert all("silence" in rejected[name] for name in ("s-silent", "s-constant")) and "NaN" in rejected["s-nan"]
    assert "raise batches.max_seconds" in rejected["s-long"] and "cannot read" in rejected["s-missing"]


@pytest.mark.parametrize("level", ["tokens", "utterance", "first-frames"])
def test_levels_and_normalisation(root, data, tmp_path, level):
    save_model(model(), tmp_path / "m")
    words = ["--model", tmp_path / "m", "--level", level]
    plain = extract(root, data, tmp_path / "a.scp", *words)
    assert {matrix.shape for matrix in plain.values()} == {(1 if level == "utterance" else 5, 32)}
    raw = extract(root, data, tmp_path / "b.scp", *words, "--normalise", "no")
    forced = extract(root, data, tmp_path / "c.scp", *words, "--normalise", "yes")
    assert np.array_equal(plain["s-1"], forced["s-1"]) and not np.allclose(plain["s-1"], raw["s-1"], atol=1e-3)


def test_a_bad_checkpoint_ends_the_command_with_one_line_and_no_table(root, data, tmp_path):
    torch.save(wrapped(model().state_dict(), cfg=Payload(os.system, f"touch {tmp_path}/bad")), tmp_path / "x.pt")
    words = ["-m", "c2ser.bin.extract_embeddings", "--data", data, "--out", tmp_path / "o.scp"]
    command = [sys.executable, *map(str, words), "--model", str(tmp_path / "x.pt")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "x.pt" in done.stderr
    assert not list(tmp_path.glob("o.*")) and not (tmp_path / "bad").exists()


@pytest.mark.parametrize("kind", ["keys", "sizes", "settings", "kind", "no weights", "heads", "words", "nan"])
def test_a_damaged_folder_is_one_clear_line(tmp_path, kind):
    save_model(model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    if kind == "keys":
        save_file({"x": torch.ones(2)}, tmp_path / "model.safetensors")
    elif kind == "no weights":
        (tmp_path / "model.safetensors").unlink()
    elif kind == "nan":
        save_file({name: 0 / tensor for name, tensor in model().state_dict().items()}, tmp_path / "model.safetensors")
    changes = {"sizes": {"inner": 10**12}, "settings": {"dimm": 32}, "kind": {"kind": "c2ser"}}
    changes = (changes | {"heads": {"heads": 0}, "words": {"dim": "wide"}}).get(kind, {})
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))}.*; ") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path))


def test_padding_leaks_on_request(root, data, tmp_path):
    encoder = model()
    save_model(encoder, tmp_path / "m")
    words = ["--model", tmp_path / "m", "--batches.max_seconds", "5", "--peer-padding", "true"]
    leaky = extract(root, data, tmp_path / "c.scp", *words)
    waves = {name: soundfile.read(data / f"{name}.wav", dtype="float32")[0] for name in leaky}
    alone = {name: embed(encoder, [wave])[0] for name, wave in waves.items()}
    together = dict(zip(waves, embed(encoder, [*waves.values()]), strict=True))
    assert max(np.abs(together[name] - alone[name]).max() for name in alone) <= 2e-5
    assert np.abs(leaky["s-3"] - alone["s-3"]).max() > 1e-2  # it shares a batch with the next
    assert np.abs(leaky["s-4"] - alone["s-4"]).max() <= 2e-5


def mapped(root, data, out, *words, nj):
    """The words and environment of a run of extract_embeddings in parts."""
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [root / "utils/map_data.sh", "--nj", nj, "--max-rejected", "80", data, out]
    return [*map(str, command), "python", "-m", "c2ser.bin.extract_embeddings", *map(str, words)], environment


def in_parts(root, data, out, *words, nj):
    command, environment = mapped(root, data, out, *words, nj=nj)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return read_table(out)


@pytest.mark.slow
def test_embeddings_do_not_depend_on_the_number_of_jobs(root, data, tmp_path):
    save_model(model(), tmp_path / "m")
    out, words = tmp_path / "e x/s.t.scp", ["--model", tmp_path / "m"]
    straight = extract(root, data, tmp_path / "straight.scp", *words)
    for nj, archives in ((3, {"s.t.1.ark", "s.t.2.ark"}), (1, {"s.t.1.ark"})):
        table = in_parts(root, data, out, *words, nj=nj)
        assert {path.name for path in out.parent.glob("*.ark")} == archives  # the third part has no good utterance
        assert {place.rpartition(":")[0] for place in table.values()} == {str(out.parent / name) for name in archives}
        found = dict(read_matrices(table, table))
        assert list(found) == sorted(straight) and all(np.array_equal(found[name], straight[name]) for name in found)
        assert read_table(tmp_path / "straight.scp.rejected") == read_table(f"{out}.rejected")
        assert not (out.parent / "s.t.scp.parts").exists()


def test_embeddings_go_on_after_a_kill(root, data, tmp_path):
    save_model(model(), tmp_path / "m")
    out, words = tmp_path / "s.scp", ["--model", tmp_path / "m", "--batches.utterances", "1"]
    command, environment = mapped(root, data, out, *words, nj=2)
    parts = tmp_path / "s.scp.parts"
    job = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    while not [*parts.glob("*/s.scp*")] and job.poll() is None:
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not out.exists() and parts.exists()
    table = in_parts(root, data, out, *words, nj=2)
    for name, matrix in read_matrices(table, table):
        wave = soundfile.read(data / f"{name}.wav", dtype="float32")[0]
        assert np.abs(matrix - embed(model(), [wave])[0]).max() <= 2e-5
    assert table.keys() | read_table(f"{out}.rejected").keys() == read_table(data / "wav.scp").keys()


@pytest.mark.slow
def test_a_kill_between_archives_and_table_loses_nothing(root, data, tmp_path):
    save_model(model(), tmp_path / "m")
    out, words = tmp_path / "s.scp", ["--model", tmp_path / "m"]
    table = in_parts(root, data, out, *words, nj=1)
    command, environment = mapped(root, data, out, *words, nj=1)
    (tmp_path / "bin").mkdir()
    killer = '#!/bin/sh\ncase "$2" in */s.scp) kill -9 $PPID;; *) exec /bin/mv "$@";; esac\n'
    (tmp_path / "bin/mv").write_text(killer)
    (tmp_path / "bin/mv").chmod(0o755)
    killed = environment | {"PATH": f"{tmp_path}/bin:{environment['PATH']}"}
    assert subprocess.run(command, env=killed, capture_output=True).returncode != 0
    assert not out.exists() and (tmp_path / "s.1.ark").exists()
    assert in_parts(root, data, out, *words, nj=1) == table
    assert len(dict(read_matrices(table, table))) == len(table)


def test_a_folder_is_written_by_one_run_at_a_time(tmp_path):
    folder = tmp_path / "llm"
    with whole_folder(folder) as first:
        (first / "weights").write_text("first")
        with pytest.raises(OSError, match="llm: another run is writing it; wait for it, or stop it"):
            with whole_folder(folder):
                raise AssertionError("not reached")
        assert (first / "weights").read_text() == "first"
    with whole_folder(folder) as second:
        assert [*second.iterdir()] == [] and (folder / "weights").read_text() == "first"
        (second / "weights").write_text("second")
    assert (folder / "weights").read_text() == "second" and [*tmp_path.iterdir()] == [folder]


def test_what_a_killed_run_left_of_a_folder_is_cleared(tmp_path):
    (tmp_path / ".llm.tmp/inner").mkdir(parents=True)
    (tmp_path / ".llm.tmp/old").write_text("")
    with whole_folder(tmp_path / "llm") as folder:
        assert [*folder.iterdir()] == []
    assert [*tmp_path.iterdir()] == [tmp_path / "llm"]
