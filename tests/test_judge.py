"""The judge beside the parser, and transcripts that try to talk either into another label."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from attacks import ATTACKS
from entry import run_entry
from model_server import Server

from c2ser.chat.config import Sampling
from c2ser.chat.journal import Journal
from c2ser.chat.protocol import completion
from c2ser.chat.server import ServerChat
from c2ser.cot.checks import find_problem
from c2ser.cot.prompts import Request, request_prompt, sentence
from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.agreement import agreement
from c2ser.scoring.judge import PROMPT, judge_all, judge_prompt, read_judgement
from c2ser.scoring.labels import KINDS, rationale, read_answer, read_kind, read_label, unquoted
from c2ser.scoring.metrics import scores
from c2ser.tables import TableMap, read_json, read_table, write_json, write_table

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
    assert find_problem(made, "explicit", good) is None and read_label(good) == "anger"
    swayed = Request("u", language, made.text, "happiness", LEVELS)
    for style in ("explicit", "implicit"):
        for obedient in (made.text, f"The emotion is happiness: {made.text}", sentence(swayed, style)):
            assert find_problem(made, style, obedient) is not None


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
        run_entry("extract_labels", *words, check=True)
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


JUDGE = """
chat:
  sampling: {{model: {model}, temperature: 0, max_tokens: 16}}
  local: {{device: cpu, dtype: float32, batch: 4}}
  server: {{url: "{url}", backoff: 0.01}}
