"""Probes that learn votes and dimensions: on votes whose distribution is known, and on what can be heard in tones."""

import dataclasses

import numpy as np
import pytest
import torch

from c2ser.bin import train_probe
from c2ser.corpus import Utterance
from c2ser.data.arks import ArkWriter
from c2ser.emotion2vec.config import ProbeConfig
from c2ser.emotion2vec.probe import ProbeData, labels_of
from c2ser.emotion2vec.probe import train_probe as train
from c2ser.emotion2vec.probe_files import load_probe
from c2ser.ratings import numbers_text, parse_dimensions
from c2ser.scoring.distributions import read_distributions
from c2ser.scoring.divergence import kl_divergence
from c2ser.scoring.results_page import find_results, markdown
from c2ser.tables import read_json, read_table, write_table

CLASSES = ("anger", "calm", "fear")

CONFIG = ProbeConfig(hidden=32, lr=0.02, batch=50, epochs=20, normalise=False, seed=3)


def voted(number, seed, annotators=5):
    """Utterances whose embeddings decide a distribution over classes, from which annotators draw; and it, by id."""
    generator, data, truth = np.random.default_rng(seed), ProbeData({}, {}), {}
    turn = np.random.default_rng(0).normal(size=(3, 4))
    for n in range(number):
        place = generator.normal(size=4)
        chances = np.exp(turn @ place) / np.exp(turn @ place).sum()
        votes = dict(zip(CLASSES, generator.multinomial(annotators, chances).astype(float), strict=True))
        most = max(votes, key=lambda one: votes[one])
        one = Utterance("train", f"s{n % 8}", f"u{n}", "none.wav", most, "en", "", duration=1.0, votes=votes)
        frames = place + 0.2 * generator.normal(size=(generator.integers(3, 8), 4))
        data.utterances[one.id], data.embeddings[one.id], truth[one.id] = one, torch.tensor(frames).float(), chances
    return data, truth


@pytest.fixture(scope="module")
def parts():
    return voted(300, 1)[0], voted(100, 2)[0], *voted(300, 3)


def divergence(probe, data, truth):
    outputs = probe.outputs(data.embeddings)
    rows = np.array([[outputs[name].get(one, 0.0) for one in CLASSES] for name in truth])
    return kl_divergence(np.stack([*truth.values()]), rows).mean()


def test_votes_teach_the_true_distribution_better_than_the_majority(parts):
    learnt, checked, held_out, truth = parts
    config = dataclasses.replace(CONFIG, target="votes")
    start = divergence(train(learnt, checked, dataclasses.replace(config, epochs=1, lr=1e-9)), held_out, truth)
    soft, hard = train(learnt, checked, config), train(learnt, checked, CONFIG)
    reached, majority = (divergence(probe, held_out, truth) for probe in (soft, hard))
    assert reached < 0.05 < 0.1 < majority and reached < start / 4
    assert soft.names == ["anger", "fear", "calm"] and soft.epoch > 1 and soft.quality < 0
    right = [labels_of(probe.outputs(held_out.embeddings)) for probe in (soft, hard)]
    assert all(np.mean([said[n] == held_out.utterances[n].emotion for n in said]) > 0.6 for said in right)


def tones(number, seed, name):
    """Log spectra of tones; arousal is how loud they are (dB), valence how high (octaves over 100 Hz)."""
    generator, data = np.random.default_rng(seed), ProbeData({}, {})
    time, edges = np.arange(400) / 16000, np.geomspace(1, 200, 25).astype(int)
    for n in range(number):
        octaves, decibels = generator.uniform(0, 4), generator.uniform(-40, 0)
        phases = generator.uniform(0, 6, size=(6, 1))
        waves = 10 ** (decibels / 20) * np.sin(2 * np.pi * 100 * 2**octaves * time + phases)
        waves += 1e-3 * generator.normal(size=waves.shape)
        power = np.abs(np.fft.rfft(waves * np.hanning(400))) ** 2
        rows = np.log(np.add.reduceat(power, edges, axis=1) + 1e-3)
        values = {"valence": octaves, "arousal": decibels}
        if n % 10 == 0:
            del values["valence"]  # nobody said
        one = Utterance("train", f"s{n % 8}", f"{name}{n}", "none.wav", None, "en", "", fold=str(n % 2))
        one = dataclasses.replace(one, duration=1.0, dimensions=values)
        data.utterances[one.id], data.embeddings[one.id] = one, torch.tensor(rows).float()
    return data


def rated_set(folder, name, data, table):
    write_table(folder / name / "wav.scp", dict.fromkeys(data.utterances, "none.wav"))
    write_table(folder / name / "utt2spk", {i: one.speaker for i, one in data.utterances.items()})
    write_table(folder / name / "utt2dur", dict.fromkeys(data.utterances, "1"))
    for heading, rows in table.items():
        write_table(folder / name / heading, rows)
    with ArkWriter(folder / f"{name}.ark") as ark:
        places = {i: ark.write(i, rows.numpy()) for i, rows in data.embeddings.items()}
    write_table(folder / f"{name}.scp", places)


