"""A server: shared batches, limits, tokens, files of strangers; in this process, or behind real sockets."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager

import numpy as np
import pytest
from test_docs import make_model
from voices import voice, wav

pytest.importorskip("fastapi", reason="extra [serve]")
pytest.importorskip("gradio", reason="extra [serve]")

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from c2ser.model.c2ser import C2SER
from c2ser.recordings.results import Segment, Timeline
from c2ser.recordings.speech_model import SpeechModel
from c2ser.serving.app import make_app
from c2ser.serving.batching import Batcher, Call, Cancelled, Kind, SharedModel
from c2ser.serving.config import Limits
from c2ser.serving.server_process import choose_token, listen
from c2ser.serving.service import Service
from c2ser.serving.shown import shown_name, without_quotations
from c2ser.serving.timeline_view import clock, timeline_view

WHOLE = {"segments": "none", "answers": "false"}
"""Options with which a tiny random model is quick."""

FOR_ALL = Kind(None, None, False, None)


def spoken(number, seconds=0.5):
    """Return the content of a wav file with speech."""
    return wav(voice(seconds, 90.0 + 3 * number))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    make_model(folder)
    return folder / "implicit"


@pytest.fixture(scope="module")
def model(folder):
    return C2SER.from_pretrained(folder)


class Watched(SpeechModel):
    """A real model that records its batches, waits while it is held, and refuses waveforms of a certain length."""

    def __init__(self, model, refused=None):
        self.model, self.refused, self.batches = model, refused, []
        self.free, self.busy = threading.Event(), threading.Event()
        self.free.set()

    @property
    def classes(self):
        return self.model.classes

    def recogniser(self, language=None, style=None, answers=True, decode=None):
        recognise = self.model.recogniser(language, style, answers, decode)

        def watched(waves):
            self.batches.append([len(wave) for wave in waves.values()])
            self.busy.set()
            assert self.free.wait(60)
            if any(len(wave) == self.refused for wave in waves.values()):
                raise ValueError("this one is refused")
            return recognise(waves)

        return watched


@pytest.fixture
def watched(model):
    watched = Watched(model)
    yield watched
    watched.free.set()


@contextmanager
def application(model, token=None, **limits):
    service = Service(model, "tiny", Limits(**limits))
    try:
        yield make_app(service, token)
    finally:
        service.close()


def client(app, **options):
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60, **options)


async def ask(http, *contents, names=None, **options):
    names = names or [f"{number}.wav" for number in range(len(contents))]
    files = [("files", item) for item in zip(names, contents, strict=True)]
    return await http.post("/v1/emotions", params=WHOLE | options, files=files)


def metrics(text):
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples if not s.labels}


async def waiting(http):
    return metrics((await http.get("/metrics")).text)["c2ser_segments_waiting"]


async def until_waiting(http, watched, number):
    """Wait until that many waveforms wait, those of the batch that is held included."""
    for _ in range(3000):
        if watched.batches and len(watched.batches[-1]) + await waiting(http) == number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("they do not wait")


# --- batches


def test_clients_at_the_same_time_share_a_batch_and_get_what_each_would_get_alone(watched):
    recordings = [spoken(seed, 0.4 + 0.1 * seed) for seed in range(8)]

    async def main(app):
        async with client(app) as http:
            alone = [await ask(http, recording) for recording in recordings]
            assert [len(batch) for batch in watched.batches] == [1] * 8
            watched.batches.clear()
            watched.free.clear()
            tasks = [asyncio.create_task(ask(http, recording)) for recording in recordings]
            await until_waiting(http, watched, 8)
            watched.free.set()
            together = await asyncio.gather(*tasks)
            counted = metrics((await http.get("/metrics")).text)
        return alone, together, counted

    with application(watched) as app:
        alone, together, counted = asyncio.run(main(app))
    assert sum(map(len, watched.batches)) == 8 and len(watched.batches) <= 2
    for one, other in zip(alone, together, strict=True):
        (one,), (other,) = one.json(), other.json()
        assert one["emotion"] == other["emotion"] and len(one["segments"]) == 1
        for emotion, probability in one["probabilities"].items():
            assert other["probabilities"][emotion] == pytest.approx(probability, abs=1e-4)
    assert counted["c2ser_batch_segments_sum"] == 16 and counted["c2ser_batch_requests_sum"] == 16
    assert counted["c2ser_batch_segments_count"] == 8 + len(watched.batches)
    assert counted["c2ser_audio_seconds_total"] == pytest.approx(2 * sum(0.4 + 0.1 * seed for seed in range(8)))
    assert counted["c2ser_requests_inside"] == 0 and counted["c2ser_request_seconds_count"] == 16


def test_only_requests_for_the_same_share_a_batch(watched):
    async def main(app):
        async with client(app) as http:
            watched.free.clear()
            tasks = [
                asyncio.create_task(ask(http, spoken(number), language=language))
                for number, language in enumerate(["zh", "en", "zh", "en", "zh"])
            ]
            await until_waiting(http, watched, 5)
            watched.free.set()
            return await asyncio.gather(*tasks)

    with application(watched) as app:
        assert [answer.status_code for answer in asyncio.run(main(app))] == [200] * 5
    assert sum(map(len, watched.batches)) == 5 and max(map(len, watched.batches)) <= 3


def test_a_long_recording_does_not_keep_a_short_one_waiting(watched):
    """Each call has its turn, and no batch holds more than a minute."""
    batcher = Batcher(watched, lambda requests, seconds: None)
    long = Call({str(n): np.full(16000 * 30, 0.01, np.float32) for n in range(10)}, FOR_ALL, threading.Event())
    short = Call({"only": np.full(8000, 0.01, np.float32)}, FOR_ALL, threading.Event())
    watched.free.clear()
    batcher.submit(long)
    assert watched.busy.wait(10)
    batcher.submit(short)
    watched.free.set()
    assert list(short.done.result(60)) == ["only"] and len(watched.batches) <= 3
    assert list(long.done.result(60)) == [str(n) for n in range(10)]
    assert all(max(batch) * len(batch) <= 60 * 16000 for batch in watched.batches)
    batcher.close()


def test_the_fault_of_one_request_does_not_harm_the_others(model):
    refusing = Watched(model, refused=9600)

    async def main(app):
        async with client(app) as http:
            refusing.free.clear()
            seconds = [0.5, 0.6, 0.5]
            tasks = [asyncio.create_task(ask(http, spoken(n, s))) for n, s in enumerate(seconds)]
            await until_waiting(http, refusing, 3)
            refusing.free.set()
            return await asyncio.gather(*tasks)

    with application(refusing) as app:
        answers = asyncio.run(main(app))
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    assert answers[1].json() == [{"file": "0.wav", "error": "this one is refused"}]


def test_whoever_gives_up_leaves_the_queue(watched):
    batcher = Batcher(watched, lambda requests, seconds: None)
    watched.free.clear()
    first, second = SharedModel(batcher), SharedModel(batcher)
    ends = deque()

    def run(shared, length):
        try:
            ends.append(list(shared.recogniser(answers=False)({"x": np.full(length, 0.01, np.float32)})))
        except Cancelled:
            ends.append("cancelled")

    threads = [threading.Thread(target=run, args=item) for item in ((first, 8000), (second, 9000))]
    threads[0].start()
    assert watched.busy.wait(10)
    threads[1].start()
    while not batcher.waiting():
        time.sleep(0.01)
    second.cancel()
    watched.free.set()
    for thread in threads:
        thread.join(60)
    batcher.close()
    assert sorted(ends, key=str) == [["x"], "cancelled"] and watched.batches == [[8000]]
    with pytest.raises(Cancelled):
        SharedModel(batcher).recogniser(answers=False)({"x": np.zeros(8000, np.float32)})


# --- the interface


def test_files_are_answered_in_their_order_and_a_bad_one_does_not_harm_the_others(model):
    async def main(app):
        async with client(app) as http:
            names = ["b.wav", "broken.wav", "語音.wav"]
            mixed = await ask(http, spoken(1), b"RIFF no audio", spoken(2), names=names)
            return mixed, await ask(http, b"nothing", names=["x.wav"]), await ask(http)

    with application(model) as app:
        mixed, bad, none = asyncio.run(main(app))
    first, second, third = mixed.json()
    assert mixed.status_code == 200 and [first["file"], third["file"]] == ["b.wav", "語音.wav"]
    assert set(second) == {"file", "error"} and second["error"].startswith("broken.wav: ")
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert set(first) == {"file", "seconds", "emotion", "probabilities", "answer", "differs", "segments"}
    assert bad.status_code == 422 and bad.json()[0]["error"].startswith("x.wav: ")
    assert none.status_code == 400 and "in the field files" in none.json()["detail"]


def test_the_answer_is_that_of_the_command(model):
    """The interface gives what `render` writes, with its own name for the file."""
    from c2ser.recordings.formats import render
    from c2ser.recordings.timeline import make_timeline

    content = spoken(3, 2.0)
    timeline = make_timeline(model, io.BytesIO(content), segments="fixed:1", answers=False, name="a.wav")

    async def main(app):
        async with client(app) as http:
            return await ask(http, content, names=["a.wav"], segments="fixed:1")

    with application(model) as app:
        assert asyncio.run(main(app)).json() == json.loads(render([timeline], "json"))


NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "a\x00b.wav",
    "$(touch bad).wav",
    "..",
    " ",
    "a\u202eb.wav",
]


def test_names_of_files_are_shown_and_never_opened(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def main(app):
        async with client(app) as http:
            return (await ask(http, *[spoken(0)] * len(NAMES), names=NAMES)).json()

    with application(model) as app:
        shown = [entry["file"] for entry in asyncio.run(main(app))]
    assert len(shown) == len(NAMES) and not any("/" in name or "\\" in name for name in shown)
    assert all(name.isprintable() and name for name in shown) and shown[:3] == ["passwd", "passwd", "win.ini"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"channels": "left"}, "channels: "),
        ({"min_confidence": "2"}, "min_confidence: "),
        ({"style": "long"}, "style: "),
        ({"segments": "often"}, "segments 'often'"),
        ({"language": "english"}, "language 'english'"),
    ],
)
def test_wrong_options_are_one_line(model, options, part):
    async def main(app):
        async with client(app) as http:
            return await ask(http, spoken(0), **options)

    with application(model) as app:
        answer = asyncio.run(main(app))
    body = answer.json()
    text = body["detail"] if isinstance(body, dict) else body[0]["error"]
    assert answer.status_code == 422 and part in text and "\n" not in text


def test_what_a_server_says_about_itself(model):
    async def main(app):
        async with client(app) as http:
            await ask(http, spoken(0))
            return [await http.get(path) for path in ("/health", "/metrics", "/openapi.json", "/docs", "/nothing.here")]

    with application(model) as app:
        health, counters, openapi, docs, nothing = asyncio.run(main(app))
    assert health.json()["status"] == "ok" and health.json()["model"] == "tiny"
    assert 'c2ser_answers_total{status="200"} 1.0' in counters.text
    post = openapi.json()["paths"]["/v1/emotions"]["post"]
    assert {"200", "401", "408", "413", "422", "429", "504"} <= set(post["responses"])
    assert post["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["files"]
    assert "POST /v1/emotions" in docs.text and "min_confidence" in docs.text
    assert not re.search(r"<(script|link|img|iframe)\b", docs.text), "the page needs something else"
    assert nothing.status_code == 404
    for answer in (health, docs):
        assert "default-src 'self'" in answer.headers["content-security-policy"]


# --- limits


def test_a_full_queue_refuses_before_it_reads(watched):
    read = []

    async def body():
        read.append(True)
        yield b"--x"

    async def main(app):
        async with client(app) as http:
            watched.free.clear()
            tasks = [asyncio.create_task(ask(http, spoken(n))) for n in range(2)]
            await until_waiting(http, watched, 2)
            full = await http.post(
                "/v1/emotions", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
            )
            watched.free.set()
            return full, await asyncio.gather(*tasks), await ask(http, spoken(5))

    with application(watched, requests=2) as app:
        full, answers, later = asyncio.run(main(app))
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1 and "too many" in full.json()["detail"]
    assert not read
    assert [answer.status_code for answer in [*answers, later]] == [200] * 3


def test_an_answer_that_takes_too_long_is_given_up_and_what_waits_is_not_begun(watched):
    async def main(app):
        async with client(app) as http:
            watched.free.clear()
            first = asyncio.create_task(ask(http, spoken(0, 0.5)))
            await until_waiting(http, watched, 1)
            second = await ask(http, spoken(1, 0.6))
            watched.free.set()
            return await first, second, metrics((await http.get("/metrics")).text)

    with application(watched, seconds=1.0) as app:
        first, second, counted = asyncio.run(main(app))
    assert [first.status_code, second.status_code] == [504, 504]
    assert second.json()["detail"] == "0.wav: no answer within 1 s; send shorter files"
    assert watched.batches == [[8000]] and counted["c2ser_requests_inside"] == 0


def raw(app, messages, headers=()):
    """Call an application as a server does, and return the messages that it sends."""
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
             "path": "/v1/emotions", "raw_path": b"/v1/emotions", "root_path": "", "query_string": b"",
             "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x"), *headers],
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}  # fmt: skip
    waiting, sent = deque(messages), []

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.popleft()

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'


def test_a_gigabyte_that_is_only_declared_is_refused_unread(model):
    with application(model, upload_mb=100, seconds=5) as app:
        sent = raw(app, [], [(b"content-length", b"1000000000")])
    assert sent[0]["status"] == 413 and b"over 100 MB" in sent[1]["body"]


def test_an_upload_without_a_length_is_cut_off_where_it_is_too_large(model):
    chunk = {"type": "http.request", "body": b"a" * 40_000, "more_body": True}
    with application(model, upload_mb=0.1) as app:
        sent = raw(app, [{"type": "http.request", "body": PART, "more_body": True}, *[chunk] * 3])
    assert sent[0]["status"] == 413


def test_slow_uploads_end(model):
    with application(model, seconds=0.2) as app:
        sent = raw(app, [{"type": "http.request", "body": PART, "more_body": True}])
        assert sent[0]["status"] == 408 and b"the upload took over 0.2 s" in sent[1]["body"]


def test_aborted_uploads_leave_no_trace(model, caplog):
    service = Service(model, "tiny", Limits(requests=1))
    app = make_app(service, None)
    for _ in range(3):
        raw(app, [{"type": "http.request", "body": PART, "more_body": True}, {"type": "http.disconnect"}])
        assert metrics(service.monitor.text())["c2ser_requests_inside"] == 0
    service.close()
    assert not caplog.records


def test_limits_that_let_nothing_in_are_refused():
    with pytest.raises(ValueError, match="limits.requests 0: nothing would be accepted"):
        Limits(requests=0)


# --- tokens


def test_without_the_token_only_the_health_is_told(model):
    token = "a-token-of-some-length"

    async def main(app):
        async with client(app) as http:
            paths = ["/health", "/", "/docs", "/metrics", "/config", "/gradio_api/info", "/theme.css"]
            strangers = {path: (await http.get(path)).status_code for path in paths}
            refused = await ask(http, spoken(0))
            wrong = await http.get("/docs", headers={"Authorization": "Bearer a-token-of-some-lengthy"})
            guessed = await http.get("/?token=wrong")
            http.headers["Authorization"] = f"Bearer {token}"
            known = await ask(http, spoken(0))
        async with client(app) as http:
            kept = await http.get("/", params={"token": token})
            page = await http.get("/")
        return strangers, refused, wrong, guessed, known, kept, page

    with application(model, token) as app:
        strangers, refused, wrong, guessed, known, kept, page = asyncio.run(main(app))
    assert strangers.pop("/health") == 200 and set(strangers.values()) == {401}
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert [wrong.status_code, guessed.status_code, known.status_code] == [401, 401, 200]
    assert kept.status_code == 303 and kept.headers["location"] == "/"
    assert "HttpOnly" in kept.headers["set-cookie"] and "SameSite=strict" in kept.headers["set-cookie"]
    assert page.status_code == 200 and token not in page.text


def test_where_a_token_comes_from(tmp_path, monkeypatch):
    monkeypatch.delenv("C2SER_TOKEN", raising=False)
    assert choose_token(None, None) is None
    made = choose_token("0.0.0.0", None)
    assert len(made) >= 32 and made != choose_token("0.0.0.0", None)
    monkeypatch.setenv("C2SER_TOKEN", "from-the-environment")
    assert choose_token(None, None) == choose_token("0.0.0.0", None) == "from-the-environment"
    (tmp_path / "token").write_text("from-a-file-of-mine\n")
    assert choose_token("0.0.0.0", tmp_path / "token") == "from-a-file-of-mine"
    for bad in ("short", "with a blank in the middle", "größer als ASCII erlaubt", ""):
        (tmp_path / "token").write_text(bad)
        with pytest.raises(ValueError, match="no good token; give 16 or more"):
            choose_token(None, tmp_path / "token")


def test_an_address_that_is_taken_is_one_line():
    with listen(None, 0) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        with pytest.raises(ValueError, match=r"^127.0.0.1:\d+: cannot listen there .*; give another --host or --port$"):
            listen(None, opened.getsockname()[1])


# --- what the page shows


def timeline(name="a.wav", answer="", **changes):
    probabilities = {"anger": 0.75, "happiness": 0.25}
    segments = [Segment(0.5, 1.5, None, "anger", probabilities, answer, **changes)]
    return Timeline(name, 4.0, segments, "anger", probabilities, answer)


HOSTILE = "<script>alert(1)</script>\" onclick='x' ${7*7} {{7*7}} &amp;"


def test_names_and_answers_stay_text():
    shown = timeline_view(timeline(HOSTILE, HOSTILE, speaker=HOSTILE), np.zeros(64000, np.int16), {"srt": HOSTILE})
    assert "<script" not in shown and "onclick='" not in shown and shown.count("&lt;script&gt;") == 3
    assert "49" not in re.sub(r"<path[^>]*>", "", shown)


def test_times_and_shares_of_a_timeline():
    shown = timeline_view(timeline(), np.arange(-32000, 32000).astype(np.int16), {"srt": "x"})
    assert 'data-start="0.500" data-end="1.500"' in shown and "left: 12.500%; width: 25.000%" in shown
    assert "flex-grow: 0.7500" in shown and "anger 75 %" in shown and "1 segment of speech" in shown
    assert [clock(seconds) for seconds in (0, 59.96, 75.24, 3600)] == ["0:00.0", "1:00.0", "1:15.2", "1:00:00.0"]


def test_no_speech_has_no_bar_and_an_answer_that_differs_says_so():
    silent = Timeline("a.wav", 1.0, [Segment(0.0, 1.0, None, "no speech", {}, "")], "no speech", {}, "")
    shown = timeline_view(silent, np.zeros(16000, np.int16), {})
    assert "no speech" in shown and "c2ser-mark" not in shown and "0 segments" in shown
    assert "The answer differs" in timeline_view(timeline(answer="This is fear."), np.zeros(9, np.int16), {})
    assert "The answer differs" not in timeline_view(timeline(answer="This is anger."), np.zeros(9, np.int16), {})


def test_values_on_dimensions_are_written_and_not_stacked_as_shares():
    values = {"valence": -0.5, "arousal": 3.25}
    shown = timeline_view(
        Timeline("a.wav", 1.0, [Segment(0.0, 1.0, None, "", values, "")], "", values, ""), np.zeros(16000, np.int16), {}
    )
    assert "flex-grow" not in shown and "c2ser-mark" not in shown and "%" not in shown.partition("</p>")[0]
    assert "on the whole valence -0.50, arousal 3.25" in shown and shown.count("valence -0.50, arousal 3.25") == 4


def test_explanations_go_without_what_was_said():
    assert without_quotations("Loud: “I ‘did’ it”. So anger.") == "Loud: “…”. So anger."
    assert without_quotations("音量高：“你好”。推断为愤怒。") == "音量高：“…”。推断为愤怒。"
    assert without_quotations("The emotion of this speech is fear.") == "The emotion of this speech is fear."
    assert shown_name(None) == "recording" and shown_name("a/b\\c d.wav") == "c d.wav"


# --- behind real sockets


@contextmanager
def process(root, folder, *words, **variables):
    command = [sys.executable, "-m", "c2ser", "serve", "--model", str(folder), "--port", "0", "--device", "cpu", *words]
    environment = os.environ | {"PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"} | variables
    environment.pop("C2SER_TOKEN", None)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            line = running.stdout.readline()
            found = re.match(r"http://([^/]+):(\d+)/(\?token=(\S+))? ", line)
            assert found, line + running.stderr.read()
            yield running, f"http://127.0.0.1:{found[2]}", found[4]
        finally:
            running.kill()


def post(address, content, **options):
    return httpx.post(
        f"{address}/v1/emotions", params=WHOLE, files={"files": ("a.wav", content)}, timeout=60, **options
    )


@pytest.mark.slow
def test_a_server_of_its_own_answers_and_ends_well(root, folder, tmp_path):
    words = ["--limits.upload_mb", "1", "--limits.seconds", "3"]
    with process(root, folder, *words, TMPDIR=str(tmp_path)) as (running, address, token):
        assert token is None and list(tmp_path.glob("c2ser-serve-*"))
        assert post(address, spoken(0)).status_code == 200
        assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 400
        assert "C²SER" in httpx.get(address).text
        port = int(address.rpartition(":")[2])
        head = "POST /v1/emotions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        with socket.create_connection(("127.0.0.1", port), 20) as gigabyte:
            gigabyte.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
            assert gigabyte.recv(4096).startswith(b"HTTP/1.1 413 ")
        with socket.create_connection(("127.0.0.1", port), 20) as slow:
            slow.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + PART)
            assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        for _ in range(40):  # more than the queue holds
            with socket.create_connection(("127.0.0.1", port), 20) as aborted:
                aborted.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + PART)
        assert post(address, spoken(0)).status_code == 200
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == -signal.SIGTERM
        assert "Traceback" not in running.stderr.read() and not list(tmp_path.glob("c2ser-serve-*"))


@pytest.mark.slow
def test_a_server_for_others_wants_its_token(root, folder):
    with process(root, folder, "--host", "0.0.0.0") as (running, address, token):
        assert len(token) >= 32 and post(address, spoken(0)).status_code == 401
        assert post(address, spoken(0), headers={"Authorization": f"Bearer {token}"}).status_code == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0 and "Traceback" not in running.stderr.read()


@pytest.mark.slow
def test_hundreds_of_requests_leave_the_memory_as_it_was(root, folder):
    contents = [spoken(seed, 0.5 + 0.05 * (seed % 7)) for seed in range(20)]
    with process(root, folder) as (running, address, _):
        memory = []
        with httpx.Client(timeout=60) as http:
            for number in range(400):
                answer = http.post(
                    f"{address}/v1/emotions", params=WHOLE, files={"files": ("a.wav", contents[number % 20])}
                )
                assert answer.status_code == 200
                if number % 50 == 49:
                    memory.append(psutil.Process(running.pid).memory_info().rss / 1e6)
            assert metrics(http.get(f"{address}/metrics").text)["c2ser_request_seconds_count"] == 400
        assert psutil.Process(running.pid).num_threads() < 100
    assert memory[-1] - memory[2] < 10, memory


@pytest.mark.parametrize("words", [["--port", "70000"], ["--limits.requests", "0"], ["--host", "192.0.2.1"]])
def test_errors_of_the_command_are_one_line(root, words):
    command = [sys.executable, "-m", "c2ser", "serve", "--model", "none", *words]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode in (1, 2) and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
