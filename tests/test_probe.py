"""The probe: EmoBox's network, schedule and folds; nothing leaks from a fold; comparison, pictures, stage 5."""

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from safetensors.torch import load_file, save_file
from torch import nn

from c2ser.bin import compare_systems, plot_embeddings, train_probe
from c2ser.corpus import Utterance, emotions_of
from c2ser.data.arks import ArkWriter
from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
from c2ser.emotion2vec.convert import save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.emotion2vec.probe import (
    Probe,
    ProbeData,
    choose_probe,
    cross_validate,
    labels_of,
    learning_rate,
    read_probe_data,
)
from c2ser.emotion2vec.probe import train_probe as train
from c2ser.emotion2vec.probe_files import load_probe, save_probe
from c2ser.prep.writer import write_corpus
from c2ser.scoring.compare import compare, comparison_table
from c2ser.scoring.cross_validation import figures_of_folds
from c2ser.scoring.embedding_plot import plot_points
from c2ser.scoring.palette import LOOKS, class_looks
from c2ser.scoring.results_page import find_results, markdown
from c2ser.tables import read_json, read_table, write_json, write_table

EMOTIONS = ("anger", "neutral", "fear")
EIGHT = ("anger", "happiness", "neutral", "sadness", "surprise", "disgust", "fear", "calm")


def utterance(speaker, number, emotion, set_name="train", fold=None):
    return Utterance(set_name, speaker, f"u{number}", "none.wav", emotion, "en", "", fold=fold, duration=1.0)


