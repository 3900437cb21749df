"""Chains of thought: sentences, requests, checks, writers, and reading them back."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2ser.chat.protocol import Reply
from c2ser.cot.checks import problem
from c2ser.cot.prompts import Request, request_prompt, sentence
from c2ser.cot.writers import TemplateWriter, write_all
from c2ser.emotions import ATTRIBUTES, EMOTIONS, LEVELS, UNPARSED
from c2ser.scoring.labels import read_answer, read_label
from c2ser.tables import TableMap, read_json, read_table

LEVEL_SETS = st.fixed_dictionaries({name: st.sampled_from(LEVELS) for name in ATTRIBUTES})


def request(text="Where is it?", language="en", emotion="anger", levels=None):
    levels = levels or {"pitch": "high", "loudness": "medium", "rate": "low"}
    return Request("u", language, text, emotion, levels)


def test_the_sentence_is_that_of_table_1():
    assert sentence(request(), "explicit") == (
        "The speaker spoke at a low pace, with a high tone and medium level: “Where is it?”. "
        "Based on the analysis of speech characteristics, the emotion was inferred to be anger."
    )
    assert "愤怒" in sentence(request(language="zh"), "implicit")
    assert "anger" in sentence(request(language="de"), "implicit")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_request_tells_the_writer_everything(language):
    prompt = request_prompt(request("in {braces} %s", language), "explicit")
    assert "in {braces} %s" in prompt and sentence(request("in {braces} %s", language), "explicit") in prompt


@given(st.text(max_size=40), st.sampled_from(["en", "zh"]), st.sampled_from(EMOTIONS), LEVEL_SETS)
def test_what_is_written_is_read_back(text, language, emotion, levels):
    made = request(" ".join(text.split()), language, emotion, levels)
    reading = read_answer(sentence(made, "explicit"))
    assert reading.emotion == emotion and reading.levels == levels
    assert problem(made, "explicit", sentence(made, "explicit")) is None
    assert read_label(sentence(made, "implicit")) == emotion


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("The emotion of this speech is Fear.", "fear"),
        ("这条语音的情感为恐惧。", "fear"),
        ("He said “I am full of anger”, and the emotion is sadness.", "sadness"),
        ("说话者说：“我很高兴”，情绪为中性。", "neutral"),
        ("It is anger or fear.", UNPARSED),
        ("", UNPARSED),
        ("fearless and fearsome", UNPARSED),
        ("He sounds furious.", "anger"),
        ("推测情绪为快乐，透露出一种期待和兴奋的喜悦。", "happiness"),
        ("She is not angry but sad.", "sadness"),
        ("She isn't happy.", UNPARSED),
        ("It is neither anger nor fear, only sadness.", "sadness"),
        ("There is no sign of fear; the emotion is neutral.", "neutral"),
        ("It is surprise rather than fear.", "surprise"),
        ("She is not only angry.", "anger"),
        ("他不是愤怒而是悲伤。", "sadness"),
        ("他并不高兴。", UNPARSED),
        ("他非常高兴。", "happiness"),
        ("The speaker is calm.", UNPARSED),
        ("He is unhappy.", "sadness"),
        ("The emotion was “anger", UNPARSED),
    ],
)
def test_labels_are_read_strictly(answer, label):
    assert read_label(answer) == label


def test_texts_that_say_something_else_are_refused():
    good = sentence(request(), "explicit")
    assert "not 'anger'" in problem(request(), "explicit", good.replace("anger", "fear"))
    assert "quote" in problem(request(), "explicit", good.replace("Where", "There"))
    assert "pitch, not high" in problem(request(), "explicit", good.replace("high tone", "low tone"))
    assert "nothing of the rate" in problem(request(), "explicit", good.replace("low pace", "pace"))
    assert problem(request(), "implicit", "It is anger.") is None


class Forgetful:
    """Leaves the emotion out at first, and always for the utterance "b"."""

    name = "forgetful"

    def write(self, requests, style, attempt):
        for made, reply in TemplateWriter().write(requests, style, attempt):
            bad = attempt == 0 or made.utterance == "b"
            yield made, Reply(reply.text.replace("anger", "…")) if bad else reply


def test_failed_texts_are_written_anew_and_then_rejected(tmp_path):
    requests = [Request(name, "en", "hm", "anger", request().levels) for name in "abcde"]
    with TableMap(tmp_path / "cot", tmp_path / "cot.writer") as job:
        write_all(Forgetful(), requests, "explicit", 3, job)
    assert list(read_table(tmp_path / "cot")) == list("acde")
    assert set(read_table(tmp_path / "cot.writer").values()) == {"forgetful 2"}
    assert read_table(tmp_path / "cot.rejected")["b"].endswith("after 3 attempts")


def test_or_replaced_by_the_template_on_request(tmp_path):
    requests = [Request(name, "en", "hm", "anger", request().levels) for name in "abc"]
    with TableMap(tmp_path / "cot", tmp_path / "cot.writer") as job:
        write_all(Forgetful(), requests, "explicit", 2, job, "template")
    assert set(read_table(tmp_path / "cot").values()) == {sentence(requests[0], "explicit")}
    assert read_table(tmp_path / "cot.writer") == {"a": "forgetful 2", "b": "template 2", "c": "forgetful 2"}
    assert not (tmp_path / "cot.rejected").exists()


def test_entry_point_rejects_what_it_cannot_write(tmp_path, root):
    tables = {
        "utt2emo": {"s-1": "anger", "s-2": "fear", "s-3": "rage", "s-4": "fear"},
        "utt2lang": dict.fromkeys(("s-1", "s-2", "s-3", "s-4"), "en"),
        "text": {"s-1": 'He said "no"; `id` $(id)', "s-2": "No.", "s-3": "No."},
        "utt2level": {"s-1": "low medium high", "s-3": "low low low", "s-4": "low low low"},
    }
    for name, rows in tables.items():
        (tmp_path / name).write_text("".join(f"{key} {value}\n" for key, value in rows.items()))
    words = ["--data", tmp_path, "--out", tmp_path / "cot_explicit", "--style", "explicit"]
    command = [sys.executable, "-m", "c2ser.bin.generate_cot", *map(str, words)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "“He said 'no'; `id` $(id)”" in read_table(tmp_path / "cot_explicit")["s-1"]
    rejected = read_table(tmp_path / "cot_explicit.rejected")
    assert list(rejected) == ["s-2", "s-3", "s-4"]
    settings = read_json(tmp_path / "cot_explicit.json")
    assert settings == {"style": "explicit", "writer": "template", "attempts": 3, "fallback": "reject"}
    assert "no levels" in rejected["s-2"] and "unknown emotion" in rejected["s-3"] and "transcript" in rejected["s-4"]
