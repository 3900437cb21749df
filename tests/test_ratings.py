"""Votes and dimensions: their tables and faults, targets and losses of classifiers, figures with known values."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.nn.functional import cross_entropy

from c2ser.bin import score
from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.targets import quality, target_names, target_rows
from c2ser.emotion2vec.target_losses import ccc_loss, distribution_loss, fold_scale
from c2ser.ratings import check_scale, read_votes
from c2ser.scoring.concordance import concordance, dimension_figures
from c2ser.scoring.distributions import read_distributions, write_distributions
from c2ser.scoring.divergence import js_divergence, kl_divergence, ranked_probability_score
from c2ser.scoring.reliability import annotator_agreement, rating_agreement
from c2ser.scoring.vote_figures import vote_figures
from c2ser.tables import read_json, read_table, write_table


def rated(name, votes=None, dimensions=None, speaker="s1"):
    return Utterance(
        "train", speaker, name, "none.wav", "anger", "en", "", duration=1.0, votes=votes, dimensions=dimensions
    )


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("anger:-1 fear:2", "u-1: -1 votes for anger in {}; votes are 0 or more"),
        ("anger:0 fear:0", "u-1: no class has a vote in {}; take the line out, or write its votes"),
        ("anger:nan", "u-1: anger:nan in {} is no finite number; correct it"),
        ("anger:1 anger:2", "u-1: 'anger:1 anger:2' in {} gives a name twice; write it once"),
        ("anger", "u-1: 'anger' in {} is not of the form anger:3 sadness:1; write it anew"),
        (":3", "u-1: ':3' in {} is not of the form anger:3 sadness:1; write it anew"),
    ],
)
def test_a_fault_of_votes_is_one_line(tmp_path, row, line):
    path = tmp_path / "utt2votes"
    write_table(path, {"u-1": row})
    with pytest.raises(ValueError) as raised:
        read_votes(path)
    assert str(raised.value) == line.format(path)


def test_a_data_directory_with_odd_ratings_is_refused(tmp_path):
    write_table(tmp_path / "wav.scp", {"s-1": "a.wav"})
    write_table(tmp_path / "utt2spk", {"s-1": "s"})
    write_table(tmp_path / "utt2vad", {"s-1": "valence:2.5 arousal:4"})
    assert read_data_dir(tmp_path)["s-1"].dimensions == {"valence": 2.5, "arousal": 4.0}
    write_table(tmp_path / "utt2ratings", {"s-1": "valence:2,3 arousal:4"})
    assert read_data_dir(tmp_path)["s-1"].ratings == {"valence": [2.0, 3.0], "arousal": [4.0]}
    write_table(tmp_path / "utt2ratings", {"s-1": "valence:2,three"})
    with pytest.raises(ValueError, match="s-1: 'valence:three' in .*utt2ratings is not of the form"):
        read_data_dir(tmp_path)
    write_table(tmp_path / "utt2vad", {"s-1": "joy:2.5"})
    with pytest.raises(ValueError, match="s-1: unknown dimension 'joy' in .*; name valence, arousal, dominance"):
        read_data_dir(tmp_path)


def test_a_value_outside_its_scale_is_refused():
    check_scale("u", {"valence": 1.0, "arousal": 7.0}, (1, 7))
    with pytest.raises(ValueError, match="u: arousal 8 is outside the scale, 1 to 7; correct one of them"):
        check_scale("u", {"valence": 1.0, "arousal": 8.0}, (1, 7))


def test_targets_are_shares_of_the_votes_for_known_classes(caplog):
    data = {"a": rated("a", {"calm": 1, "anger": 3}), "b": rated("b", {"fear": 2, "calm": 0})}
    assert target_names(data, "votes") == ["anger", "fear", "calm"]
    rows = target_rows(data, "votes", ["anger", "calm"])
    assert rows["a"].tolist() == [0.75, 0.25] and "b" not in rows
    assert "1 of 2 utterances have votes for other classes alone" in caplog.text
    with pytest.raises(ValueError, match="a: like all others without a vote for surprise; give votes"):
        target_rows(data, "votes", ["surprise"])
    data["c"] = rated("c")
    with pytest.raises(ValueError, match=r"c: no votes in train/utt2votes; complete it \(1 such utterances\)"):
        target_names(data, "votes")


def test_targets_of_dimensions_may_lack_one():
    data = {"a": rated("a", dimensions={"arousal": 2.0}), "b": rated("b", dimensions={"valence": 3.0, "arousal": 1.0})}
    assert target_names(data, "dimensions") == ["valence", "arousal"]
    rows = target_rows(data, "dimensions", ["valence", "arousal"], scale=(1, 3))
    assert np.isnan(rows["a"][0]) and rows["a"][1] == 2 and rows["b"].tolist() == [3, 1]
    with pytest.raises(ValueError, match="b: valence 3 is outside the scale, 1 to 2"):
        target_rows(data, "dimensions", ["valence", "arousal"], scale=(1, 2))


def test_targets_of_emotions_are_one_or_nothing():
    data = {"a": rated("a"), "b": dataclasses.replace(rated("b"), emotion="calm")}
    rows = np.stack(list(target_rows(data, "emotion", ["anger", "fear"]).values()))
    assert rows.tolist() == [[1, 0], [0, 0]]
    assert quality("emotion", np.array([[0.9, 0.1], [0.9, 0.1]]), rows) == 0.5  # what no output can name is wrong


def test_losses_are_those_of_their_definitions():
    torch.manual_seed(0)
    logits, shares = torch.randn(20, 4), torch.randn(20, 4).softmax(dim=1)
    votes = shares.double().numpy()
    soft = cross_entropy(logits, shares) - torch.special.entr(shares).sum(dim=1).mean()
    assert distribution_loss(logits, shares) == pytest.approx(float(soft), abs=1e-6)
    assert quality("votes", logits.softmax(dim=1).numpy(), votes) == pytest.approx(-float(soft), abs=1e-5)
    classes = torch.randint(4, (20,))
    hard = distribution_loss(logits, torch.eye(4)[classes])
    assert hard == pytest.approx(float(cross_entropy(logits, classes)), abs=1e-6)
    true = torch.randn(20, 4)
    true[3, 1] = torch.nan
    both = np.mean([concordance(true[:, d].numpy(), logits[:, d].numpy()) for d in range(4)])
    assert ccc_loss(logits, true) == pytest.approx(1 - both, abs=1e-6)
    assert quality("dimensions", logits.numpy(), true.numpy()) == pytest.approx(both, abs=1e-6)


def test_no_gradient_is_lost_in_dimensions_that_nobody_rated_or_that_do_not_vary():
    values = torch.randn(3, 2, requires_grad=True)
    ccc_loss(values, torch.tensor([[1.0, torch.nan]] * 3)).backward()
    assert values.grad.isfinite().all()


def test_a_scale_is_folded_into_the_last_layer():
    layer, rows = torch.nn.Linear(5, 2), torch.randn(7, 5)
    mean, deviation = torch.tensor([4.0, 2.0]), torch.tensor([0.5, 3.0])
    wanted = layer(rows) * deviation + mean
    fold_scale(layer, mean, deviation)
    assert torch.allclose(layer(rows), wanted, atol=1e-5)


def test_divergences_have_known_values():
    shares, model = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), np.array([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0]])
    assert kl_divergence(shares, model)[0] == pytest.approx(0.5 * np.log(2))
    assert np.isfinite(kl_divergence(shares, model)).all() and kl_divergence(shares, shares).tolist() == [0, 0]
    library = [jensenshannon(p, q, base=2) ** 2 for p, q in zip(shares, model, strict=True)]
    assert js_divergence(shares, model) == pytest.approx(library) and library[1] == pytest.approx(1)


def test_ranks_go_by_the_votes():
    shares = np.array([[0.2, 0.6, 0.2]])
    assert ranked_probability_score(shares, shares).tolist() == [0]
    # in the order of the votes the model has .5, then .5 in the two with equal votes, in whatever order
    assert ranked_probability_score(shares, np.array([[0.1, 0.5, 0.4]])) == pytest.approx([0.1**2])
    assert ranked_probability_score(shares, np.array([[0.4, 0.5, 0.1]])) == pytest.approx([0.1**2])
    assert ranked_probability_score(np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]])) == pytest.approx([1.0])
    assert ranked_probability_score(np.array([[0.5, 0.5]]), np.array([[1.0, 0]])).tolist() == [0]  # nothing ranks


def test_concordance_is_lins():
    true, found = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    assert concordance(true, true) == pytest.approx(1) and concordance(true, -true + 4) == pytest.approx(-1)
    assert concordance(true, found) == pytest.approx(2 * 4 / 3 / (2 / 3 + 8 / 3 + 4))
    assert concordance(true, np.full(3, 2.0)) == 0
    assert concordance(true + 1e6, found + 1e6) == pytest.approx(concordance(true, found))


def test_dimension_figures_have_intervals_that_hold_the_truth():
    generator = np.random.default_rng(0)
    names, speakers = [f"s{n % 12}-{n}" for n in range(240)], {f"s{n % 12}-{n}": f"s{n % 12}" for n in range(240)}
    true = {
        name: {"valence": v, "arousal": a} for name, (v, a) in zip(names, generator.normal(4, 1, (240, 2)), strict=True)
    }
    found = {name: {d: x + generator.normal(0, 0.5) for d, x in row.items()} for name, row in true.items()}
    del found["s0-0"]["valence"], found["s1-1"]
    figures = dimension_figures(true, found, speakers)
    assert figures["utterances"] == {"valence": 238, "arousal": 239}
    assert figures["missing"] == {"valence": 2, "arousal": 1}
    expected = 2 / (1 + 1.25)  # of the population
    ccc, ends = figures["ccc"], figures["ccc"].pop("intervals")
    assert list(ccc) == list(ends) == ["valence", "arousal", "mean"]
    for name, (low, high) in ends.items():
        assert low < ccc[name] < high and low < expected < high and high - low < 0.1
    with pytest.raises(ValueError, match="no utterance has both a true and a found value"):
        dimension_figures(true, {"s0-0": {"dominance": 1.0}}, speakers)


CODERS = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
"""The worked example of Krippendorff's "Computing Krippendorff's Alpha-Reliability" (2011), part C: twelve units."""