def made(seed=0, speakers=6, number=12, dim=5, shift=1.5, emotions=EMOTIONS):
    """Utterances of different lengths whose emotion shows in one dimension; speakers two by two make the folds."""
    generator, data = np.random.default_rng(seed), ProbeData({}, {})
    for s in range(speakers):
        for u in range(number):
            emotion = emotions[u % len(emotions)]
            one = utterance(f"s{s}", u, emotion, fold=str(s // 2 + 1))
            states = generator.normal(size=(generator.integers(3, 12), dim))
            states[:, u % len(emotions)] += shift
            data.utterances[one.id] = one
            data.embeddings[one.id] = nn.functional.layer_norm(torch.from_numpy(states).float(), states.shape)
    return data


def test_the_network_is_linear_relu_mean_over_real_frames_linear():
    torch.manual_seed(0)
    network = Probe(5, 7, 3)
    rows = [torch.randn(length, 5) for length in (4, 9, 1)]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # as EmoBox has it: padding, and a mask of real frames
    mask = (padded.sum(dim=2) != 0).float()[:, :, None]
    hidden = (torch.relu(network.hidden(padded)) * mask).sum(dim=1) / mask.sum(dim=1)
    assert torch.allclose(network(rows), network.output(hidden), atol=1e-6)


class WarmUp:
    """A scheduler that counts its own calls, called after each epoch: the quirk of EmoBox's code."""

    def __init__(self, lr, epochs, warm_up=10):
        self.lr, self.epochs, self.warm_up, self.calls = lr, epochs, warm_up, 0

    def next(self):
        calls, self.calls = self.calls, self.calls + 1
        if calls < self.warm_up:
            return self.lr * calls / self.warm_up
        return self.lr * (self.epochs - calls) / (self.epochs - self.warm_up)


def test_rates_are_emoboxs():
    config, warm_up = ProbeConfig(lr=1e-3, schedule="emobox"), WarmUp(1e-3, 100)
    expected = [1e-3, *(warm_up.next() for _ in range(99))]
    rates = [learning_rate(epoch, config) for epoch in range(1, 101)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert rates[:3] == pytest.approx([1e-3, 0, 1e-4]) and rates[11] == pytest.approx(1e-3)
    assert {learning_rate(epoch, ProbeConfig()) for epoch in range(1, 101)} == {1e-4}
    assert min(learning_rate(epoch, ProbeConfig(epochs=5, schedule="emobox")) for epoch in range(1, 6)) == 0


@pytest.mark.parametrize("schedule", ["constant", "emobox"])
def test_training_is_that_of_a_plain_loop_and_the_best_epoch_is_kept(schedule):
    data = made()
    learnt, checked = data.split(0.3, 5)
    config = ProbeConfig(hidden=8, lr=0.02, batch=1000, epochs=14, schedule=schedule, seed=5)
    probe = train(learnt, checked, config)
    torch.manual_seed(5)
    enter, leave = nn.Linear(5, 8), nn.Linear(8, 3)
    optimiser, warm_up = torch.optim.Adam([*enter.parameters(), *leave.parameters()], lr=0.02), WarmUp(0.02, 14)

    def logits(rows):
        return torch.stack([leave(torch.relu(enter(row)).mean(dim=0)) for row in rows])

    def truth(part):
        return torch.tensor([("anger", "neutral", "fear").index(one.emotion) for one in part.usable.values()])

    best, found = -1.0, None
    for epoch in range(1, 15):
        loss = nn.functional.nll_loss(logits(learnt.embeddings.values()).log_softmax(dim=1), truth(learnt))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if schedule == "emobox":
            optimiser.param_groups[0]["lr"] = warm_up.next()
        accuracy = (logits(checked.embeddings.values()).argmax(dim=1) == truth(checked)).float().mean().item()
        if accuracy > best:
            best, found = accuracy, (epoch, enter.weight.detach().clone())
    assert (probe.epoch, probe.quality) == (found[0], pytest.approx(best))
    assert torch.allclose(probe.network.hidden.weight, found[1], atol=1e-4)
    assert probe.quality > 0.5 and probe.names == ["anger", "neutral", "fear"]


def test_a_fifth_is_drawn_whatever_it_is():
    data = made()
    del data.embeddings["s0-u0"]
    learnt, checked = data.split(0.2, 1)
    assert len(checked.utterances) == round(0.2 * 71) and len(learnt.utterances) == 71 - 14
    assert not set(learnt.utterances) & set(checked.utterances) and "s0-u0" not in learnt.utterances
    assert set(checked.embeddings) == set(data.split(0.2, 1)[1].embeddings) != set(data.split(0.2, 2)[1].embeddings)


CONFIG = ProbeConfig(hidden=8, lr=0.02, batch=8, epochs=12)


def folds_labelled(data, config):
    outputs, probes = cross_validate(data, config)
    return labels_of(outputs), probes


def test_a_fold_is_labelled_without_its_own_emotions():
    data = made()
    labels, probes = folds_labelled(data, CONFIG)
    assert set(labels) == set(data.utterances) and list(probes) == ["1", "2", "3"]
    right = sum(labels[name] == emotion for name, emotion in emotions_of(data.utterances).items())
    assert right / len(labels) > 0.8
    turned = dict(zip(EMOTIONS, EMOTIONS[1:] + EMOTIONS[:1], strict=True))
    lied = {
        name: dataclasses.replace(one, emotion=turned[one.emotion]) if one.fold == "2" else one
        for name, one in data.utterances.items()
    }
    other, _ = folds_labelled(ProbeData(lied, data.embeddings), CONFIG)
    own = [name for name, one in data.utterances.items() if one.fold == "2"]
    assert all(labels[name] == other[name] for name in own)
    assert any(labels[name] != other[name] for name in labels if name not in own)


def test_folds_that_cannot_be_are_refused():
    data = made(speakers=2)
    with pytest.raises(ValueError, match="all utterances are of fold 1; give every data directory"):
        cross_validate(data, CONFIG)
    data.utterances["s0-u3"] = dataclasses.replace(data.utterances["s0-u3"], fold=None)
    with pytest.raises(ValueError, match="^s0-u3: no fold in utt2fold"):
        cross_validate(data, CONFIG)


def test_what_no_fold_tests_is_learnt_from_or_chooses():
    """An official split as one fold is the plain way to train and test."""
    data, roles = made(), {"1": "1", "2": "train", "3": "valid"}
    data.utterances = {i: dataclasses.replace(one, fold=roles[one.fold]) for i, one in data.utterances.items()}
    parts = {fold: data.part(i for i, one in data.utterances.items() if one.fold == fold) for fold in roles.values()}
    labels, probes = folds_labelled(data, CONFIG)
    assert list(probes) == ["1"] and set(labels) == set(parts["1"].utterances)
    plain = train(parts["train"], parts["valid"], CONFIG)
    assert labels == labels_of(plain.outputs(parts["1"].embeddings)) and probes["1"].quality == plain.quality
    for fold, message in (("train", "of fold 1 or valid"), ("1", "of fold train or valid")):
        rest = data.part(i for i, one in data.utterances.items() if one.fold != fold)
        with pytest.raises(ValueError, match=message):
            cross_validate(rest, CONFIG)
    without = data.part(i for i, one in data.utterances.items() if one.fold != "valid")
    drawn, probes = folds_labelled(without, CONFIG)
    learnt, checked = parts["train"].split(CONFIG.valid_share, CONFIG.seed)
    assert drawn == labels_of(train(learnt, checked, CONFIG).outputs(parts["1"].embeddings))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A recipe's folder with data directories and embeddings; an utterance has none, another is too long."""
    folder, generator = tmp_path_factory.mktemp("re cipe"), np.random.default_rng(0)
    soundfile.write(folder / "noise.wav", 0.1 * generator.normal(size=6000), 16000)
    soundfile.write(folder / "long.wav", 0.1 * generator.normal(size=16000 * 31), 16000)

    def utterances():
        sets = {0: "train", 1: "train", 2: "train", 3: "valid", 4: "valid", 5: "test", 6: "test"}
        for s, set_name in sets.items():
            for u in range(9):
                one = utterance(f"s{s}", u, EMOTIONS[u % 3], set_name, fold=str(s % 3 + 1))
                yield dataclasses.replace(one, wav=folder / ("long.wav" if (s, u) == (6, 8) else "noise.wav"))

    write_corpus(utterances(), folder / "data")
    for set_name in ("train", "valid", "test"):
        places = {}
        with ArkWriter(folder / f"vectors/{set_name}.ark") as ark:
            for name in read_table(folder / f"data/{set_name}/wav.scp"):
                states = generator.normal(size=(generator.integers(3, 9), 4))
                states[:, int(name[-1]) % 3] += 1.2
                places[name] = ark.write(name, states)
        del places[next(name for name in places if name.endswith("u0"))]
        write_table(folder / f"vectors/{set_name}.scp", places)
    return folder


def test_long_utterances_leave_and_each_set_counts_once(corpus):
    folders = [corpus / "data/test", corpus / "data/valid"]
    data = read_probe_data(folders, corpus / "vectors", ProbeConfig())
    assert len(data.utterances) == 35 and "s6-u8" not in data.utterances and "s6-u8" not in data.embeddings
    assert len(data.embeddings) == 33
    states = next(iter(data.embeddings.values()))  # one mean and deviation for the whole matrix, not for each frame
    assert states.mean().item() == pytest.approx(0, abs=1e-6)
    assert states.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert states.mean(dim=1).abs().max() > 0.01
    with pytest.raises(ValueError, match="^s5-u0: in .*test and in another"):
        read_probe_data([folders[0], folders[0]], corpus / "vectors", ProbeConfig())


def test_cross_validation_of_pooled_sets_over_seeds_is_compared_and_shown(corpus, tmp_path, capsys):
    pooled = [corpus / "data" / name for name in ("train", "valid", "test")]
    probe = tmp_path / "exp/probe"
    train_probe.main(corpus / "vectors", probe, CONFIG, folds=pooled)
    train_probe.main(
        corpus / "vectors", tmp_path / "two", dataclasses.replace(CONFIG, epochs=1), folds=pooled, seeds=[1, 2]
    )
    figures = read_json(probe / "decode_cross-validation/scores.json")
    assert (
        figures["utterances"] == 62 and figures["missing"] == 3
    )  # the too long one is nowhere, those without vectors are wrong
    assert list(figures["folds"]) == ["1", "2", "3"]
    assert sum(row["utterances"] for row in figures["folds"].values()) == 62
    assert figures["mean"]["ua"] == pytest.approx(np.mean([row["ua"] for row in figures["folds"].values()]))
    low, high = figures["intervals"]["ua"]
    assert low < figures["ua"] < high and figures["ua"] > 0.6
    page = markdown(find_results(tmp_path / "exp"), "t")
    assert f"| probe | {100 * figures['ua']:.1f} [{100 * low:.1f}, {100 * high:.1f}] |" in page
    assert page.count("| probe, fold ") == 3 and "| probe, mean of folds |" in page
    systems = {"full": [probe / "decode_cross-validation/utt2emo"], "one epoch": [tmp_path / "two"]}
    compare_systems.main(pooled, systems, tmp_path / "cmp", baseline="one epoch")
    compared = read_json(tmp_path / "cmp/comparison.json")
    runs = [read_json(path)["ua"] for path in sorted((tmp_path / "two").rglob("scores.json"))]
    assert len(runs) == compared["one epoch"]["runs"] == 2
    assert compared["one epoch"]["ua"]["value"] == pytest.approx(np.mean(runs))
    assert compared["one epoch"]["ua"]["std"] == pytest.approx(np.std(runs, ddof=1))
    assert compared["full"]["difference"]["ua"]["value"] == pytest.approx(figures["ua"] - np.mean(runs))
    assert "| full | 1 |" in capsys.readouterr().out


def test_simple_way_draws_a_validation_set_where_none_is_given(corpus, tmp_path):
    train_set, tests = corpus / "data/train", [corpus / "data/test"]
    train_probe.main(corpus / "vectors", tmp_path, CONFIG, train=train_set, tests=tests)
    figures = read_json(tmp_path / "decode_test/scores.json")
    assert figures["utterances"] == 17 and "folds" not in figures and len(figures["intervals"]["wa"]) == 2
    with pytest.raises(ValueError, match="give either --train and --tests, or --folds"):
        train_probe.main(corpus / "vectors", tmp_path, CONFIG, train=train_set, tests=tests, folds=tests)
    with pytest.raises(ValueError, match="give either --train and --tests, or --folds"):
        train_probe.main(corpus / "vectors", tmp_path, CONFIG, train=train_set)


def test_a_sweep_keeps_what_is_best_on_the_validation_set(corpus, tmp_path):
    sets = {name: read_probe_data([corpus / f"data/{name}"], corpus / "vectors", CONFIG) for name in ("train", "valid")}
    config = dataclasses.replace(CONFIG, epochs=2, sweep=True)
    chosen = choose_probe(sets["train"], sets["valid"], config)
    each = [
        train(sets["train"], sets["valid"], dataclasses.replace(config, lr=lr, hidden=hidden))
        for lr in (1e-3, 1e-4)
        for hidden in (128, 256)
    ]
    best = max(each, key=lambda probe: probe.quality)
    assert (chosen.config, chosen.quality) == (best.config, best.quality)
    assert torch.equal(chosen.network.output.weight, best.network.output.weight)
    assert choose_probe(sets["train"], sets["valid"], dataclasses.replace(CONFIG, epochs=1)).config.lr == CONFIG.lr


def test_the_trained_probe_is_kept_and_labels_as_it_did(corpus, tmp_path):
    sets = {"train": corpus / "data/train", "valid": corpus / "data/valid", "tests": [corpus / "data/test"]}
    encoder = tmp_path / "encoder.pt"
    encoder.write_bytes(b"weights")
    train_probe.main(corpus / "vectors", tmp_path / "probe", CONFIG, **sets, encoder=str(encoder))
    probe = load_probe(tmp_path / "probe")
    data = read_probe_data(sets["tests"], corpus / "vectors", CONFIG)
    assert labels_of(probe.outputs(data.embeddings)) == read_table(tmp_path / "probe/decode_test/utt2emo")
    assert probe.config == CONFIG and probe.names == [*EMOTIONS] and 0 < probe.quality <= 1 <= probe.epoch
    assert probe.encoder == hashlib.sha256(b"weights").hexdigest()
    train_probe.main(corpus / "vectors", tmp_path / "two", CONFIG, **sets, seeds=[1, 2], encoder="some/hub-id")
    weights = [load_probe(tmp_path / f"two/seed{seed}").network.output.weight for seed in (1, 2)]
    assert not torch.equal(*weights) and load_probe(tmp_path / "two/seed1").encoder is None
    folds = [corpus / "data" / name for name in ("train", "valid", "test")]
    train_probe.main(corpus / "vectors", tmp_path / "folds", CONFIG, folds=folds)
    with pytest.raises(
        ValueError, match="folds: no config.json, so no probe is here; give the folder that train_probe"
    ):
        load_probe(tmp_path / "folds")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values, tensors: values.update(kind="emotion2vec"), "probe: not a probe; give the folder"),
        (lambda values, tensors: values.pop("names"), "damaged .*; train the probe again"),
        (lambda values, tensors: values.update(names=["anger", "fear"]), "damaged .output.weight has shape"),
        (lambda values, tensors: values["probe"].update(color=1), "damaged .*color"),
        (lambda values, tensors: tensors.pop("output.bias"), "damaged .*output.bias is missing"),
        (lambda values, tensors: tensors["output.bias"].fill_(float("nan")), "damaged .output.bias holds NaN"),
    ],
)
def test_a_damaged_probe_is_one_clear_line(tmp_path, damage, message):
    learnt, checked = made().split(0.3, 5)
    save_probe(train(learnt, checked, dataclasses.replace(CONFIG, epochs=1)), tmp_path / "probe")
    values, tensors = read_json(tmp_path / "probe/config.json"), load_file(tmp_path / "probe/model.safetensors")
    damage(values, tensors)
    write_json(tmp_path / "probe/config.json", values)
    save_file(tensors, tmp_path / "probe/model.safetensors")
    with pytest.raises(ValueError, match=message) as caught:
        load_probe(tmp_path / "probe")
    assert "\n" not in str(caught.value)


