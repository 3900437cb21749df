"""Models by their ids on a hub: a small server speaks what huggingface_hub asks for, or nothing answers."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile
import test_published
import torch
from entry import run_entry
from fixtures.sound import voice
from huggingface_hub import constants

from c2ser.model import hub
from c2ser.model.c2ser import C2SER
from c2ser.model.published import Sources, convert
from c2ser.tables import read_json

sources = test_published.sources  # random models beside a published checkpoint

COMMIT = hashlib.sha1(b"one").hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Serves the folders below `server.root` as repositories `<owner>/<name>` with one commit each."""

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def answer(self, with_body):
        path = self.path.partition("?")[0].removeprefix("/")
        api, parts = path.startswith("api/models/"), path.removeprefix("api/models/").split("/")
        repository, action = self.server.root / "/".join(parts[:2]), parts[2] if len(parts) > 2 else ""
        if not repository.is_dir():
            return self.send(404, b"{}", with_body, {"X-Error-Code": "RepoNotFound"})
        if api and action == "tree":
            files = [path for path in sorted(repository.rglob("*")) if path.is_file()]
            rows = [{"type": "file", "path": str(file.relative_to(repository)), "size": file.stat().st_size,
                     "oid": self.digest(file)} for file in files]  # fmt: skip
            return self.send(200, json.dumps(rows).encode(), with_body)
        if api:
            return self.send(200, json.dumps({"id": "/".join(parts[:2]), "sha": COMMIT}).encode(), with_body)
        file = repository.joinpath(*parts[4:])
        if not file.is_file():
            return self.send(404, b"", with_body, {"X-Error-Code": "EntryNotFound"})
        self.server.fetched += [str(file.relative_to(self.server.root))] if with_body else []
        content = file.read_bytes()
        return self.send(200, content, with_body, {"X-Repo-Commit": COMMIT, "ETag": f'"{self.digest(file)}"'})

    def send(self, status, content, with_body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    @staticmethod
    def digest(file):
        return hashlib.sha1(file.read_bytes()).hexdigest()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.root, server.fetched = tmp_path / "hub", []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def here(server, tmp_path, monkeypatch):
    """Ask the server from this process, with a cache of its own."""
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    return server


@pytest.fixture(scope="module")
def model(sources, tmp_path_factory):
    """A model folder that needs no other."""
    place = tmp_path_factory.mktemp("model")
    torch.save(test_published.checkpoint(sources), place / "C2SER_llm.pt")
    parts = Sources(str(sources / "llm"), str(sources / "whisper"), sources / "e2v")
    convert(place / "C2SER_llm.pt", parts, "implicit", place / "mine")
    return place / "mine"


def publish(server, model, name="someone/small"):
    folder = server.root / name
    shutil.copytree(model, folder)
    (folder / "modeling.py").write_text("raise SystemExit('code of a hub was run')\n")
    (folder / "tokenizer/code.py").write_text("raise SystemExit('code of a hub was run')\n")
    (folder / "optimizer.pt").write_bytes(b"x" * 1000)
    return folder


def sound(path):
    soundfile.write(path, voice(1.0), 16000)
    return path


def test_a_folder_that_was_uploaded_is_used_by_its_id(here, model, tmp_path):
    publish(here, model)
    (tmp_path / "c.json").write_text('{"temperature": 2.5}')
    shutil.move(tmp_path / "c.json", here.root / "someone/small/calibration.json")
    local, remote = C2SER.from_pretrained(model), C2SER.from_pretrained("someone/small")
    assert remote.temperature == 2.5
    state = remote.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in local.network.state_dict().items())
    names = [name.removeprefix("someone/small/") for name in here.fetched]
    assert "model.safetensors" in names and not [name for name in names if name.endswith((".py", ".pt"))]
    here.fetched.clear()
    assert hub.find_model("someone/small") == hub.find_model(Path("someone/small"))
    assert here.fetched == []  # the second time it lies in the cache


def test_what_is_in_the_cache_needs_no_network(here, model, monkeypatch):
    publish(here, model)
    folder = hub.find_model("someone/small")
    shutil.rmtree(here.root)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.find_model("someone/small") == folder


def test_a_folder_goes_before_the_hub(here, model):
    publish(here, model)
    Path("someone/small").mkdir(parents=True)
    assert hub.find_model("someone/small") == Path("someone/small")
    for name in ("small", "a/b/c", "./a/b", "/a/b", "../b", "a/b/", ".a/b"):
        assert hub.find_model(name) == Path(name)
    assert here.fetched == []


