"""Emotion2Vec-S: parity with FunASR (forward pass) and fairseq (losses, gradients, teacher); masks, training."""

import importlib.util
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from entry import run_entry
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from c2ser.corpus import Utterance, durations
from c2ser.data.config import CropConfig
from c2ser.data.crops import CropBatches
from c2ser.emotion2vec import losses
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.emotion2vec.convert import load_model, prepare_for_training, save_model
from c2ser.emotion2vec.layers import ConvExtractor, set_filter_bank
from c2ser.emotion2vec.losses import (
    category_loss,
    contrast,
    deviation,
    frame_loss,
    frame_targets,
    utterance_loss,
    utterance_targets,
)
from c2ser.emotion2vec.masking import block_masks
from c2ser.emotion2vec.model import Emotion2Vec, embed, normalised, pool
from c2ser.prep.writer import write_corpus
from c2ser.tables import read_json, read_table
from c2ser.training import checkpoint
from c2ser.training.config import GuardConfig, TeacherConfig
from c2ser.training.emotion2vec_objective import Batch, Emotion2VecObjective, Material, fewest_samples, make_teacher
from c2ser.training.schedule import learning_rate_factor

SIZES = {
    "a": {"dim": 48, "heads": 6, "inner": 192, "tokens": 10},
    "b": {"dim": 32, "heads": 4, "inner": 128, "tokens": 4, "alibi_per_layer": True},
}


def small(kind):
    convs = [[32, 10, 5], *([32, 3, 2] for _ in range(4)), [32, 2, 2], [32, 2, 2]]
    return Emotion2Vec(Emotion2VecConfig(prenet_depth=2, depth=2, convs=convs, decoder_dim=32, **SIZES[kind])).eval()


def batch(waveform):
    rows = [row.float() / 32768 for row in waveform]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


@pytest.fixture(scope="module")
def funasr(test_data):
    stored = torch.load(test_data / "oracle" / "e2v_small.pt", weights_only=True)
    return {"a": stored, "b": stored["variant_b"]}


@pytest.fixture(scope="module")
def fairseq(test_data):
    return torch.load(test_data / "oracle" / "e2v_loss.pt", weights_only=True)


@pytest.mark.parametrize("kind", ["a", "b"])
def test_forward_pass_is_funasrs(funasr, kind):
    stored, model = funasr[kind], small(kind)
    model.load_state_dict(stored["state_dict"])
    seen, audio = {}, model.audio
    watched = {
        "conv_features": audio.local_encoder,
        "projected": audio.project_features,
        "positions": audio.relative_positional_encoder,
        "prenet_out": audio.context_encoder.blocks[-1],
        **{f"block{number}_out": block for number, block in enumerate(model.blocks)},
    }
    for name, module in watched.items():
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        output = model(*batch(stored["waveform"]), peer_padding=True)
    peer = stored["batched"]
    mask = ~peer["frame_padding_mask"]
    assert torch.equal(output.mask, mask)
    with_tokens = torch.nn.functional.pad(mask, (model.config.tokens, 0), value=True)
    pairs = [(output.frames, peer["frames"], mask), (output.tokens, peer["tokens"], ...)]
    pairs += [
        (ours, theirs, with_tokens) for ours, theirs in zip(inner(model, seen), peer["layer_results"], strict=True)
    ]
    for name in watched:
        ours = seen[name][0] if isinstance(seen[name], tuple) else seen[name]
        pairs.append((ours, peer[name], with_tokens if name.endswith("_out") else mask))
    for ours, theirs, where in pairs:
        gap = (ours[where] - theirs[where]).abs()
        assert gap.max() <= 5e-5 and gap.mean() <= 2e-6


def inner(model, seen):
    """The feed-forwards' outputs of the main blocks, tokens included."""
    return [seen[f"block{number}_out"][1] for number in range(len(model.blocks))]


@pytest.mark.parametrize("kind", ["a", "b"])
def test_an_utterance_gives_the_same_alone_and_in_a_batch(funasr, kind):
    stored, model = funasr[kind], small(kind)
    model.load_state_dict(stored["state_dict"])
    with torch.no_grad():
        output = model(*batch(stored["waveform"]))
    for row, single in enumerate(stored["single"]):
        frames = output.frames[row][output.mask[row]]
        assert (frames - single["frames"]).abs().max() <= 2e-5
    means = pool(output, "utterance")
    assert means[1].shape == (1, SIZES[kind]["dim"])
    assert pool(output, "tokens")[0].shape[0] == SIZES[kind]["tokens"]
    assert torch.equal(pool(output, "first-frames")[1], pool(output, "frame")[1][: SIZES[kind]["tokens"]])