def test_comparisons_that_cannot_be_are_refused():
    reference, speakers = {"a": "fear", "b": "anger", "c": "fear"}, {"a": "x", "b": "y", "c": "y"}
    with pytest.raises(ValueError, match="^S: no such system; give one of F"):
        compare(reference, speakers, {"F": [{"a": "fear"}]}, "S")
    compared = compare(reference, speakers, {"F": [{"a": "fear"}], "S": [{"a": "fear", "b": "anger"}]}, "F")
    assert compared["F"]["wa"]["value"] == pytest.approx(1 / 3)  # what is not labelled is wrong
    assert compared["S"]["difference"]["wa"]["value"] == pytest.approx(1 / 3) and "difference" not in compared["F"]
    assert "above" not in comparison_table(compared) and "WA above F" in comparison_table(compared, "F")
    with pytest.raises(ValueError, match="^S: no utt2emo in"):
        compare_systems.tables_of("S", [])


def seen_colours(path):
    """The emotions whose colour is seen, through the points' transparency."""
    pixels = imread(path)[:, :, :3].reshape(-1, 3)
    assert len(pixels) > 100_000
    looks = class_looks([*LOOKS, "calm"])
    seen = {emotion: 0.75 * np.array(to_rgb(look.colour)) + 0.25 for emotion, look in looks.items()}
    return {emotion for emotion, code in seen.items() if (np.abs(pixels - code).max(axis=1) < 0.02).sum() > 50}


