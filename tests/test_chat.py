"""Asking language models: requests and replies, journals that survive kills, models in the process, servers, files."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from model_server import Server, says

from c2ser.chat.batch import BatchChat
from c2ser.chat.config import BatchConfig, LocalConfig, Sampling, ServerConfig
from c2ser.chat.connect import find_licence
from c2ser.chat.journal import Journal, read_lines
from c2ser.chat.protocol import Prompt, completion, read_reply, request, response
from c2ser.chat.server import ServerChat
from c2ser.tables import write_table

PROMPTS = [Prompt(f"u-{number}", f"say {'word ' * number}please") for number in range(12)]


def ids(prompts, sampling):
    return [request(prompt, sampling)["custom_id"] for prompt in prompts]


def test_a_request_is_a_line_of_a_batch_file():
    line = request(Prompt("u", "hello", 1), Sampling("m", extra={"structured_outputs": {"choice": ["a"]}}))
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"]["messages"] == [{"role": "user", "content": "hello"}]
    assert line["body"]["structured_outputs"] == {"choice": ["a"]} and line["body"]["model"] == "m"
    assert json.loads(json.dumps(line)) == line


def test_the_id_tells_apart_whatever_changes_a_reply():
    prompt = Prompt("u", "hello")
    others = [
        request(Prompt("v", "hello"), Sampling()),
        request(Prompt("u", "hallo"), Sampling()),
        request(Prompt("u", "hello", 1), Sampling()),
        request(prompt, Sampling(model="other")),
        request(prompt, Sampling(temperature=0.1)),
        request(prompt, Sampling(seed=2)),
    ]
    found = {line["custom_id"] for line in [request(prompt, Sampling()), *others]}
    assert len(found) == 7
    seeds = [line["body"]["seed"] for line in (request(prompt, Sampling()), *others)]
    assert len({*seeds[:2], seeds[3], seeds[6]}) == 4  # a prompt, another name, another attempt, another seed
    assert request(prompt, Sampling()) == request(prompt, Sampling())


@pytest.mark.parametrize(
    ("line", "text", "problem"),
    [
        (response("a", 200, completion(" hi\n", True, "m")), "hi", None),
        (response("a", 200, completion("hi", False, "m")), "", "cut off"),
        (response("a", 200, completion("  ", True, "m")), "", "empty"),
        (response("a", 200, completion(None, True, "m")), "", "empty"),
        (response("a", 200, {"choices": []}), "", "no chat completion"),
        (response("a", 200, "<html>"), "", "no chat completion"),
        (response("a", 200, [1]), "", "no chat completion"),
        (response("a", 400, {"error": {"message": "too\nlong"}}), "", "too long"),
        ({"custom_id": "a", "response": None, "error": {"message": "expired"}}, "", "expired"),
        ({"custom_id": "a"}, "", "failed"),
    ],
)
def test_replies_are_read_and_malformed_ones_are_problems(line, text, problem):
    reply = read_reply(line)
    assert reply.text == text
    assert reply.problem is None if problem is None else problem in reply.problem


class Scripted:
    """Answers what a function makes of each request, and counts them."""

    def __init__(self, answer):
        self.answer, self.asked = answer, Counter()

    def responses(self, requests):
        for line in requests:
            self.asked[line["custom_id"]] += 1
            yield from self.answer(line)


def echo(line):
    yield response(line["custom_id"], 200, completion(line["body"]["messages"][0]["content"].upper(), True, "m"))


def test_a_journal_asks_once_even_after_a_kill(tmp_path):
    sampling = Sampling("m")

    def breaks(line):
        if breaks.left == 0:
            raise OSError("gone")
        breaks.left -= 1
        yield from echo(line)

    breaks.left = 5
    first, second = Scripted(breaks), Scripted(echo)
    with pytest.raises(OSError, match="gone"), Journal(tmp_path / "j", first, sampling) as journal:
        list(journal.ask(PROMPTS))
    with open(tmp_path / "j/journal.jsonl", "a") as file:
        file.write('{"custom_id": "u-5/0/')  # what a kill leaves
    with Journal(tmp_path / "j", second, sampling) as journal:
        replies = {prompt.name: reply.text for prompt, reply in journal.ask(PROMPTS)}
        again = {prompt.name: reply.text for prompt, reply in journal.ask(PROMPTS)}
    assert replies == again == {prompt.name: prompt.text.upper() for prompt in PROMPTS}
    assert sum(second.asked.values()) == len(PROMPTS) - 5 and max(second.asked.values()) == 1
    assert not (tmp_path / "j").exists()


def test_strange_and_second_responses_are_left_aside_and_missing_ones_are_problems(tmp_path, caplog):
    def odd(line):
        name = line["custom_id"].partition("/")[0]
        if name == "u-1":
            yield from echo({**line, "custom_id": "u-99/0/0"})
        elif name == "u-2":
            yield from echo(line)
            yield response(line["custom_id"], 200, completion("something else", True, "m"))
        else:
            yield from echo(line)

    with Journal(tmp_path / "j", Scripted(odd), Sampling("m")) as journal:
        replies = {prompt.name: reply for prompt, reply in journal.ask(PROMPTS[:4])}
    assert replies["u-2"].text == PROMPTS[2].text.upper() and replies["u-3"].text == PROMPTS[3].text.upper()
    assert replies["u-1"].problem == "the model did not reply"


def test_failures_of_a_server_are_not_remembered(tmp_path):
    busy = Scripted(lambda line: [response(line["custom_id"], 503, "busy")])
    journal = Journal(tmp_path / "j", busy, Sampling("m"))
    with journal:
        assert all("busy" in reply.problem for _, reply in journal.ask(PROMPTS[:2]))
        journal.chat = Scripted(echo)
        assert all(reply.problem is None for _, reply in journal.ask(PROMPTS[:2]))


def test_the_licence_of_glm_names_its_duty():
    assert "begins with 'glm-4'" in find_licence("zai-org/glm-4-9b-chat-hf")["duty"]
    assert find_licence("Qwen/Qwen2.5-14B-Instruct")["licence"] == "Apache-2.0"
    assert (
        find_licence("Qwen/Qwen2.5-72B-Instruct")["licence"]
        == find_licence("Qwen/Qwen2-Audio-7B")["licence"]
        == "unknown"
    )


# --- a model in the process


@pytest.fixture(scope="session")
def local_chat(chat_model):
    """That model."""
    from c2ser.chat.local import LocalChat

    return lambda batch: LocalChat(LocalConfig("cpu", "float32", batch), str(chat_model))


def texts(chat, prompts, sampling):
    answered = list(chat.responses([request(prompt, sampling) for prompt in prompts]))
    assert sorted(line["custom_id"] for line in answered) == sorted(ids(prompts, sampling))
    return {line["custom_id"].partition("/")[0]: line["response"]["body"]["choices"][0] for line in answered}


def test_a_reply_does_not_depend_on_the_batch(local_chat):
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=12)
    alone, together = (texts(local_chat(batch), PROMPTS[:6], sampling) for batch in (1, 6))
    assert alone == together
    assert len({choice["message"]["content"] for choice in alone.values()}) == 6
    other = texts(local_chat(6), PROMPTS[:6], Sampling(temperature=1.0, top_p=0.9, max_tokens=12, seed=2))
    assert all(other[name] != choice for name, choice in alone.items())


def test_chance_is_drawn_as_the_model_says(chat_model):
    import torch

    from c2ser.chat.local import _sampler

    logits = torch.tensor([2.0, 1.0, 0.0, -20.0])
    bodies = [{"temperature": 0.7, "top_p": 1.0, "seed": seed} for seed in range(4000)]
    drawn = _sampler(bodies, torch.device("cpu"))(None, logits.expand(4000, 4)).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, (logits / 0.7).softmax(0), atol=0.03)
    bodies = [{"temperature": 0.7, "top_p": 0.5, "seed": seed} for seed in range(100)]
    assert set(_sampler(bodies, torch.device("cpu"))(None, logits.expand(100, 4)).argmax(1).tolist()) == {0}
    assert not _sampler([{"temperature": 0, "top_p": 1.0, "seed": 1}], torch.device("cpu"))


def test_greedy_replies_are_those_of_transformers(chat_model, local_chat):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    choices = texts(local_chat(4), PROMPTS[:4], Sampling(temperature=0, max_tokens=10))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(chat_model), AutoTokenizer.from_pretrained(chat_model)
    for prompt in PROMPTS[:4]:
        encoded = tokenizer(f"<|user|>{prompt.text}<|assistant|>", return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            out = model.generate(**encoded, max_new_tokens=10, do_sample=False)[0, encoded["input_ids"].shape[1] :]
        expected = tokenizer.decode([i for i in out.tolist() if i not in (0, 1)], skip_special_tokens=True)
        assert choices[prompt.name]["message"]["content"] == expected


def test_end_tokens_end_a_reply(local_chat):
    chat = local_chat(1)
    assert chat.ends == {0, 1}
    assert chat._until_end([70, 71, 1, 72]) == (chat.tokenizer.decode([70, 71]), True)
    assert chat._until_end([70, 71])[1] is False


# --- a server


def busy(handler):
    handler.send(429, {"error": {"message": "slow down"}}, Retry_After="0")


def broken(handler):
    handler.send(500, b"<html>oops</html>")


def silent(handler):
    time.sleep(0.6)
    handler.send(200, b"late")


def short(handler):
    handler.send(200, b'{"choices": [{"mess', length=500)
    handler.close_connection = True


def torn(handler):
    handler.send(200, b'{"choices": [{"mess')


def hangs_up(handler):
    handler.close_connection = True
    handler.connection.close()


@pytest.mark.parametrize("fault", [busy, broken, silent, short, hangs_up], ids=lambda fault: fault.__name__)
def test_what_passes_by_itself_is_retried(fault, tmp_path):
    with Server(says, [fault, fault]) as server:
        chat = ServerChat(server.config(concurrency=1, timeout=0.3))
        with Journal(tmp_path / "j", chat, Sampling("m")) as journal:
            replies = {prompt.name: reply for prompt, reply in journal.ask(PROMPTS[:3])}
    assert {name: reply.text for name, reply in replies.items()} == {p.name: p.text.upper() for p in PROMPTS[:3]}
    assert sum(server.seen.values()) == 5


def test_a_server_is_asked_side_by_side_but_not_more_than_allowed(tmp_path):
    def slow(body):
        time.sleep(0.05)
        return says(body)

    with Server(slow) as server, Journal(tmp_path / "j", ServerChat(server.config()), Sampling("m")) as journal:
        assert all(reply.problem is None for _, reply in journal.ask(PROMPTS))
    assert server.most == 4 and set(server.seen.values()) == {1}


def test_the_rate_is_kept():
    with Server(says) as server:
        chat = ServerChat(server.config(rate=50))
        assert len(list(chat.responses([request(prompt, Sampling()) for prompt in PROMPTS]))) == 12
    assert server.times[-1] - server.times[0] >= 11 / 50 - 0.03


def test_retry_after_is_respected():
    def wait(handler):
        handler.send(429, b"", Retry_After="1")

    with Server(says, [wait]) as server:
        list(ServerChat(server.config()).responses([request(PROMPTS[0], Sampling())]))
    assert server.times[1] - server.times[0] >= 0.95


def test_the_key_is_sent_and_stands_in_no_configuration(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    with Server(says) as server:
        list(ServerChat(server.config(key="MY_KEY")).responses([request(PROMPTS[0], Sampling())]))
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_one_bad_request_is_its_own_problem(tmp_path):
    def refuses(handler):
        handler.send(400, {"error": {"message": "prompt too long"}})

    chatty = Scripted(echo)
    with Server(says, [refuses, torn]) as server:
        with Journal(tmp_path / "j", ServerChat(server.config(concurrency=1)), Sampling("m")) as journal:
            replies = [reply for _, reply in journal.ask(PROMPTS[:3])]
            journal.chat = chatty
            assert sorted(map(str, replies)) == sorted(str(reply) for _, reply in journal.ask(PROMPTS[:3]))
    problems = [reply.problem for reply in replies if reply.problem]
    assert len(problems) == 2 and any("too long" in text for text in problems)
    assert any("no chat completion" in text for text in problems)
    assert not chatty.asked  # both would come out the same again


HALF = '{"choices": [{"message": {"content": "so \\ud83d"}, "finish_reason": "stop"}]}'
ODD = {
    "nested": (200, b"[" * 100_000, "no chat completion"),
    "null": (200, b"null", "no chat completion"),
    "no text": (200, bytes(range(256)), "no chat completion"),
    "half a character": (200, HALF.encode(), "half a character"),
    "elsewhere": (302, b"", "the model's server failed"),
    "half a reason": (400, b'{"error": "so \\ud83d"}', "failed: so ?"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_replies_are_problems_that_a_table_can_hold(kind, tmp_path):
    status, content, said = ODD[kind]
    with Server(says, [lambda handler: handler.send(status, content, Location="http://127.0.0.1:1/")]) as server:
        chat = ServerChat(server.config(concurrency=1))
        with Journal(tmp_path / "j", chat, Sampling("m")) as journal:
            replies = [reply for _, reply in journal.ask(PROMPTS[:3])]
            write_table(tmp_path / "table", {f"u{n}": reply.problem or "" for n, reply in enumerate(replies)})
    assert [said in (reply.problem or "") for reply in replies] == [True, False, False]
    assert [reply.text for reply in replies[1:]] == [prompt.text.upper() for prompt in PROMPTS[1:3]]


def test_lines_that_are_no_json_are_passed_over(tmp_path):
    (tmp_path / "x.jsonl").write_text("\n".join(['{"a": 1}', "[" * 100_000, "9" * 5000, '{"b"', "[1]", '{"c": 2}']))
    assert list(read_lines(tmp_path / "x.jsonl")) == [{"a": 1}, {"c": 2}]


def test_a_model_says_the_same_behind_a_server(local_chat, tmp_path):
    sampling = Sampling(temperature=0.9, max_tokens=8)
    chat, lock = local_chat(1), threading.Lock()

    def answer(body):
        with lock:
            (answered,) = chat.responses([{"custom_id": "", "body": body}])
        return answered["response"]["body"]

    with Server(answer, [busy, broken]) as server:
        behind = texts(ServerChat(server.config()), PROMPTS[:5], sampling)
    assert behind == texts(local_chat(5), PROMPTS[:5], sampling)


@pytest.mark.peer
def test_transformers_serve_is_such_a_server(chat_model):
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package, reason="transformers serve is not installed: pip install 'transformers[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--dtype", "float32"], stderr=subprocess.DEVNULL)
    try:
        chat = ServerChat(ServerConfig(f"http://127.0.0.1:{port}/v1", retries=12, concurrency=2))
        choices = texts(chat, PROMPTS[:3], Sampling(str(chat_model), max_tokens=8))
    finally:
        server.terminate()
        server.wait()
    assert all(choice["message"]["content"] for choice in choices.values())


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_ends_the_work_at_once(status):
    with Server(says, [lambda handler: handler.send(status, {"error": {"message": "no such model"}})] * 20) as server:
        with pytest.raises(OSError, match=f"status {status} \\(no such model\\); check"):
            list(ServerChat(server.config()).responses([request(prompt, Sampling()) for prompt in PROMPTS]))
    assert sum(server.seen.values()) <= 8


def test_a_server_that_is_down_ends_the_work_and_what_was_done_is_kept(tmp_path):
    answered, url = Scripted(echo), "http://127.0.0.1:9/v1"
    with pytest.raises(OSError, match="in a row failed.*run this again"):
        with Journal(tmp_path / "j", answered, Sampling("m")) as journal:
            assert len(list(journal.ask(PROMPTS[:4]))) == 4
            journal.chat = ServerChat(ServerConfig(url, retries=0, concurrency=1))
            list(journal.ask(PROMPTS))
    with Journal(tmp_path / "j", Scripted(echo), Sampling("m")) as journal:
        assert len(journal.replies) == 4


def test_a_server_that_only_fails_is_taken_for_down():
    with Server(says, [broken] * 100) as server, pytest.raises(OSError, match="requests in a row failed"):
        list(ServerChat(server.config(retries=1)).responses([request(prompt, Sampling()) for prompt in PROMPTS]))


def test_an_address_is_an_address():
    with pytest.raises(ValueError, match="file:///etc/passwd: not an address"):
        ServerChat(ServerConfig("file:///etc/passwd"))


# --- files


RUNNER = """
import json, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lines = [json.loads(line) for line in open(words["-i"])]
with open(words["-o"], "w") as out:
    for line in lines:
        text = line["body"]["messages"][0]["content"].upper()
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": words["--model"]}
        answered = {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        out.write(json.dumps(answered) + "\\n")
"""


def test_files_are_answered_by_a_program(tmp_path):
    runner = tmp_path / "a runner.py"
    runner.write_text(RUNNER)
    folder = tmp_path / "cot.chat"
    chat = BatchChat(BatchConfig(f"'{sys.executable}' '{runner}'"), "m", folder)
    with Journal(folder, chat, Sampling("m")) as journal:
        assert {p.name: r.text for p, r in journal.ask(PROMPTS)} == {p.name: p.text.upper() for p in PROMPTS}
        assert read_json_lines(folder / "requests.jsonl") == [request(prompt, Sampling("m")) for prompt in PROMPTS]
    failing = BatchChat(BatchConfig(f"{sys.executable} -c 1/0"), "m", folder)
    with pytest.raises(OSError, match="ended with status 1"), Journal(folder, failing, Sampling("m")) as journal:
        list(journal.ask(PROMPTS))


def read_json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_files_go_by_hand_with_wrong_second_torn_and_missing_replies(tmp_path):
    folder, sampling = tmp_path / "cot.chat", Sampling("m")

    def ask():
        with Journal(folder, BatchChat(BatchConfig(), "m", folder), sampling) as journal:
            return {prompt.name: reply for prompt, reply in journal.ask(PROMPTS)}

    with pytest.raises(OSError, match=r"12 requests wait for replies.*vllm run-batch -i .* --model m"):
        ask()
    lines = read_json_lines(folder / "requests.jsonl")
    good = [json.dumps(next(echo(line))) for line in lines]
    second = json.dumps(response(lines[0]["custom_id"], 200, completion("another", True, "m")))
    stranger = json.dumps(next(echo({**lines[1], "custom_id": "nobody"})))
    expired = json.dumps({"custom_id": lines[2]["custom_id"], "response": None, "error": {"message": "expired"}})
    (folder / "replies-1.jsonl").write_text("\n".join([*good[:2], second, stranger, expired, *good[3:9], good[9][:40]]))
    with pytest.raises(OSError, match="3 requests wait"):
        ask()
    assert [line["custom_id"] for line in read_json_lines(folder / "requests.jsonl")] == [
        line["custom_id"] for line in lines[9:]
    ]
    (folder / "replies-2.jsonl").write_text("\n".join(good[9:]))
    with pytest.raises(OSError, match="1 requests wait"):  # the server's failure is worth another question
        ask()
    (folder / "replies-3.jsonl").write_text(good[2])
    assert {name: reply.text for name, reply in ask().items()} == {p.name: p.text.upper() for p in PROMPTS}
    assert not folder.exists()