def test_alpha_is_that_of_the_worked_example():
    units = [[float(value) for value in unit if value != "."] for unit in zip(*map(str.split, CODERS), strict=True)]
    votes = {f"s-{n}": {str(value): unit.count(value) for value in unit} for n, unit in enumerate(units)}
    figures = annotator_agreement(votes, {})
    assert figures["alpha"] == pytest.approx(0.743, abs=5e-4) and figures["utterances"] == 11
    assert "intervals" not in figures
    ratings = {f"s{n % 2}-{n}": {"arousal": unit} for n, unit in enumerate(units)}
    alpha = rating_agreement(ratings, {name: name[:2] for name in ratings})
    assert alpha["arousal"] == pytest.approx(0.849, abs=5e-4) and len(alpha["intervals"]["arousal"]) == 2
    assert rating_agreement({"a": {"arousal": [1.0]}}, {}) is None
    assert annotator_agreement({"a": {"fear": 0.5, "anger": 0.5}}, {}) is None  # shares are no annotators
    assert annotator_agreement({"a": {"fear": 1}}, {}) is None


def test_votes_score_labels_and_probabilities():
    votes = {"s1-a": {"anger": 3, "calm": 1}, "s1-b": {"fear": 2}, "s2-c": {"calm": 1, "fear": 1}, "s2-d": {"bored": 2}}
    labels = {"s1-a": "calm", "s1-b": "anger", "s2-c": "calm", "s2-d": "unparsed"}
    speakers = {name: name[:2] for name in votes}
    model = {name: {"anger": 0.25, "fear": 0.25, "calm": 0.5} for name in votes}
    figures = vote_figures(votes, labels, speakers, model)
    assert figures["any_annotator"] == pytest.approx(0.5) and figures["vote_share"] == pytest.approx((0.25 + 0.5) / 4)
    assert figures["majority_share"] == pytest.approx((0.75 + 1 + 0.5 + 1) / 4)
    assert (figures["utterances"], figures["with_probabilities"], figures["outside"]) == (4, 3, 0.25)
    kl = [0.75 * np.log(3) + 0.25 * np.log(0.5), np.log(4), 0.5 * np.log(2)]
    assert figures["kl"] == pytest.approx(np.mean(kl))
    assert set(figures["intervals"]) == {"any_annotator", "vote_share", "majority_share", "kl", "jsd", "rps"}
    assert figures["humans"]["vote_share"] == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert set(figures["humans"]["intervals"]) == {"alpha", "vote_share"}
    perfect = {name: {c: n / sum(row.values()) for c, n in row.items()} for name, row in votes.items()}
    exact = vote_figures(votes, labels, speakers, perfect)
    assert (exact["kl"], exact["rps"], exact["outside"]) == (pytest.approx(0), pytest.approx(0), 0)
    assert "kl" not in vote_figures(votes, labels, speakers)
    with pytest.raises(ValueError, match="no utterance has both probabilities and votes for joy"):
        vote_figures(votes, labels, speakers, {"s1-a": {"joy": 1.0}})