def test_base_model_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = Emotion2Vec(Emotion2VecConfig())
    decoder = sum(p.numel() for p in model.audio.decoder.parameters())
    assert decoder == 619_776
    assert sum(p.numel() for p in model.parameters()) - decoder == 93_171_212


def test_plus_large_has_the_published_number_of_parameters():
    large = {"dim": 1024, "heads": 16, "inner": 4096, "decoder_layers": 0}
    with torch.device("meta"):
        model, head = Emotion2Vec(Emotion2VecConfig(**large)), torch.nn.Linear(1024, 9)
    counts = [parameter.numel() for parameter in [*model.parameters(), *head.parameters()]]
    assert sum(counts) == 162_140_185 and len(counts) == 185
    assert model.audio.relative_positional_encoder[1][0].weight.shape == (1024, 64, 19)


def plain_features(extractor, waves):
    """The convolutions as they are written down: one after the other, channels first."""
    states = waves[:, None]
    for conv, _, (_, norm), activation in extractor.conv_layers:
        states = activation(norm(conv(states).transpose(1, 2))).transpose(1, 2)
    return states.transpose(1, 2)


@pytest.mark.parametrize("samples", [400, 719, 720, 721, 1039, 5000, 70 * 320 + 79, 200 * 320 + 81])
def test_convolutions_as_matrix_products_are_convolutions(samples):
    torch.manual_seed(samples)
    extractor, waves = small("a").audio.local_encoder, torch.randn(3, samples)
    expected = plain_features(extractor, waves)
    assert expected.shape[1] == int(extractor.frames(torch.tensor(samples)))
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), extractor.parameters())
    found = extractor(waves)
    got = torch.autograd.grad((found * weight).sum(), extractor.parameters())
    with torch.no_grad():
        pieces = extractor(waves)
    assert (found - expected).abs().max() < 5e-6 and (pieces - expected).abs().max() < 5e-6
    for one, other in zip(got, wanted, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()


def test_kernels_wider_than_two_strides_are_refused():
    with pytest.raises(ValueError, match="kernel 5 with stride 2; take a kernel of one to two strides"):
        Emotion2Vec(Emotion2VecConfig(dim=16, heads=2, convs=[[8, 5, 2]]))


@pytest.mark.peer
@pytest.mark.parametrize("per_layer", [False, True])
def test_base_size_is_funasrs(test_data, per_layer):
    pytest.importorskip("funasr", reason="FunASR is not installed; pip install funasr (extra [peer])")
    from benchmark.funasr_peer import funasr_frames, funasr_model

    recipe = load_module(test_data / "oracle" / "e2v_recipe.py")
    model = Emotion2Vec(Emotion2VecConfig(alibi_per_layer=per_layer)).eval()
    model.load_state_dict(recipe.weights({name: tuple(t.shape) for name, t in model.state_dict().items()}, 1))
    waves = [wave.numpy() for wave in recipe.waveforms([16000, 41234, 80000])]
    theirs, ours = funasr_frames(funasr_model(model), waves), [embed(model, [wave])[0] for wave in waves]
    gaps = [np.abs(one - other) for one, other in zip(ours, theirs, strict=True)]
    print("largest", max(gap.max() for gap in gaps), "mean", max(gap.mean() for gap in gaps))
    assert max(gap.max() for gap in gaps) <= 5e-5 and max(gap.mean() for gap in gaps) <= 2e-6
    together = zip(embed(model, waves), ours, strict=True)
    assert max(np.abs(one - other).max() for one, other in together) <= 2e-5


CASES = {"literal": "instance", "layer_norm_targets": "instance_layer", "layer_norm_layers": "layer"}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_fairseqs(fairseq, case):
    stored, model = fairseq["cases"][case], small("a")
    model.load_state_dict(fairseq["student"])
    teacher = make_teacher(model)
    teacher.load_state_dict(fairseq["teacher"])
    masked = fairseq["mask"].bool()
    local, _ = model.local(*batch(fairseq["waveform"]))
    layers = teacher.teach(local.detach())
    guess, seen = model.student(local.repeat_interleave(3, dim=0), masked, noise=0.0)
    assert (guess - stored["decoder_out"]).abs().max() < 5e-5
    targets = frame_targets(layers, CASES[case])
    assert (targets - stored["targets"]).abs().max() < 5e-5
    frame = frame_loss(guess, targets.repeat_interleave(3, dim=0), masked)
    assert frame.item() == pytest.approx(stored["frame_loss"], rel=1e-5)
    readings = {}
    for kind, suffix in (("fairseq", ""), ("raw", "_raw_target")):
        pooled = utterance_targets(layers, kind, CASES[case]).repeat_interleave(3, dim=0)
        for prediction, name in (("last", "last_token"), ("chunk", "chunk")):
            readings[name + suffix] = utterance_loss(seen.tokens, pooled, prediction)
            assert readings[name + suffix].item() == pytest.approx(stored["formula"][name + suffix], rel=1e-5)
    assert readings["last_token"].item() == pytest.approx(stored["utterance_loss"], rel=1e-5)
    (frame + readings["last_token"]).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, norm in stored["grad_norm"].items():
        assert float(gradients[name].norm()) == pytest.approx(norm, rel=1e-5), name
    for name, gradient in stored["grad"].items():
        assert (gradients[name] - gradient).norm() < 1e-5 * gradient.norm(), name


def test_the_default_utterance_target_is_not_zero(fairseq):
    model = small("a")
    model.load_state_dict(fairseq["student"])
    local, _ = model.local(*batch(fairseq["waveform"]))
    layers = make_teacher(model).teach(local)
    assert utterance_targets(layers, "fairseq").abs().max() < 1e-5
    assert utterance_targets(layers, LossConfig().utterance_target).std() == pytest.approx(1, abs=0.05)


def test_teacher_moves_as_fairseqs(fairseq, test_data):
    teaching = TeacherConfig()
    for update, decay in fairseq["ema"]["decay_at"].items():
        assert teaching.decay(int(update)) == pytest.approx(decay, abs=1e-12)
    recipe = load_module(test_data / "oracle" / "e2v_recipe.py")
    model = small("a")
    model.load_state_dict(fairseq["student"])
    objective = Emotion2VecObjective.__new__(Emotion2VecObjective)
    torch.nn.Module.__init__(objective)
    objective.model, objective.teaching, objective.teacher = model, teaching, make_teacher(model)
    objective.teacher.load_state_dict(fairseq["teacher"])
    assert set(objective.teacher.state_dict()) == set(fairseq["ema"]["teacher_keys"])
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for stored in fairseq["ema"]["steps"]:
        model.load_state_dict(recipe.weights(shapes, stored["student_seed"]))
        objective.update_ema(stored["step"])
        state = objective.teacher.state_dict()
        for name, norm in stored["norm"].items():
            assert float(state[name].norm()) == pytest.approx(norm, rel=1e-5), name
        for name, tensor in stored["watch"].items():
            assert torch.allclose(state[name], tensor, rtol=1e-5, atol=1e-6), name


def load_module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_learning_rate_is_fairseqs(fairseq):
    stored = fairseq["lr"]
    for step, rate in stored["at"].items():
        if int(step):
            factor = learning_rate_factor(int(step), stored["max_update"], 0.05, "cosine")
            assert stored["lr"] * factor == pytest.approx(rate, rel=1e-5, abs=1e-18)


def test_adam_is_fairseqs_but_for_where_epsilon_stands(fairseq, root):
    """Fairseq's epsilon is not bias-corrected: with gradients of 1e-4, four steps differ by 2.4e-5 and no more."""
    stored = fairseq["adam"]
    configured = yaml.safe_load((root / "local/conf/full/emotion2vec.yaml").read_text())["optim"]
    chosen = {name: stored[name] for name in ("lr", "betas", "eps", "weight_decay")}
    assert {name: configured[name] for name in chosen} == {**chosen, "betas": list(chosen["betas"])}
    for corrected, gap in ((False, 2.5e-5), (True, 5e-7)):
        weights = stored["start"].clone().requires_grad_()
        optimiser = torch.optim.AdamW([weights], **chosen)
        for step, (gradient, after) in enumerate(zip(stored["grads"], stored["after"], strict=True), start=1):
            if corrected:
                optimiser.param_groups[0]["eps"] = stored["eps"] / (1 - stored["betas"][1] ** step) ** 0.5
            weights.grad = gradient.clone()
            optimiser.step()
            assert (weights - after).abs().max() < gap


@settings(max_examples=50, deadline=None)
@given(st.integers(6, 400), st.integers(1, 9), st.integers(0, 2**32))
def test_every_mask_hides_exactly_its_share(frames, rows, seed):
    masks = block_masks(rows, frames, MaskConfig(), np.random.default_rng(seed))
    assert masks.shape == (rows, frames) and (masks.sum(axis=1) == frames // 2).all()


def test_masks_are_blocks_like_fairseqs(fairseq):
    stats = fairseq["mask_stats"]
    masks = block_masks(300, stats["T"], MaskConfig(), np.random.default_rng(1))
    assert (masks.sum(axis=1) == stats["block_masked_each"]).all()
    edges = np.diff(np.pad(masks.astype(int), ((0, 0), (1, 1))), axis=1)
    assert masks.sum() / (edges == 1).sum() == pytest.approx(stats["block_mean_run"], rel=0.05)
    assert np.corrcoef(masks)[np.triu_indices(300, 1)].mean() == pytest.approx(0, abs=0.02)


def test_category_loss_pulls_equal_emotions_together():
    near = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    sorted_loss = category_loss(near, torch.tensor([0, 0, 1, 1]), 0.1)
    mixed = category_loss(near, torch.tensor([0, 1, 0, 1]), 0.1)
    assert sorted_loss < 0.01 < 1 < mixed
    assert category_loss(near, torch.tensor([0, 0, 1, -1]), 0.1) < 0.01  # alone of its kind, and unknown
    nothing = category_loss(near.requires_grad_(), torch.tensor([0, 1, 2, -1]), 0.1)
    nothing.backward()
    assert nothing == 0 and torch.equal(near.grad, torch.zeros_like(near))


def test_too_short_audio_is_refused():
    with pytest.raises(ValueError, match="300 samples, under the encoder.s 400; leave it out"):
        small("a")(torch.zeros(1, 300), torch.tensor([300]))


def test_normalisation_leaves_padding_alone():
    waves = torch.zeros(2, 900)
    waves[0], waves[1, :500] = torch.randn(900) + 3, torch.randn(500) * 7
    result = normalised(waves, torch.tensor([900, 500]))
    assert result[1, 500:].abs().max() == 0
    assert result[1, :500].std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_folder_gives_the_same_model_back_and_damage_is_named(tmp_path):
    model = small("b")
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert all(torch.equal(a, again.state_dict()[n]) for n, a in model.state_dict().items())
    with pytest.raises(ValueError, match="no config.json"):
        load_model(tmp_path / "n")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged.*; train again"):
        load_model(tmp_path / "m")


YAML = """
model: {dim: 16, heads: 2, inner: 32, prenet_depth: 1, depth: 1, tokens: 2, position_depth: 1, position_kernel: 3,
  position_groups: 2, decoder_dim: 16, decoder_layers: 1, decoder_groups: 2,
  convs: [[8, 10, 5], [8, 3, 2], [8, 3, 2], [8, 3, 2], [8, 3, 2], [8, 2, 2], [8, 2, 2]]}
masks: {clones: 2}
teacher: {start: 0.9, end: 0.99, anneal: 20}
batches: {seconds: 8, utterances: 8}
training: {steps: 24, valid_every: 8, save_every: 4, log_every: 4}
optim: {lr: 2.0e-3, schedule: cosine}
"""


def tones(folder, count):
    """Two emotions that differ in pitch, and one utterance that is not audio."""
    from soundfile import write

    for i in range(count):
        for emotion, pitch in (("anger", 400), ("sadness", 120)):
            path = folder / f"{emotion}{i}.wav"
            generator = np.random.default_rng(i)
            time = np.arange(8000 + 400 * i) / 16000
            tone = 0.3 * np.sin(2 * np.pi * pitch * (1 + i / 50) * time)
            write(path, tone + 0.02 * generator.normal(size=len(time)), 16000)
            set_name = "valid" if i % 4 == 3 else "train"
            yield Utterance(set_name, f"s{i % 4}", f"{emotion}{i}", path, emotion, "en", "")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2v data")
    write_corpus(tones(folder, 12), folder / "data")
    os.truncate(next(iter(read_table(folder / "data" / "train" / "wav.scp").values())), 100)
    (folder / "conf.yaml").write_text(YAML)
    return folder


def entry(root, name, *words, check=True):
    return run_entry(name, *words, check=check, CUDA_VISIBLE_DEVICES="")


def test_training_embeddings_and_probe(root, data, tmp_path):
    sets = ["--train", data / "data/train", "--valid", data / "data/valid"]
    done = entry(root, "train_emotion2vec", "--config", data / "conf.yaml", *sets, "--out", tmp_path / "e2v")
    assert done.stderr.count("rejected:") == 1
    newest = checkpoint.newest(tmp_path / "e2v/checkpoints")
    state = checkpoint.load(newest)[2]
    losses = [row["train/category"] for row in state["history"] if "train/category" in row]
    assert losses[-1] < losses[0] and state["best"]["score"] > 0.6
    student = load_file(newest / "trained.safetensors")
    assert set(load_file(newest / "extra.safetensors")) < {name.removeprefix("model.") for name in student}
    for name in ("train", "valid"):
        scp = tmp_path / f"probe/{name}.scp"
        entry(root, "extract_embeddings", "--model", tmp_path / "e2v", "--data", data / f"data/{name}", "--out", scp)
    assert len((tmp_path / "probe/train.scp.rejected").read_text().splitlines()) == 1
    words = ["--tests", f"['{data / 'data/valid'}']", "--embeddings", tmp_path / "probe", "--out", tmp_path / "probe"]
    entry(root, "train_probe", *sets, *words, "--probe.lr", "0.01", "--probe.epochs", "30")
    figures = read_json(tmp_path / "probe/decode_valid/scores.json")
    assert figures["ua"] > 0.8 and figures["utterances"] == 6


def brute_force(embeddings, labels, temperature, centre):
    """The category loss by its definition, pair by pair."""
    rows = [(row, label) for row, label in zip(embeddings.double(), labels.tolist(), strict=True) if label >= 0]
    if not rows:
        return 0.0
    middle = torch.stack([row for row, _ in rows]).mean(0) if centre else 0.0
    unit = [(row - middle) / (row - middle).norm() for row, _ in rows]
    total, anchors = 0.0, 0
    for i, (_, label) in enumerate(rows):
        alike = [j for j, (_, other) in enumerate(rows) if j != i and other == label]
        if alike:
            scores = {j: float(unit[i] @ unit[j]) / temperature for j in range(len(rows)) if j != i}
            norm = np.log(sum(np.exp(value) for value in scores.values()))
            total += sum(norm - scores[j] for j in alike) / len(alike)
            anchors += 1
    return total / anchors if anchors else 0.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=2, max_size=12), st.booleans(), st.integers(0, 99))
