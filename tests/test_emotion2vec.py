"""Emotion2Vec-S: parity with FunASR (forward pass) and fairseq (losses, gradients, teacher); masks, training."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from c2ser.corpus import Utterance, write_corpus
from c2ser.emotion2vec.convert import load_model, save_model
from c2ser.emotion2vec.losses import category_loss, frame_loss, frame_targets, utterance_loss, utterance_targets
from c2ser.emotion2vec.masking import MaskConfig, block_masks
from c2ser.emotion2vec.model import Emotion2Vec, Emotion2VecConfig, normalised, pool
from c2ser.tables import read_json, read_table
from c2ser.training import checkpoint
from c2ser.training.emotion2vec import TeacherConfig, make_teacher

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
    with torch.no_grad():
        output = model(*batch(stored["waveform"]), peer_padding=True)
    mask = ~stored["batched"]["frame_padding_mask"]
    assert torch.equal(output.mask, mask)
    gap = (output.frames - stored["batched"]["frames"])[mask].abs()
    assert gap.max() < 1e-4 and gap.mean() < 4e-6
    assert (output.tokens - stored["batched"]["tokens"]).abs().max() < 5e-5
    for ours, theirs in zip(output.layers, stored["batched"]["layer_results"], strict=True):
        theirs = theirs[:, -ours.shape[1] :]
        assert (ours - theirs)[mask].abs().max() < 5e-5


@pytest.mark.parametrize("kind", ["a", "b"])
def test_an_utterance_gives_the_same_alone_and_in_a_batch(funasr, kind):
    stored, model = funasr[kind], small(kind)
    model.load_state_dict(stored["state_dict"])
    with torch.no_grad():
        output = model(*batch(stored["waveform"]))
    for row, single in enumerate(stored["single"]):
        frames = output.frames[row][output.mask[row]]
        assert (frames - single["frames"]).abs().max() < 1e-4
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


@pytest.mark.parametrize(("case", "kind"), [("literal", "fairseq"), ("literal", "raw")])
def test_losses_and_gradients_are_fairseqs(fairseq, case, kind):
    stored, model = fairseq["cases"][case], small("a")
    model.load_state_dict(fairseq["student"])
    teacher = make_teacher(model)
    teacher.load_state_dict(fairseq["teacher"])
    waves, lengths = batch(fairseq["waveform"])
    masked = fairseq["mask"].bool()
    local, _ = model.local(waves, lengths)
    layers = teacher.teach(local.detach())
    guess, seen = model.student(local.repeat_interleave(3, dim=0), masked, noise=0.0)
    targets = frame_targets(layers)
    assert (targets - stored["targets"]).abs().max() < 1e-4
    frame = frame_loss(guess, targets.repeat_interleave(3, dim=0), masked)
    pooled = utterance_targets(layers, kind).repeat_interleave(3, dim=0)
    last, chunk = (utterance_loss(seen.tokens, pooled, prediction) for prediction in ("last", "chunk"))
    names = ("last_token", "chunk") if kind == "fairseq" else ("last_token_raw_target", "chunk_raw_target")
    assert frame.item() == pytest.approx(stored["frame_loss"], rel=1e-5)
    assert last.item() == pytest.approx(stored["formula"][names[0]], rel=1e-5)
    assert chunk.item() == pytest.approx(stored["formula"][names[1]], rel=1e-5)
    if kind == "fairseq":
        (frame + last).backward()
        for name, parameter in model.named_parameters():
            assert float(parameter.grad.norm()) == pytest.approx(stored["grad_norm"][name], rel=2e-3, abs=1e-4), name


def test_teacher_decay_is_fairseqs(fairseq):
    teaching = TeacherConfig()
    for update, decay in fairseq["ema"]["decay_at"].items():
        assert teaching.decay(int(update)) == pytest.approx(decay, abs=1e-12)
    assert set(make_teacher(small("a")).state_dict()) == set(fairseq["ema"]["teacher_keys"])


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
    with pytest.raises(ValueError, match="300 samples; the encoder needs 400"):
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
    return subprocess.run(
        [sys.executable, "-m", f"c2ser.bin.{name}", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        check=check,
        capture_output=True,
        text=True,
    )


def test_training_embeddings_and_probe(root, data, tmp_path):
    sets = ["--train", data / "data/train", "--valid", data / "data/valid"]
    done = entry(root, "train_emotion2vec", "--config", data / "conf.yaml", *sets, "--out", tmp_path / "e2v")
    assert done.stderr.count("left out:") == 1
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