def test_what_can_be_heard_is_found_on_its_scale(tmp_path):
    for seed, name in enumerate(("train", "valid", "test")):
        data = tones(400 if name == "train" else 80, seed, name)
        rows = {i: numbers_text(one.dimensions, ("valence", "arousal")) for i, one in data.utterances.items()}
        rated_set(tmp_path, name, data, {"utt2vad": rows, "utt2fold": {i: u.fold for i, u in data.utterances.items()}})
    config = dataclasses.replace(CONFIG, target="dimensions", hidden=64, epochs=50, scale=[-40, 4])
    train_probe.main(
        tmp_path, tmp_path / "out", config, tmp_path / "train", tmp_path / "valid", tests=[tmp_path / "test"]
    )
    figures = read_json(tmp_path / "out/decode_test/scores.json")
    ccc = figures["dimensions"]["ccc"]
    assert ccc["valence"] > 0.9 and ccc["arousal"] > 0.9 and ccc["intervals"]["mean"][0] > 0.85
    assert figures["utterances"] == 80 and figures["dimensions"]["utterances"] == {"valence": 72, "arousal": 80}
    found = {
        i: parse_dimensions(i, row, "utt2vad") for i, row in read_table(tmp_path / "out/decode_test/utt2vad").items()
    }
    assert len(found) == 80 and min(row["arousal"] for row in found.values()) > -41
    assert not (tmp_path / "out/decode_test/utt2emo").exists()
    page = markdown(find_results(tmp_path), "t")
    low, high = ccc["intervals"]["valence"]
    assert "| model | CCC valence | CCC arousal | CCC mean | utterances |" in page
    assert f"| out | {ccc['valence']:.3f} [{low:.3f}, {high:.3f}] |" in page and "best model" not in page
    probe = load_probe(tmp_path / "out")
    assert probe.names == ["valence", "arousal"] and probe.config == config and probe.quality > 0.9
    with pytest.raises(ValueError, match=r"arousal .* is outside the scale, 1 to 7; correct one of them"):
        train_probe.main(tmp_path, tmp_path / "no", dataclasses.replace(config, scale=[1, 7]), tmp_path / "train",
                         tests=[tmp_path / "test"])  # fmt: skip
    with pytest.raises(ValueError, match=r"probe.scale \[7, 1\]: no scale; give the lowest and highest value"):
        dataclasses.replace(config, scale=[7, 1])
    short = dataclasses.replace(config, epochs=2)
    train_probe.main(tmp_path, tmp_path / "folds", short, folds=[tmp_path / "valid", tmp_path / "test"])
    folds = read_json(tmp_path / "folds/decode_cross-validation/scores.json")["folds"]
    assert list(folds) == ["0", "1"] and all("mean" in fold["dimensions"]["ccc"] for fold in folds.values())


def test_votes_are_scored_beside_the_emotions(parts, tmp_path):
    for name, data in zip(("train", "valid", "test"), parts, strict=False):
        votes = {i: numbers_text(one.votes, CLASSES) for i, one in data.utterances.items()}
        emotions = {i: one.emotion for i, one in data.utterances.items()}
        rated_set(tmp_path, name, data, {"utt2votes": votes, "utt2emo": emotions})
    figures = {}
    for target in ("emotion", "votes"):
        train_probe.main(tmp_path, tmp_path / target, dataclasses.replace(CONFIG, target=target), tmp_path / "train",
                         tmp_path / "valid", tests=[tmp_path / "test"])  # fmt: skip
        figures[target] = read_json(tmp_path / target / "decode_test/scores.json")
    hard, soft = (figures[target]["votes"] for target in ("emotion", "votes"))
    assert soft["intervals"]["kl"][1] < hard["intervals"]["kl"][0] and soft["jsd"] < hard["jsd"]
    assert soft["with_probabilities"] == 300 and soft["humans"]["vote_share"] > 0.4 and soft["humans"]["alpha"] > 0.1
    probabilities = read_distributions(tmp_path / "votes/decode_test/utt2prob")
    said = read_table(tmp_path / "votes/decode_test/utt2emo")
    assert labels_of(probabilities) == said and {*said.values()} == {*CLASSES}
    page = markdown(find_results(tmp_path), "t")
    assert (
        "| any annotator % | votes % | majority: votes % | KL | JSD | RPS | humans: votes % | humans: alpha |" in page
    )
    assert f" {soft['kl']:.3f} [" in page and f" {soft['humans']['alpha']:.3f} [" in page
    lines = {i: "" for i in read_table(tmp_path / "valid/utt2votes")}
    write_table(tmp_path / "valid/utt2votes", lines)
    with pytest.raises(ValueError, match=r"no votes in valid/utt2votes; complete it \(100 such utterances\)"):
        train_probe.main(tmp_path, tmp_path / "no", dataclasses.replace(CONFIG, target="votes"), tmp_path / "train",
                         tmp_path / "valid", tests=[tmp_path / "test"])  # fmt: skip