def test_category_loss_is_its_definition(labels, centre, seed):
    embeddings = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(labels)
    found = category_loss(embeddings, labels, 0.2, centre)
    assert float(found) == pytest.approx(brute_force(embeddings, labels, 0.2, centre), rel=1e-3, abs=1e-4)


RANKS = """
import os, sys, torch
from torch import distributed
from c2ser.emotion2vec.losses import category_loss, gathered, padded_rows
rank = int(sys.argv[1])
os.environ |= {"RANK": sys.argv[1], "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[2]}
distributed.init_process_group("gloo")
torch.manual_seed(0)
rows, labels, weight = torch.randn(9, 5), torch.tensor([0, 1, 0, 2, 1, -1, 2, 2, 0]), torch.randn(5, 4)
mine = slice(0, 4) if rank == 0 else slice(4, 9)
own = weight.clone().requires_grad_()
padded, known = padded_rows(rows[mine] @ own, labels[mine])
category_loss(gathered(padded), gathered(known[:, None])[:, 0], 0.2, True).backward()
distributed.all_reduce(own.grad)
whole = weight.clone().requires_grad_()
loss = category_loss(rows @ whole, labels, 0.2, True)
loss.backward()
assert torch.allclose(own.grad / 2, whole.grad, rtol=1e-5, atol=1e-7), (own.grad / 2 - whole.grad).abs().max()
"""