def test_probabilities_keep_their_classes(tmp_path):
    rows = {"a": {"anger": 0.25, "fear": 0.75}, "b": {"sadness": 1.0}}
    write_distributions(tmp_path, rows)
    assert read_table(tmp_path / "utt2prob") == {"a": "0.25 0 0 0 0 0 0.75", "b": "0 0 0 1 0 0 0"}
    assert read_distributions(tmp_path / "utt2prob")["a"]["fear"] == 0.75 and not (tmp_path / "labels.json").exists()
    write_distributions(tmp_path, {"a": {"anger": 0.25, "calm": 0.75}})
    assert read_distributions(tmp_path / "utt2prob") == {"a": {"anger": 0.25, "calm": 0.75}}
    write_table(tmp_path / "utt2prob", {"a": "0.5 0.1"})
    with pytest.raises(ValueError, match="a: '0.5 0.1' in .* are not 2 probabilities that sum to 1; decode again"):
        read_distributions(tmp_path / "utt2prob")


def test_stage_9_scores_answers_against_votes(tmp_path):
    """Labels and probabilities of C²SER; what is scored is what the calculation by hand gives."""
    data, out = tmp_path / "data/test", tmp_path / "exp/implicit/decode_test"
    emotions = {"s1-a": "anger", "s1-b": "fear", "s2-a": "anger", "s2-b": "fear"}
    write_table(data / "utt2emo", emotions)
    write_table(data / "utt2spk", {name: name[:2] for name in emotions})
    write_table(data / "utt2lang", dict.fromkeys(emotions, "en"))
    write_table(data / "utt2dur", dict.fromkeys(emotions, "1"))
    write_table(data / "utt2votes", {"s1-a": "anger:2 fear:1", "s1-b": "fear:1 calm:1", "s2-a": "anger:1"})
    write_table(out / "utt2emo", {name: "anger" for name in emotions})
    write_table(out / "utt2prob", dict.fromkeys(emotions, "0.5 0 0 0 0 0 0.5"))
    score.main(data / "utt2emo", out / "utt2emo", out, data, probabilities=out / "utt2prob")
    votes = read_json(out / "scores.json")["votes"]
    assert votes["utterances"] == 3 and votes["any_annotator"] == pytest.approx(2 / 3)
    assert votes["vote_share"] == pytest.approx((2 / 3 + 0 + 1) / 3) and votes["outside"] == pytest.approx(0.5 / 3)
    kl = [2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3), np.log(2), np.log(2)]
    assert votes["kl"] == pytest.approx(np.mean(kl)) and len(votes["intervals"]["rps"]) == 2
    write_table(data / "utt2votes", {"s1-a": "anger:-2"})
    with pytest.raises(ValueError, match="s1-a: -2 votes for anger in .*utt2votes; votes are 0 or more"):
        score.main(data / "utt2emo", out / "utt2emo", out, data, probabilities=out / "utt2prob")
    write_table(data / "utt2votes", {"s9-x": "anger:2"})
    with pytest.raises(ValueError, match="no utterance that is scored has votes; check utt2votes against the set"):
        score.main(data / "utt2emo", out / "utt2emo", out, data)
