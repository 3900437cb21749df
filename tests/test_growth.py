"""Large tables: training keeps no texts in memory, reads the right ones, and what is measured can be repeated."""

import sys
import tracemalloc
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import measure_growth

from c2ser.cot.prompts import Request, sentence
from c2ser.data.datasets import read_items
from c2ser.data.kept_texts import KeptTable, KeptTexts
from c2ser.scoring.labels import mentions, read_answer
from c2ser.tables import check_id, read_json, read_table, write_table

MANY = 3000
"""Utterances whose memory is measured."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A made-up data directory with explicit and implicit answers, each of them unlike the others."""
    folder = tmp_path_factory.mktemp("growth") / "made"
    measure_growth.make_data(folder, MANY)
    emotions, texts = read_table(folder / "utt2emo"), read_table(folder / "text")
    levels = {"pitch": "low", "loudness": "medium", "rate": "high"}
    requests = [Request(name, "en", texts[name], emotion, levels) for name, emotion in emotions.items()]
    for style in ("explicit", "implicit"):
        write_table(folder / f"cot_{style}", {request.utterance: sentence(request, style) for request in requests})
    return folder


def test_answers_read_from_the_disk_are_those_of_the_table(made):
    items = read_items(made, ["explicit", "implicit"])
    assert [*items] == [*read_table(made / "wav.scp")]
    for style in ("explicit", "implicit"):
        assert {name: item.answers[style] for name, item in items.items()} == read_table(made / f"cot_{style}")
    answers = next(iter(items.values())).answers
    assert [*answers] == ["explicit", "implicit"] and "other" not in answers and answers == dict(answers)


def test_a_training_process_keeps_few_bytes_an_utterance(made):
    measure_growth.keep_training_data(made)  # what is interned or cached once does not count
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = measure_growth.keep_training_data(made)
    each = (tracemalloc.get_traced_memory()[0] - before) / MANY
    tracemalloc.stop()
    assert len(kept[0]) == MANY and each < 1000


def test_rows_of_any_length_and_rows_without_a_value(tmp_path):
    table = tmp_path / "t"
    long = "ü" * 3000
    table.write_bytes(f"a {long}\nb\r\n  c  two  words \r\nd \nlast {long}x".encode())
    kept = KeptTable(table)
    assert {name: kept.read(name) for name in kept.starts} == {n: v for n, v in read_table(table).items() if v}
    assert kept.empty == ["b", "d"] and [*kept.rows()] == ["a", "c", "last", "b", "d"]
    with pytest.raises(KeyError):
        kept.read("b")


def test_a_table_that_is_changed_while_it_is_in_use_is_noticed(tmp_path):
    table = tmp_path / "t"
    write_table(table, {"a": "one", "b": "two"})
    texts = KeptTexts("b", {"explicit": KeptTable(table)})
    write_table(table, {"a": "a longer one", "b": "another"})  # a new file: the old one is still open
    assert texts["explicit"] == "two"
    texts = KeptTexts("b", {"explicit": KeptTable(table)})
    table.write_text(table.read_text().replace("another", "another one"))  # the same file
    with pytest.raises(ValueError, match="t: was edited while it was in use; start again"):
        texts["explicit"]


def test_what_was_read_in_a_text_cannot_be_changed_for_the_next_reader():
    text = "The speaker spoke at a high pace, with a low tone: “no”. The emotion was inferred to be anger."
    first = read_answer(text)
    first.levels["pitch"] = "high"
    assert read_answer(text).levels == {"pitch": "low", "rate": "high"} and read_answer(text).emotion == "anger"
    assert mentions("no fear, but joy") == mentions.__wrapped__("no fear, but joy")


def test_no_blank_or_control_character_stands_in_an_id():
    for number in [*range(0x3001), 0xFEFF, 0xE0001]:
        if chr(number).isspace() or not chr(number).isprintable():
            with pytest.raises(ValueError, match="bad utterance or speaker id"):
                check_id(f"a{chr(number)}b")


def test_growth_is_measured_and_drawn(tmp_path):
    measure_growth.main(tmp_path, [20, 40], ["levels"])
    figures = read_json(tmp_path / "growth.json")["figures"]
    assert [*figures] == ["20", "40"] and figures["40"]["levels"]["seconds"] > 0
    assert (tmp_path / "growth.png").read_bytes()[:4] == b"\x89PNG"