def test_two_processes_give_the_gradient_of_one(root):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    environment = os.environ | {"PYTHONPATH": str(root)}
    ranks = [subprocess.Popen([sys.executable, "-c", RANKS, str(rank), port], env=environment) for rank in (0, 1)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]


def test_training_goes_on_from_a_published_checkpoint_with_unlabelled_data_and_a_classifier(root, data, tmp_path):
    start = tmp_path / "checkpoint.pt"
    sizes = {**yaml.safe_load(YAML)["model"], "decoder_layers": 0}
    torch.manual_seed(3)
    torch.save({"model": Emotion2Vec(Emotion2VecConfig(**sizes)).state_dict()}, start)
    sets = ["--train", data / "data/train", "--valid", data / "data/valid", "--init", start]
    more = ["--unlabelled", f"['{data / 'data/valid'}']", "--training.steps", "4", "--training.valid_every", "4"]
    losses = ["--losses.classifier", "1.0", "--losses.learn_temperature", "true"]
    words = ["--config", data / "conf.yaml", *sets, *more, *losses, "--out", tmp_path / "e2v"]
    entry(root, "train_emotion2vec", *words)
    state = checkpoint.load(checkpoint.newest(tmp_path / "e2v/checkpoints"))[2]
    assert state["settings"]["objective"]["train"] == 24
    row = state["history"][0]
    assert row["train/class"] > 0 and row["train/category"] > 0
    assert load_model(tmp_path / "e2v").audio.decoder is not None
    entry(root, "train_emotion2vec", *words[:-1], tmp_path / "f", "--losses.category", "0")
    row = checkpoint.load(checkpoint.newest(tmp_path / "f/checkpoints"))[2]["history"][0]
    assert "train/category" not in row and row["train/frame"] > 0


