"""Intervals: against speakers drawn one by one, against what statistics promises, and what they refuse."""

import numpy as np
import pytest

from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.bootstrap import Draws, difference, interval, intervals, recall_intervals
from c2ser.scoring.compare import compare, comparison_table
from c2ser.scoring.metrics import scores

METRICS = ("ua", "wa", "f1_reference", "f1_union")


def corpus(seed, speakers=6, utterances=20, kinds=4, right=0.6, classes=EMOTIONS):
    """References, labels of two systems and speakers; some speakers lack an emotion, some labels are missing."""
    generator = np.random.default_rng(seed)
    reference, labels, others, speaker = {}, {}, {}, {}
    for s in range(speakers):
        skill = right + generator.normal(0, 0.15)
        for u in range(utterances):
            name = f"s{s}-u{u}"
            reference[name] = classes[generator.integers(kinds - s % 2)]
            wrong = generator.choice([*classes[:5], UNPARSED])
            labels[name] = reference[name] if generator.random() < skill else wrong
            others[name] = reference[name] if generator.random() < skill - 0.2 else wrong
            speaker[name] = f"s{s}"
    del labels["s0-u0"]
    return reference, labels, others, speaker


def by_hand(reference, labels, speaker, chosen):
    """The figures of the drawn speakers' utterances, copied as often as they were drawn."""
    true, said = {}, {}
    for copy, name in enumerate(chosen):
        for utterance in (u for u in reference if speaker[u] == name):
            true[f"{copy}/{utterance}"] = reference[utterance]
            if utterance in labels:
                said[f"{copy}/{utterance}"] = labels[utterance]
    figures = scores(true, said)
    return [figures[metric] for metric in METRICS]


RAW = ("calm", "sleepiness", *EMOTIONS[:2], "boredom", *EMOTIONS[2:])
"""Classes of which one, boredom, is said and never true; the first system alone says another one."""


@pytest.mark.parametrize("classes", [EMOTIONS, RAW])
def test_intervals_are_those_of_speakers_drawn_one_by_one(classes):
    reference, labels, others, speaker = corpus(1, classes=classes)
    labels["s1-u0"] = classes[-1]
    names = sorted(set(speaker.values()))
    drawn = [[names[place] for place in row] for row in np.random.default_rng(5).integers(6, size=(60, 6))]
    draws = Draws(60, seed=5)
    ours = np.array([by_hand(reference, labels, speaker, chosen) for chosen in drawn])
    theirs = np.array([by_hand(reference, others, speaker, chosen) for chosen in drawn])
    for column, metric in enumerate(METRICS):
        value, other = scores(reference, labels)[metric], scores(reference, others)[metric]
        found = interval(reference, labels, speaker, metric, draws)
        assert found.value == pytest.approx(value)
        assert [found.low, found.high] == pytest.approx(np.quantile(ours[:, column], [0.025, 0.975]).tolist())
        gap = difference(reference, labels, others, speaker, metric, draws)
        assert gap.value == pytest.approx(value - other)
        expected = np.quantile((ours - theirs)[:, column], [0.025, 0.975])
        assert [gap.low, gap.high] == pytest.approx(expected.tolist())
        mean = interval(reference, [labels, others], speaker, metric, draws)
        expected = np.quantile((ours + theirs)[:, column] / 2, [0.025, 0.975])
        assert [mean.low, mean.high] == pytest.approx(expected.tolist())


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        skills = generator.normal(0.6, 0.1, size=30)  # speakers differ: this is what the interval must know
        names = [f"s{s}-u{u}" for s in range(30) for u in range(20)]
        reference = {name: EMOTIONS[i % 2] for i, name in enumerate(names)}
        right = generator.random(len(names)) < np.repeat(skills, 20)
        labels = {n: reference[n] if good else "fear" for n, good in zip(names, right, strict=True)}
        found = interval(reference, labels, {n: n.split("-")[0] for n in names}, "wa", Draws(400, seed=seed))
        held += found.low <= 0.6 <= found.high
    assert 0.88 <= held / 100 <= 0.99


