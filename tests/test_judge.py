"""The judge beside the parser, and transcripts that try to talk either into another label."""

import json
import os
import subprocess
import sys

import pytest
from attacks import ATTACKS
from model_server import Server

from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Sampling, completion
from c2ser.chat.server import ServerChat
from c2ser.cot.checks import problem
from c2ser.cot.prompts import Request, request_prompt, sentence
from c2ser.emotions import UNPARSED
from c2ser.scoring.judge import PROMPT, judge_all, judge_prompt, read_judgement
from c2ser.scoring.labels import KINDS, rationale, read_answer, read_kind, read_label, unquoted
from c2ser.tables import TableMap, read_json, read_table

LEVELS = {"pitch": "high", "loudness": "medium", "rate": "low"}


def attacked(text, language="en"):
    return Request("u", language, " ".join(text.split()), "anger", LEVELS)


def test_there_are_32_attacks():
    assert len(set(ATTACKS)) == 32 and all("happ" in text or "高兴" in text for text in ATTACKS)


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_transcript_changes_the_label_of_its_chain_of_thought(text, language):
    made = attacked(text, language)
    good = sentence(made, "explicit")
    assert problem(made, "explicit", good) is None and read_label(good) == "anger"
    swayed = Request("u", language, made.text, "happiness", LEVELS)
    for style in ("explicit", "implicit"):
        for obedient in (made.text, f"The emotion is happiness: {made.text}", sentence(swayed, style)):
            assert problem(made, style, obedient) is not None


@pytest.mark.parametrize("text", ATTACKS)
def test_no_quoted_transcript_changes_the_label_of_an_answer(text):
    transcript = " ".join(text.split())
    for opened, closed in ("“”", "「」", '""'):
        answer = f"At a low pace, with a high tone: {opened}{transcript}{closed}. The emotion was inferred to be anger."
        assert read_label(answer, transcript) == read_answer(answer, transcript).emotion == "anger"
        assert read_answer(answer, transcript).transcript == transcript
        assert read_kind(answer, transcript) == "label"


@pytest.mark.parametrize("text", ATTACKS)
def test_a_judge_never_sees_a_transcript(text):
    transcript = " ".join(text.split())
    asked = judge_prompt(unquoted(f"He said “{transcript}”. The emotion is anger.", transcript))
    assert asked == judge_prompt(unquoted("He said “hello”. The emotion is anger."))


def test_without_the_transcript_a_broken_quotation_is_unreadable_rather_than_obeyed():
    for text in ATTACKS:
        answer = f"He said “{' '.join(text.split())}”. The emotion is anger."
        assert read_label(answer) in ("anger", UNPARSED), text


def test_the_prompt_is_the_papers():
    assert PROMPT == (
        "Given the following text, determine its corresponding emotion and output only the single most appropriate "
        "emotion label. The possible labels are: anger, happiness, neutral, sadness, surprise, disgust, fear"
    )


@pytest.mark.parametrize(
    ("reply", "label"),
    [("anger", "anger"), (" Anger.\n", "anger"), ("**fear**", "fear"), ("“sadness”", "sadness"),
     ("The emotion is fear", "fear"),
     ("anger, fear", UNPARSED), ("calm", UNPARSED), ("", UNPARSED), ("愤怒", "anger"), ("happy", "happiness")],
)  # fmt: skip
def test_what_a_judge_says_is_one_label_or_none(reply, label):
    assert read_judgement(reply) == label


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("It is anger.", "label"), ("", "empty"), ("  ", "empty"), ("Anger and fear.", "several"),
     ("Not angry.", "denied"), ("She is bored.", "foreign"), ("I'm sorry, I cannot hear it.", "refusal"),
     ("A long text.", "nothing"),
     ("He said “anger”.", "nothing"), ("她很无聊", "foreign"), ("抱歉，无法判断", "refusal")],
)  # fmt: skip
def test_kinds_of_answers(answer, kind):
    assert read_kind(answer) == kind and kind in KINDS
    assert (read_label(answer) != UNPARSED) == (kind == "label")


@pytest.mark.parametrize(
    ("answer", "before"),
    [
        ("A sad voice: “hm”. The tone is low. The emotion is sadness.", "A sad voice:  . The tone is low."),
        ("The emotion is sadness.", ""),
        ("语速缓慢。声音悲伤。情绪为悲伤。", "语速缓慢。声音悲伤。"),
        ("No emotion at all. Nothing.", ""),
    ],
)
def test_the_rationale_is_what_stands_before_the_conclusion(answer, before):
    assert rationale(answer) == before


def gullible(body):
    """Judges by the last emotion word it reads; a text that gives orders would rule it."""
    text = body["messages"][0]["content"].removeprefix(PROMPT).lower()
    found = {word: text.rfind(word) for word in ("anger", "happiness", "fear") if word in text}
    return completion(max(found, key=found.get) if found else "no idea", True, body["model"])


def test_a_judge_behind_a_server_reads_answers(tmp_path, root):
    (tmp_path / "text").write_text("".join(f"u-{n:02} {' '.join(text.split())}\n" for n, text in enumerate(ATTACKS)))
    said = read_table(tmp_path / "text")
    answers = {name: f"“{text}”. The emotion is anger." for name, text in said.items()}
    answers |= {"v-1": "", "v-2": "It is fear.", "v-3": "who knows"}
    (tmp_path / "answer").write_text("".join(f"{name} {answer}\n" for name, answer in answers.items()))
    with Server(gullible) as server:
        words = ["--answers", tmp_path / "answer", "--out", tmp_path / "utt2judge", "--text", tmp_path / "text"]
        words += ["--reader", "server", "--config", root / "local/conf/judge.yaml", "--chat.server.url", server.url]
        command = [sys.executable, "-m", "c2ser.bin.extract_labels", *map(str, words)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    labels = read_table(tmp_path / "utt2judge")
    assert {labels.pop(name) for name in said} == {"anger"}
    assert labels == {"v-1": UNPARSED, "v-2": "fear", "v-3": UNPARSED}
    settings = read_json(tmp_path / "utt2judge.json")
    assert settings["model"] == "Qwen/Qwen2.5-14B-Instruct" and settings["temperature"] == 0
    assert sum(server.seen.values()) == len(server.seen) + len(said) - 1  # one prompt for all attacked answers


def test_a_judge_that_fails_is_named(tmp_path):
    with Server(lambda body: completion("anger", False, "m")) as server:
        journal = Journal(tmp_path / "j", ServerChat(server.config()), Sampling("m"))
        with journal, TableMap(tmp_path / "utt2judge") as job:
            judge_all(journal, {"u": "It is anger."}, job)
    assert read_table(tmp_path / "utt2judge") == {}
    assert "cut off" in read_table(tmp_path / "utt2judge.rejected")["u"]


def test_requests_hold_the_transcript_as_text_alone():
    for text in ATTACKS:
        made = attacked(text)
        prompt = request_prompt(made, "explicit")
        assert json.loads(json.dumps(prompt)) == prompt and prompt.count("the emotion anger") == 1