def test_training_from_data2vec_takes_the_tokens_from_the_configuration(root, data, tmp_path):
    """data2vec 2.0 has no utterance tokens: their mean, which the utterance loss compares, is not a number."""
    start = tmp_path / "data2vec.pt"
    sizes = yaml.safe_load(YAML)["model"]
    weights = Emotion2Vec(Emotion2VecConfig(**sizes)).state_dict()
    del weights["modality_encoders.AUDIO.extra_tokens"]
    torch.save({"model": weights}, start)
    sets = ["--train", data / "data/train", "--valid", data / "data/valid", "--init", start]
    more = ["--training.steps", "2", "--training.valid_every", "2", "--training.log_every", "1"]
    entry(root, "train_emotion2vec", "--config", data / "conf.yaml", *sets, *more, "--out", tmp_path / "e2v")
    history = checkpoint.load(checkpoint.newest(tmp_path / "e2v/checkpoints"))[2]["history"]
    assert all(0 < row["train/utterance"] < 1e6 for row in history if "train/utterance" in row)
    trained = load_model(tmp_path / "e2v")
    assert trained.config.tokens == sizes["tokens"] == trained.audio.extra_tokens.shape[1]
    assert torch.equal(
        prepare_for_training(load_model(start), trained.config).blocks[0].attn.qkv.weight,
        weights["blocks.0.attn.qkv.weight"],
    )