def test_pairing_narrows_the_difference_and_a_system_equals_itself():
    reference, labels, others, speaker = corpus(3, speakers=20)
    paired = difference(reference, labels, others, speaker)
    single, other = interval(reference, labels, speaker), interval(reference, others, speaker)
    assert paired.high - paired.low < np.hypot(single.high - single.low, other.high - other.low)
    assert paired.low > 0
    same = difference(reference, labels, [labels, labels], speaker)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0))


def test_the_same_seed_draws_the_same_speakers_and_many_draws_come_in_parts():
    reference, labels, _, speaker = corpus(4)
    first = interval(reference, labels, speaker, draws=Draws(2500))
    assert first == interval(reference, labels, speaker, draws=Draws(2500))
    assert first != interval(reference, labels, speaker, draws=Draws(2500, seed=1))
    narrow = interval(reference, labels, speaker, draws=Draws(2500, confidence=0.5))
    assert first.low < narrow.low < narrow.high < first.high


def test_intervals_of_all_figures_are_those_of_each():
    reference, labels, _, speaker = corpus(6)
    found = intervals(reference, labels, speaker)
    for metric in METRICS:
        one = interval(reference, labels, speaker, metric)
        assert found[metric] == [one.low, one.high]
    assert [*found] == [*METRICS] and intervals(reference, labels, dict.fromkeys(speaker, "s")) == {}


def test_what_cannot_be_compared_is_refused():
    reference, labels, _, speaker = corpus(2)
    with pytest.raises(ValueError, match="^s1-u3: no speaker; complete utt2spk"):
        interval(reference, labels, {name: s for name, s in speaker.items() if name != "s1-u3"})
    with pytest.raises(ValueError, match="all utterances are of speaker s; .* two speakers or more"):
        interval(reference, labels, dict.fromkeys(speaker, "s"))
    with pytest.raises(ValueError, match="^x: labelled, but not in the reference"):
        difference(reference, labels, {"x": "fear"}, speaker)
    with pytest.raises(ValueError, match="no table of labels"):
        interval(reference, [], speaker)


def test_draws_without_an_emotion_do_not_count_for_its_recall():
    reference = {f"s{i}-{kind}": kind for i in range(4) for kind in ("anger", "fear") if kind == "anger" or i == 0}
    found = recall_intervals(reference, reference, {name: name[:2] for name in reference}, draws=Draws(100))
    assert (found["fear"].low, found["fear"].high) == (1, 1)  # one speaker alone is afraid


def test_recalls_have_the_intervals_of_speakers_drawn_one_by_one():
    reference, labels, _, speaker = corpus(4, speakers=4, utterances=6)
    names = sorted(set(speaker.values()))
    drawn = [[names[place] for place in row] for row in np.random.default_rng(5).integers(4, size=(200, 4))]
    recalls = {emotion: [] for emotion in set(reference.values())}
    for chosen in drawn:
        own = [u for name in chosen for u in reference if speaker[u] == name]
        for emotion, values in recalls.items():
            right = [labels.get(u) == emotion for u in own if reference[u] == emotion]
            if right:
                values.append(np.mean(right))
    assert min(map(len, recalls.values())) < 200  # some draws have none of an emotion
    found = recall_intervals(reference, labels, speaker, draws=Draws(200, seed=5))
    assert {e: one.value for e, one in found.items()} == pytest.approx(scores(reference, labels)["per_emotion"])
    for emotion, values in recalls.items():
        ends = np.quantile(values, [0.025, 0.975]).tolist()
        assert [found[emotion].low, found[emotion].high] == pytest.approx(ends)


def test_of_one_speaker_there_is_a_table_without_intervals():
    """TESS and CASIA are tested on one speaker each."""
    reference = {f"s-{n}": ("anger", "fear")[n % 2] for n in range(8)}
    speakers = dict.fromkeys(reference, "s")
    half = {name: "anger" for name in reference}
    systems = {"good": [reference], "bad": [half, half]}
    compared = compare(reference, speakers, systems, "bad")
    assert compared["good"]["ua"] == {"value": 1.0, "std": 0.0} and compared["bad"]["wa"]["value"] == 0.5
    assert compared["good"]["difference"]["ua"] == {"value": 0.5}
    table = comparison_table(compared, "bad")
    assert "| good | 1 | 100.0 |" in table and "+50.0" in table and "[" not in table
    assert "no intervals: all utterances are of one speaker" in table
