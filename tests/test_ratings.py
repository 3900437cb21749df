"""Votes and dimensions: their tables and faults, targets and losses of classifiers, figures with known values."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.nn.functional import cross_entropy

from c2ser.corpus import Utterance, read_data_dir
from c2ser.data.targets import quality, target_names, target_rows
from c2ser.emotion2vec.target_losses import ccc_loss, distribution_loss, fold_scale
from c2ser.ratings import check_scale, read_dimensions, read_votes
from c2ser.scoring.concordance import concordance, dimension_figures
from c2ser.scoring.divergence import js_divergence, kl_divergence, ranked_probability_score
from c2ser.tables import write_table


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
    write_table(tmp_path / "utt2vad", {"s-1": "joy:2.5"})
    with pytest.raises(ValueError, match="s-1: unknown dimension 'joy' in .*; name valence, arousal, dominance"):
        read_data_dir(tmp_path)
    with pytest.raises(ValueError, match="unknown dimension"):
        read_dimensions(tmp_path / "utt2vad")


def test_a_value_outside_its_scale_is_refused():
    check_scale("u", {"valence": 1.0, "arousal": 7.0}, (1, 7))
    with pytest.raises(ValueError, match="u: arousal 8 is outside the scale, 1 to 7; correct it in utt2vad"):
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
    assert list(figures) == ["valence", "arousal", "mean"]
    assert (figures["valence"]["utterances"], figures["valence"]["missing"]) == (238, 2)
    assert figures["arousal"]["missing"] == 1
    expected = 2 / (1 + 1.25)  # of the population
    for row in figures.values():
        low, high = row["intervals"]["ccc"]
        assert low < row["ccc"] < high and low < expected < high and high - low < 0.1
    with pytest.raises(ValueError, match="no utterance has both a true and a found value"):
        dimension_figures(true, {"s0-0": {"dominance": 1.0}}, speakers)