def test_a_collapse_stops_the_training_and_says_so(root, data, tmp_path):
    sets = ["--train", data / "data/train", "--valid", data / "data/valid", "--out", tmp_path / "e2v"]
    guard = ["--guard.after", "2", "--guard.prediction", "1e9"]
    done = entry(root, "train_emotion2vec", "--config", data / "conf.yaml", *sets, *guard, check=False)
    assert done.returncode == 1 and "step 3: the encoder has collapsed, guess deviation" in done.stderr
    assert done.stderr.rstrip().endswith("lower optim.lr")


@pytest.mark.slow
def test_killed_training_gives_the_model_of_an_undisturbed_one(root, data, tmp_path):
    def words(out):
        sets = ["--train", data / "data/train", "--valid", data / "data/valid", "--out", tmp_path / out]
        return ["--config", data / "conf.yaml", *sets]

    entry(root, "train_emotion2vec", *words("one"))
    command = [sys.executable, "-m", "c2ser.bin.train_emotion2vec", *map(str, words("two"))]
    environment = os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while job.poll() is None and len(list((tmp_path / "two/checkpoints").glob("step_*"))) < 2:
        time.sleep(0.01)
    job.kill()
    assert job.wait() == -9 and not (tmp_path / "two/config.json").exists()
    entry(root, "train_emotion2vec", *words("two"))
    assert (tmp_path / "two/model.safetensors").read_bytes() == (tmp_path / "one/model.safetensors").read_bytes()


def objective_of(config, teacher=None, **changes):
    """The full configuration's objective over utterances that are never read."""
    utterances = {f"u{k}": Utterance("train", "s", f"u{k}", "none.wav", "anger", "", "") for k in range(2)}
    material = Material(utterances, utterances, dict.fromkeys(utterances, 1.0), CropConfig(**config["batches"]))
    model = Emotion2Vec(Emotion2VecConfig(**{**config["model"], **changes}))
    parts = (MaskConfig(**config["masks"]), LossConfig(**config["losses"]), teacher or TeacherConfig(), GuardConfig())
    return Emotion2VecObjective(model, material, *parts, 1)


def test_data_are_known_by_what_is_learnt_from_them():
    config = {**yaml.safe_load(YAML), "losses": {}}
    before = objective_of(config)
    for change in ("emotion", "seconds"):
        after = objective_of(config)
        if change == "emotion":
            after.material.train = {**before.material.train, "u1": replace(before.material.train["u1"], emotion="fear")}
        else:
            after.material.seconds = {**before.material.seconds, "u1": 1.1}
        old, new = before.settings(), after.settings()
        assert [name for name in old if old[name] != new[name]] == ["data"]
    assert objective_of(config).settings() == before.settings()