@pytest.mark.parametrize("projection", ["pca", "tsne"])
def test_embeddings_are_drawn_in_the_colours_of_their_emotions(corpus, tmp_path, projection):
    folders = [corpus / "data" / name for name in ("train", "test")]
    plot_embeddings.main(folders, corpus / "vectors", tmp_path / "x.png", projection)
    assert seen_colours(tmp_path / "x.png") == {"anger", "neutral", "fear"}
    with pytest.raises(ValueError, match="0 utterances give no picture"):
        write_table(tmp_path / "train.scp", {"x": "none.ark:1"})
        plot_embeddings.main(folders[:1], tmp_path, tmp_path / "y.png")


def test_raw_classes_are_cross_validated():
    data = made(number=16, dim=9, shift=2.5, emotions=EIGHT)
    config = dataclasses.replace(CONFIG, lr=0.05)
    labels, probes = folds_labelled(data, config)
    assert all(probe.names == list(EIGHT) for probe in probes.values())
    figures = figures_of_folds(data.utterances, labels)
    assert list(figures["per_emotion"]) == list(EIGHT) and figures["ua"] > 0.7 and figures["per_emotion"]["calm"] > 0.5
    assert len(figures["intervals"]["ua"]) == 2 and list(figures["folds"]["2"]["per_emotion"]) == list(EIGHT)
    # a class of one fold alone is never answered there, nor refused
    lone = {
        name: dataclasses.replace(one, emotion="boredom") if one.fold == "1" and one.emotion == "calm" else one
        for name, one in data.utterances.items()
    }
    labels, probes = folds_labelled(ProbeData(lone, data.embeddings), config)
    assert "boredom" not in probes["1"].names and probes["2"].names == [*EIGHT[:-1], "boredom", "calm"]
    figures = figures_of_folds(lone, labels)
    assert len(figures["per_emotion"]) == 9 and figures["per_emotion"]["boredom"] == 0
    assert "boredom" not in figures["folds"]["2"]["per_emotion"]