def test_entry_points_take_ids(here, model, tmp_path):
    publish(here, model)
    done = run_entry("predict", "--model", "someone/small", "--answers", "false", sound(tmp_path / "a.wav"), check=True)
    assert len(done.stdout.splitlines()) == 2
    run_entry("export_model", "--model", "someone/small", "--out", tmp_path / "copy", check=True)
    assert read_json(tmp_path / "copy/config.json")["llm_inside"]
    done = run_entry("calibrate", "--model", "someone/small", "--data", tmp_path)
    assert done.returncode == 1 and "someone/small: no such folder to write the temperature into" in done.stderr
    assert not (tmp_path / "someone").exists()


def refusal(name):
    with pytest.raises(ValueError) as caught:
        C2SER.from_pretrained(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def test_what_the_hub_does_not_give_is_one_line(here, model, monkeypatch):
    publish(here, model)
    (publish(here, model, "someone/else") / "config.json").unlink()
    (here.root / "someone/llm").mkdir()
    (here.root / "someone/llm/config.json").write_text('{"model_type": "qwen2"}')
    start = "exp/implicit: no such folder, and the hub does not give it"
    advice = "check the name; if the repository is private or gated, log in with 'hf auth login'"
    assert refusal("exp/implicit") == f"{start} (it answers 404); {advice}"
    assert "its repository has no config.json; choose a model of C²SER" in refusal("someone/else")
    assert "not a C²SER model of format" in refusal("someone/llm")
    here.shutdown()
    here.server_close()
    assert "refused); check the name and the network, and try again" in refusal("exp/implicit")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal("exp/implicit") == f"{start} (HF_HUB_OFFLINE is set, and its cache has no whole copy); check the " \
                                      "name, or unset HF_HUB_OFFLINE"  # fmt: skip


@pytest.fixture
def published(server, sources):
    """The authors' repositories, and those of the models that theirs was made of, with random weights."""
    for name, folder in (("Qwen/Qwen2-7B", "llm"), ("openai/whisper-medium", "whisper")):
        shutil.copytree(sources / folder, server.root / name)
    for name in (hub.PUBLISHED, hub.ENCODER):
        (server.root / name).mkdir(parents=True)
    weights = test_published.checkpoint(sources)
    torch.save(weights, server.root / hub.PUBLISHED / "C2SER_model.pt")
    encoder = test_published.load_model(sources / "e2v")
    torch.save({"model": encoder.state_dict()}, server.root / hub.ENCODER / "checkpoint.pt")
    return weights


def test_the_published_checkpoint_is_converted_on_the_way(server, published, tmp_path):
    """In a process of its own, as transformers, too, asks the hub that HF_ENDPOINT names."""
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
    }
    environment.pop("HF_HUB_OFFLINE", None)
    root = Path(hub.__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "c2ser",
        "predict",
        "--model",
        hub.PUBLISHED,
        "--answers",
        "false",
        "--device",
        "cpu",
    ]
    words = [*command, str(sound(tmp_path / "a.wav"))]
    done = [subprocess.run(words, env=environment | {"PYTHONPATH": str(root)} | more, cwd=tmp_path, capture_output=True,
                           text=True) for more in ({}, {"HF_HUB_OFFLINE": "1"})]  # fmt: skip
    assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
    assert done[0].stdout == done[1].stdout != ""
    assert "weights used" in done[0].stderr and "weights used" not in done[1].stderr  # it is converted once
    (folder,) = (tmp_path / "home/hub/models--ASLP-lab--C2SER-LLM/c2ser").glob("format*-*[!k]")
    assert read_json(folder / "config.json")["c2ser"]["acoustic"] == "first-frames"
    boundaries = C2SER.from_pretrained(folder).network.connector.boundaries
    assert torch.equal(boundaries, published["speech_token_emded.weight"][4097:4099])


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_a_pickle_with_code_is_not_run(here, published):
    torch.save({"a": Trap()}, here.root / hub.PUBLISHED / "C2SER_model.pt")
    assert "not a readable checkpoint (foreign objects in it)" in refusal(hub.PUBLISHED)
    assert not Path("trapped").exists() and not [*Path("cache").rglob("c2ser/format*-*[!k]")]


def test_without_a_model_the_one_of_this_clone_is_used(model, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "ROOT", tmp_path)
    monkeypatch.chdir(sound(tmp_path / "a.wav").parent)
    done = run_entry("predict", "a.wav")
    assert done.returncode == 1 and done.stderr.endswith(
        "--model: none is given; give a model folder or an id of the hub\n"
    )
    (tmp_path / "tools/models").mkdir(parents=True)
    (tmp_path / "tools/Makefile").touch()
    done = run_entry("predict", "a.wav")
    assert done.returncode == 1 and f"no small model yet; train one with 'make -C {tmp_path} demo'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (tmp_path / "tools/models/c2ser-small").symlink_to(model)
    done = run_entry("predict", "--answers", "false", "a.wav", check=True)
    assert done.stdout.splitlines()[1].startswith("a.wav\t")