def test_a_teacher_with_a_front_hears_with_its_own():
    torch.manual_seed(0)
    config = {**yaml.safe_load(YAML), "losses": {}}
    waves = torch.randn(2, 6400)
    batches = Batch(["u0", "u1"], waves, torch.tensor([0, 1]), torch.arange(19).expand(2, -1) % 2 == 0)
    figures = {}
    for front in (False, True):
        torch.manual_seed(1)
        objective = objective_of(config, teacher=TeacherConfig(start=0.5, front=front))
        names = {name for name, _ in objective.teacher.named_parameters()}
        assert any("local_encoder" in name for name in names) == front
        for weight in objective.model.audio.local_encoder.parameters():
            weight.data.mul_(torch.randn_like(weight))  # what the student hears changes
        with torch.no_grad():
            figures[front] = float(objective(batches, 0)["target_deviation"])
        if front:
            before = {name: parameter.clone() for name, parameter in objective.teacher.named_parameters()}
            objective.update_ema(1)
            name = "modality_encoders.AUDIO.local_encoder.conv_layers.0.0.weight"
            student = dict(objective.model.named_parameters())[name]
            moved = dict(objective.teacher.named_parameters())[name]
            assert (moved - before[name].lerp(student, 1 - objective.teaching.decay(1))).abs().max() < 1e-6
    torch.manual_seed(1)
    unchanged = objective_of(config, teacher=TeacherConfig())
    with torch.no_grad():
        assert figures[True] == pytest.approx(float(unchanged(batches, 0)["target_deviation"]), rel=1e-5)
    assert figures[False] != pytest.approx(figures[True], rel=1e-3)


def test_a_filter_bank_hears_pitch_not_phase():
    torch.manual_seed(0)
    extractor, random = (ConvExtractor([[160, 320, 160], [96, 2, 2]]) for _ in range(2))
    set_filter_bank(extractor)
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    nearest = []
    for hertz in (150, 440, 1000, 3000, 6000):
        time = torch.arange(8000) / 16000
        tones = torch.stack([torch.cos(2 * math.pi * hertz * time + phase) for phase in (0.0, 0.7, 1.9)])
        with torch.no_grad():
            heard, noise = extractor(tones), random(tones)
        loudest = heard[:, 5, :40].argmax(dim=1)
        nearest.append(round((mel(hertz) - mel(60)) / (mel(7600) - mel(60)) * 39))
        assert (loudest - nearest[-1]).abs().max() <= 1
        spread = [float((x - x.mean(0)).std() / x.std()) for x in (heard[:, :, :80], noise)]
        assert spread[0] < 0.5 * spread[1]  # what is left of the phase
    assert nearest == sorted(nearest)


@pytest.mark.parametrize("convs", [[[160, 320, 320]], [[162, 320, 160], [96, 2, 2]], [[160, 320, 160], [64, 2, 2]]])
def test_convolutions_without_room_for_a_filter_bank_are_refused(convs):
    with pytest.raises(ValueError, match="cannot hold a filter bank; give the first layer four channels"):
        set_filter_bank(ConvExtractor(convs))


def test_targets_that_tell_only_the_place_are_seen():
    place = torch.randn(1, 20, 8, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1)
    own = torch.randn(6, 20, 8, generator=torch.Generator().manual_seed(1))
    assert deviation(place) > 0.8 and contrast(place) == 0 and contrast(own) > 0.8
    assert contrast(own[:1]) == deviation(own[:1])


def test_centred_targets_leave_nothing_to_learn_of_the_place():
    values = {**yaml.safe_load(YAML), "losses": {"frame_centre": True, "utterance": 0.0, "category": 0.0}}
    torch.manual_seed(0)
    objective = objective_of(values).eval()
    wave = torch.randn(1, 8000).expand(2, -1)  # twice the same: all that is common to the batch
    frames = int(objective.model.audio.local_encoder.frames(torch.tensor(8000)))
    masked = torch.from_numpy(block_masks(4, frames, MaskConfig(clones=2), np.random.default_rng(0)))
    batch = Batch(["u0", "u1"], wave, torch.tensor([0, 0]), masked)
    targets = []
    original = losses.frame_loss
    losses.frame_loss = lambda guess, target, masked: targets.append(target) or original(guess, target, masked)
    try:
        objective(batch, 0)
    finally:
        losses.frame_loss = original
    assert targets[0].abs().max() < 1e-5