def test_an_utterance_without_an_emotion_is_no_class():
    data = made()
    data.utterances["s0-u3"] = dataclasses.replace(data.utterances["s0-u3"], emotion=None)
    with pytest.raises(ValueError, match="^s0-u3: no emotion in train/utt2emo; complete it"):
        train(data, made(), CONFIG)
    with pytest.raises(ValueError, match="^s0-u3: no emotion"):
        figures_of_folds(data.utterances, {})


def test_stage_5_knows_raw_classes(corpus, tmp_path):
    data, turned = tmp_path / "data", {"fear": "calm"}
    shutil.copytree(corpus / "data", data)
    for table in data.glob("*/utt2emo"):
        write_table(table, {name: turned.get(emotion, emotion) for name, emotion in read_table(table).items()})
    train_set, tests = data / "train", [data / "test"]
    train_probe.main(corpus / "vectors", tmp_path / "probe", CONFIG, train=train_set, valid=data / "valid", tests=tests)
    folder = tmp_path / "probe/decode_test"
    assert set(read_table(folder / "utt2emo").values()) == {"anger", "neutral", "calm"}
    figures = read_json(folder / "scores.json")
    assert list(figures["per_emotion"]) == ["anger", "neutral", "calm"] and figures["per_emotion"]["calm"] > 0.3
    compare_systems.main(tests, {"probe": [folder / "utt2emo"]}, folder)
    assert read_json(folder / "comparison.json")["probe"]["per_emotion"] == figures["per_emotion"]
    assert (folder / "per_emotion.png").stat().st_size > 5000
    plot_embeddings.main(tests, corpus / "vectors", folder / "embeddings.png", "pca")
    assert seen_colours(folder / "embeddings.png") == {"anger", "neutral", "calm"}


