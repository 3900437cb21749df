"""Batches: a pure function of the seed, the same utterances each epoch, within the budget."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2ser.data.sampler import Batches, by_length, rng

DURATIONS = st.dictionaries(st.text("abcdef", min_size=1, max_size=5), st.floats(0.1, 20), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(DURATIONS, st.integers(0, 5), st.integers(1, 9))
def test_epochs_hold_every_utterance_once_within_budget(durations, seed, most):
    batches = Batches(durations, max_seconds=40, max_utterances=most, seed=seed)
    index, epochs = 0, []
    for _ in range(3):
        seen = []
        while len(seen) < len(durations):
            batch = batches.at(index)
            assert 0 < len(batch) <= most
            assert len(batch) * max(durations[u] for u in batch) <= 40 or len(batch) == 1
            seen += batch
            index += 1
        assert sorted(seen) == sorted(durations)
        epochs.append(seen)
    again = Batches(dict(reversed(durations.items())), max_seconds=40, max_utterances=most, seed=seed)
    assert again.at(index - 1) == batches.at(index - 1)  # asked for alone, in the middle of the stream


def test_threads_that_ask_at_once_see_one_stream():
    durations = {f"u{i}": 1.0 + i % 7 for i in range(3000)}
    stream = Batches(durations, 10, seed=1)
    alone = [stream.at(index) for index in range(stream.num_batches(6))]
    for _ in range(3):
        shared = Batches(durations, 10, seed=1)
        places = range(0, len(alone), 97)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(shared.at, places)) == [alone[place] for place in places]
        assert [shared.num_batches(epochs) for epochs in range(6)] == [
            stream.num_batches(epochs) for epochs in range(6)
        ]


def test_orders_differ_between_epochs_and_seeds():
    durations = {f"u{i}": 1 + i % 7 for i in range(200)}
    one, two = Batches(durations, 30, seed=1), Batches(durations, 30, seed=2)
    assert one.at(0) != two.at(0)
    assert [one.at(i) for i in range(5)] != [one.at(one.per_epoch + i) for i in range(5)]


def test_padding_is_small():
    durations = {f"u{i}": float(s) for i, s in enumerate(np.random.default_rng(0).uniform(1, 15, 2000))}
    batches = Batches(durations, 120)
    padded = sum(len(b) * max(durations[u] for u in b) for b in map(batches.at, range(batches.per_epoch)))
    assert padded < 1.15 * sum(durations.values())


def test_too_long_is_named():
    with pytest.raises(ValueError, match="^long: 50.0 s"):
        Batches({"long": 50.0, "short": 1.0}, max_seconds=40)


def test_rng_depends_on_its_numbers_only():
    assert rng(1, 2).integers(1 << 30) == rng(1, 2).integers(1 << 30) != rng(2, 1).integers(1 << 30)


def test_utterances_find_another_of_their_class():
    generator = rng(5)
    seconds = {f"u{i:03d}": float(generator.uniform(1, 6)) for i in range(203)}
    classes = {name: [None, "a", "b", "c"][int(generator.integers(4))] for name in seconds}
    batches = Batches(seconds, 30.0, 8, classes=classes)
    for index in range(3 * batches.per_epoch):
        names = batches.at(index)
        assert len(names) <= 8 and len(names) * max(seconds[n] for n in names) <= 30.0
        kinds = [classes[name] for name in names if classes[name]]
        assert all(kinds.count(kind) >= 2 for kind in kinds)
    epoch = [name for index in range(batches.per_epoch) for name in batches.at(index)]
    assert sorted(epoch) == sorted(seconds)
    assert Batches(seconds, 30.0, 8, classes=dict.fromkeys(seconds)).at(3) == Batches(seconds, 30.0, 8).at(3)


def test_batches_by_length_waste_little():
    lengths = {f"u{i}": float(s) for i, s in enumerate(np.random.default_rng(0).uniform(0.5, 15, 300))}
    batches = by_length(lengths, 60.0, 16, 1.25)
    assert sorted(name for batch in batches for name in batch) == sorted(lengths)
    for batch in batches:
        ordered = [lengths[name] for name in batch]
        assert ordered == sorted(ordered) and ordered[-1] <= 1.25 * ordered[0]
        assert len(batch) <= 16 and (len(batch) == 1 or ordered[-1] * len(batch) <= 60.0)
    assert len(batches) < 90
    assert by_length({"a": 0.0, "b": 0.0, "c": 90.0}, 60.0, 16, 1.25) == [["a", "b"], ["c"]]