def test_the_full_configuration_builds_and_steps_at_reduced_depth(root):
    config = yaml.safe_load((root / "local/conf/full/emotion2vec.yaml").read_text())
    with torch.device("meta"):
        whole = objective_of(config)
    assert sum(p.numel() for p in whole.model.parameters()) == 93_790_988
    objective = objective_of(config, prenet_depth=1, depth=1, inner=768)
    before = [p.clone() for p in objective.teacher.parameters()]
    frames = int(objective.model.audio.local_encoder.frames(torch.tensor(6400)))
    masked = torch.from_numpy(block_masks(2 * 8, frames, objective.masks, np.random.default_rng(0)))
    optimiser = torch.optim.AdamW(objective.model.parameters(), lr=config["optim"]["lr"])
    figures = objective.train()(Batch(["u0", "u1"], torch.randn(2, 6400), torch.tensor([0, 0]), masked), 0)
    assert {"frame", "utterance", "category"} < set(figures)
    total = figures["frame"] + 0.1 * figures["utterance"] + 100.0 * figures["category"]
    assert figures["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    figures["loss"].backward()
    optimiser.step()
    objective.update_ema(1)
    assert all(torch.isfinite(p).all() for p in objective.model.parameters())
    assert any(not torch.equal(one, two) for one, two in zip(before, objective.teacher.parameters(), strict=True))


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(root, data, tmp_path):
    """Two ranks with a micro-batch each and one with two give the same weights, though blocks are dropped by chance."""
    sets = ["--train", data / "data/train", "--valid", data / "data/valid", "--config", data / "conf.yaml"]
    more = ["--losses.category", "0", "--losses.learn_temperature", "true", "--model.layer_drop", "0.4"]
    words = [*sets, *more, "--training.steps", "6", "--training.valid_every", "6"]
    entry(root, "train_emotion2vec", *words, "--out", tmp_path / "one", "--training.accumulate", "2")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment |= {"ACCELERATE_USE_CPU": "true"}
    command = [
        sys.executable,
        *launch,
        "-m",
        "c2ser.bin.train_emotion2vec",
        *map(str, words),
        "--out",
        str(tmp_path / "two"),
    ]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    torch.manual_seed(777)
    start = Emotion2Vec(load_model(tmp_path / "one").config).state_dict()
    assert max(float((one[name] - start[name]).abs().max()) for name in one) > 1e-3
    assert max(float((one[name] - two[name]).abs().max()) for name in one) <= 1e-5


def test_an_utterance_too_short_for_a_mask_is_rejected(test_data):
    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    model = Emotion2Vec(Emotion2VecConfig(dim=16, heads=2, inner=32, prenet_depth=1, depth=1, convs=convs))
    few, usual = MaskConfig(probability=0.2), MaskConfig()
    assert fewest_samples(model, usual) == 800  # 50 ms
    for masks in (few, usual):
        frames = (fewest_samples(model, masks) - 400) // 320 + 1
        assert block_masks(3, frames, masks, np.random.default_rng(0)).sum(axis=1).min() == 1
    path = test_data / "failing/short_100ms.wav"
    stream = CropBatches({"u": Utterance("t", "s", "u", path, "anger", "", "")}, {"u": 0.1}, CropConfig(), 1,
                         fewest_samples(model, few))  # fmt: skip
    with pytest.raises(ValueError, match="u: 1600 samples, under the 1680 that training takes; remove it"):
        stream.at(0)


def test_bad_audio_is_left_out_of_training_by_name(data, tmp_path):
    import soundfile

    bad = {"short": np.full(700, 0.1), "silent": np.zeros(9000), "long": np.full(48000, 0.1)}
    bad["nan"] = np.full(9000, np.nan)
    for name, samples in bad.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, subtype="FLOAT")
    good = read_table(data / "data/valid/wav.scp")
    paths = {**{name: str(tmp_path / f"{name}.wav") for name in [*bad, "missing"]}, **good}
    utterances = {name: Utterance("train", "s", name, path, "anger", "", "") for name, path in paths.items()}
    seconds = dict(durations(utterances, unreadable=0.0))
    stream = CropBatches(utterances, seconds, CropConfig(seconds=8, max_seconds=2.0, crop_seconds=2.0), 1, 800)
    batches = [stream.at(index) for index in range(2 * stream.order.per_epoch)]
    found = {name for batch in batches for name in batch.utterances}
    assert found == set(good) and {name for batch in batches for name in batch.rejected} == {*bad, "missing"}