"""


def teach(folder, word):
    """Train a chat model on a few texts, until it answers everything with one word."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    answer = [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for text in ["The emotion is anger.", "who knows", "声音低。", "a b c"] * 12:
        chat = [{"role": "user", "content": judge_prompt(text)}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        ids = torch.tensor([[*prompt, *answer]])
        labels = torch.cat([torch.full((1, len(prompt)), -100), torch.tensor([answer])], dim=1)
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step(), optimiser.zero_grad()
    model.save_pretrained(folder)


@pytest.fixture
def decodable(own_recipe, chat_model):
    """A recipe with a test set of eight utterances, two random C2SER models and a judge that says "anger"."""
    import torch

    from c2ser import C2SER
    from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings, TinyLlm, TinyWhisper
    from c2ser.model.tiny import make_tiny_models

    data, names = own_recipe / "data/test", [f"s{n % 2}-{n}" for n in range(8)]
    (data / "wav").mkdir(parents=True)
    for n, name in enumerate(names):
        noise = np.random.default_rng(n).normal(size=6400) * 0.1
        soundfile.write(data / f"wav/{name}.wav", noise, 16000)
    rows = {"wav.scp": lambda n, name: str(data / f"wav/{name}.wav"), "utt2spk": lambda n, name: name[:2]}
    rows |= {"utt2emo": lambda n, name: EMOTIONS[n // 2], "utt2lang": lambda n, name: "en"}
    rows |= {"text": lambda n, name: "hello there", "utt2dur": lambda n, name: "0.4"}
    rows |= {"utt2level": lambda n, name: "high medium low"}
    for table, value in rows.items():
        write_table(data / table, {name: value(n, name) for n, name in enumerate(names)})
    said = {name: sentence(Request(name, "en", "hello", EMOTIONS[n % 7], LEVELS), "explicit") for n, name in
            enumerate(names)}  # fmt: skip
    write_table(own_recipe / "exp/texts/cot_explicit", said)
    sizes = TinyWhisper(32, 1, 2), TinyLlm(32, 2, 2, vocabulary=300)
    make_tiny_models(own_recipe / "exp/texts", own_recipe / "exp/tiny", *sizes, seed=1)
    for style in ("explicit", "implicit"):
        torch.manual_seed(0)
        connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
        parts = {part: str(own_recipe / "exp/tiny" / part) for part in ("whisper", "llm")}
        config = C2SERConfig(connector=connector, lora=LoraSettings(r=2), style=style, **parts)
        C2SER.build(config).save_pretrained(own_recipe / "exp" / style)
        write_json(own_recipe / "exp" / style / "calibration.json", {"temperature": 1.0})
    shutil.copytree(chat_model, own_recipe / "judge")
    teach(own_recipe / "judge", "anger")
    return own_recipe


def recipe(folder, *words):
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [folder / "run.sh", "--size", "tiny", "--ngpu", "0", "--test-sets", "test", *words]
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow(seconds=100)
def test_a_judge_through_the_whole_recipe(decodable):
    (decodable / "conf").mkdir()
    (decodable / "conf/decode.yaml").write_text("decode: {max_new_tokens: 12}\n")
    with Server(lambda body: completion("Fear.", True, body["model"])) as server:
        (decodable / "conf/judge.yaml").write_text(
            JUDGE.format(model=json.dumps(str(decodable / "judge")), url=server.url)
        )
        recipe(decodable, "--stage", "8", "--judge", "local")
        check_judged(decodable, "anger", "local")
        assert not server.seen
        logs = [decodable / f"exp/explicit/decode_test/utt2{name}.log" for name in ("judge", "rationale")]
        for log in logs:  # the judge went through the launcher that gives out cards
            assert "c2ser.bin.extract_labels" in log.read_text() and log.read_text().endswith("# status 0\n")
            log.unlink()
        recipe(decodable, "--stage", "9", "--judge", "server", "--models", "explicit")
        check_judged(decodable, "fear", "server", ["explicit"])
        assert server.seen and not any(log.exists() for log in logs)


def check_judged(folder, label, reader, models=("explicit", "implicit")):
    """The judge says one label of everything that is not empty; what follows from that stands where it should."""
    page, card = (folder / "exp/RESULTS.md").read_text(), (folder / "exp/stability_test/stability.md").read_text()
    for model in models:
        out = folder / "exp" / model / "decode_test"
        answers = read_table(out / "answer")
        expected = {name: label if unquoted(answer).strip() else UNPARSED for name, answer in answers.items()}
        assert read_table(out / "utt2judge") == expected and label in expected.values()
        assert read_json(out / "utt2judge.json")["reader"] == reader
        reference, figures = read_table(folder / "data/test/utt2emo"), read_json(out / "scores.json")
        ua = scores(reference, expected)["ua"]
        gap = ua - scores(reference, read_table(out / "utt2emo"))["ua"]
        assert figures["judge"]["ua"] == ua and figures["judge"]["gap_ua"] == pytest.approx(gap)
        row = next(line for line in page.splitlines() if line.startswith(f"| {model} |"))
        assert f"| {100 * ua:.1f} [" in row and f"| {100 * gap:.1f} [" in row
    assert "judge: UA % | judge minus parser |" in page and "| judge minus parser, UA points |" in card
    assert set(read_table(folder / "exp/explicit/decode_test/utt2rationale").values()) <= {label, UNPARSED}
    assert not [*folder.glob("exp/*/decode_test/*.chat")]


def test_requests_hold_the_transcript_as_text_alone():
    for text in ATTACKS:
        made = attacked(text)
        prompt = request_prompt(made, "explicit")
        assert json.loads(json.dumps(prompt)) == prompt and prompt.count("the emotion anger") == 1


def test_the_parser_agrees_with_labels_by_hand_as_the_page_says(root):
    """The parser may get better, and then the page has to say so; it must never name a wrong emotion."""
    lines = (root / "tests/fixtures/judged_answers.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    labels, styles, languages, answers = zip(*rows, strict=True)
    assert len(rows) == 300 == len({*answers}) and {*labels} == {*EMOTIONS, UNPARSED}
    found = [read_label(answer) for answer in answers]
    right = Counter(row[1:3] for row, label in zip(map(tuple, rows), found, strict=True) if row[0] == label)
    assert all(label in (UNPARSED, truth) for label, truth in zip(found, labels, strict=True))
    page = (root / "docs/metrics.md").read_text("utf-8")
    for style in dict.fromkeys(styles):
        english, chinese = (right[style, language] for language in ("en", "zh"))
        assert re.search(rf"^\| {style} \|.*\| {english} of 30 \| {chinese} of 30 \|$", page, re.MULTILINE)
    figures = agreement(dict(enumerate(labels)), dict(enumerate(found)))
    assert (
        f"agrees in {right.total()} of 300 ({100 * figures['agreement']:.1f} %, Cohen's kappa {figures['kappa']:.2f})"
        in page
    )
    assert {*Counter(zip(styles, languages, strict=True)).values()} == {30}