def test_many_classes_have_markers_of_their_own(tmp_path):
    names = [*EMOTIONS, "calm", "boredom", "sleepiness", "pain", "contempt", "worry", "breath", "amusement"]
    looks = class_looks(names)
    assert len({look.marker for look in looks.values()}) == len(names) == len(looks)  # colours alone are too few
    assert len({look.colour for look in class_looks([*LOOKS, "calm", "pain"]).values()}) == len(LOOKS) + 2
    assert len(class_looks([*names, "x", "y"])) == len(names) + 2
    assert list(class_looks(reversed(names))) == [*EMOTIONS, *sorted(names[3:])]
    vectors = {str(i): np.eye(len(names))[i] for i in range(len(names))}
    plot_points(vectors, {str(i): name for i, name in enumerate(names)}, "pca", "t", tmp_path / "x.png")


@pytest.mark.slow(seconds=90)
def test_stage_5_cross_validates_and_compares_encoders(root, corpus, tmp_path):
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    small = {
        "dim": 16,
        "heads": 2,
        "inner": 16,
        "prenet_depth": 1,
        "depth": 1,
        "position_groups": 2,
        "decoder_layers": 0,
    }
    save_model(Emotion2Vec(Emotion2VecConfig(**small, convs=convs)), tmp_path / "ours")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    WavLMModel(WavLMConfig(**sizes, conv_dim=(8,) * 7, num_conv_pos_embedding_groups=2)).save_pretrained(
        tmp_path / "wavlm"
    )
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "wavlm")
    recipe = tmp_path / "p/egs/x"
    shutil.copytree(corpus / "data", recipe / "data")
    for name in ("local", "utils", "c2ser"):
        (tmp_path / "p" / name).symlink_to(root / name)
    (recipe / "conf").mkdir()
    (recipe / "conf/probe.yaml").write_text("probe: {epochs: 2}\n")
    for table in (recipe / "data").glob("*/utt2emo"):
        emotions = read_table(table)
        write_table(table.with_name("utt2vad"), {name: f"arousal:{len(emotion)}" for name, emotion in emotions.items()})
    words = ["--stage", "5", "--stop-stage", "5", "--size", "tiny", "--ngpu", "0", "--decode-nj", "2"]
    words += ["--emotion2vec", tmp_path / "ours", "--probe-targets", "emotion dimensions"]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [tmp_path / "p/local/c2ser.sh", *map(str, words), "--probe-models", str(tmp_path / "wavlm")],
        cwd=recipe, env=environment | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = find_results(recipe / "exp")
    probes = {f"probe{encoder}{target}" for encoder in ("", "_wavlm") for target in ("", "-dimensions")}
    assert {*results} == {("cross-validation", probe) for probe in probes}
    assert "intervals" in results["cross-validation", "probe-dimensions"]["dimensions"]["ccc"]
    page = (recipe / "exp/RESULTS.md").read_text()  # no stage 9 is needed for values
    assert "| model | CCC arousal | CCC mean | utterances |" in page and "| probe_wavlm-dimensions | " in page
    assert "ours-dimensions" not in done.stdout
    folder = recipe / "exp/probe/decode_cross-validation"
    assert (folder / "per_emotion.png").stat().st_size > 5000 and (folder / "embeddings.png").stat().st_size > 5000
    assert "| ours | 1 |" in (folder / "comparison.md").read_text() and "| wavlm | 1 |" in done.stdout
