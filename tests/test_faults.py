"""The catalogue of faults, what a fuzzer found, templates without end, numbers that are none, the table of errors."""

import ast
import contextlib
import dataclasses
import logging
import os
import resource
from pathlib import Path

import list_errors
import numpy as np
import pytest
import soundfile
import tokenizers
from faults.readers import BROKE, READERS, problem
from faults.row import CANARY, Gives, Refused, Row, judge
from run_faults import OTHERS, QUICK, rows_of, try_rows
from transformers import PreTrainedTokenizerFast

from c2ser import audio, chat_templates, cli
from c2ser.chat_templates import render_around, render_chats
from c2ser.corpus import Utterance
from c2ser.data.prefetch import load_batch
from c2ser.log import printable
from c2ser.machine import REMEDIES, MachineError
from c2ser.prep.segments import cut
from c2ser.prep.writer import write_corpus
from c2ser.tables import TableMap, map_table, read_table, write_json

CHAT = [{"role": "user", "content": "one <here> two"}]


@pytest.fixture(autouse=True)
def quiet():
    """The rows make hundreds of warnings."""
    logger = logging.getLogger("c2ser")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


# --- the catalogue


@pytest.mark.parametrize("module", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_row_ends_as_it_must(module):
    results = list(try_rows(list(rows_of((module,)))))
    assert [result for result in results if result[2] != "good"] == [] and len(results) > 30


def refuse(text):
    def stage(path):
        raise ValueError(text)

    return stage


def leave(path):
    (path.parent / "half").write_text("x")
    raise ValueError("bad: no; mend it")


def run_it(path):
    (path.parent / CANARY).touch()
    raise ValueError("bad: no; mend it")


@pytest.mark.parametrize(
    ("stage", "must", "verdict"),
    [
        (refuse("bad: no; mend it"), Refused(), "good"),
        (refuse("no; mend it"), Refused(), "weak"),
        (refuse("bad: no"), Refused(), "weak"),
        (refuse("bad: no;\nmend it"), Refused(), "weak"),
        (refuse("bad: no; mend it"), Gives(3), "weak"),
        (lambda path: 1 // 0, Refused(), "weak"),
        (lambda path: 3, Gives(3), "good"),
        (lambda path: 4, Gives(3), "wrong"),
        (lambda path: 3, Refused(), "wrong"),
        (leave, Refused(), "lost"),
        (run_it, Refused(), "executed"),
    ],
)
def test_rows_are_judged(tmp_path, stage, must, verdict):
    assert judge(Row("group", "name", stage, b"", must), tmp_path)[0] == verdict


@pytest.mark.parametrize(("reader", "content"), BROKE)
def test_what_a_fuzzer_found_is_mended(tmp_path, reader, content):
    assert problem(reader, content, tmp_path) == ""


@pytest.mark.parametrize("reader", READERS)
def test_a_fuzzer_begins_from_inputs_that_are_taken_well(tmp_path, reader):
    for content in READERS[reader][2]:
        assert problem(reader, content, tmp_path) == ""


# --- the table of errors


def test_the_table_of_errors_is_current(root):
    assert (root / "docs/errors.md").read_text("utf-8") == list_errors.page(), "run python tools/list_errors.py"


PARTS = {
    "no names with values", "…: no utterance with …", "pre-norm checkpoints, layer_norm_first, are not supported",
    "norm_eps is …", "a convolution has a kernel of …",
    "unknown target …", "… is none of its classes", "no kind of encoder: …", "… has no setting '…'",
    "preprocessor_config.json makes other spectrograms than the model takes", "its features differ from this version's",
    "… is not the language model that it was trained with",
    "its tokenizer splits texts differently from the one that it was trained with",
}  # fmt: skip
"""What another error says in parentheses, before its remedy, or what an expression ends with one."""


def test_every_error_ends_with_a_remedy():
    texts = [
        (path.name, text)
        for path in list_errors.sources()
        for text in (list_errors.shell_errors(path) if path.suffix == ".sh" else list_errors.python_errors(path))
    ]
    assert len(texts) > 350
    bare = [(name, text) for name, text in texts if ";" not in text and text not in PARTS and text.strip(": …")]
    assert bare == []


# --- bounded time and memory


def chat_model(template):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0})))
    tokenizer.chat_template = template
    return tokenizer


def test_a_template_is_rendered_as_transformers_does_it():
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ '[answer]' }}"
    assert render_chats(chat_model(template), [CHAT, CHAT[:1]], "m") == ["[user] one <here> two\n[answer]"] * 2
    assert render_around(chat_model(template), CHAT, "<here>", "m") == ("[user] one ", " two\n[answer]")


LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}" \
    "{% endfor %}"  # fmt: skip


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (LOOPS, "m: its chat template ran over 1 s; choose"),
        ("{{ 'a' * 10 ** 12 }}", "m: its chat template fails .MemoryError.; choose"),
        ("{{ raise_exception('no system turn') }}", "m: its chat template fails .no system turn.; choose"),
        ("{% for", "m: its chat template fails .*; choose"),
        ("nothing of it", "m: its chat template does not keep the text of a turn; choose"),
    ],
)
def test_a_template_that_does_not_end_is_one_line(monkeypatch, template, message):
    monkeypatch.setattr(chat_templates, "MAX_SECONDS", 1)
    with pytest.raises(ValueError, match=f"^{message}[^\n]*$"):
        render_around(chat_model(template), CHAT, "<here>", "m")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "out of memory; use smaller batches"),
        (RuntimeError("can't start new thread"), "no further thread can be started; free memory"),
    ],
)
def test_no_memory_is_one_line(caplog, monkeypatch, error, message):
    def main():
        """Ask for too much."""
        if error:
            raise error
        np.zeros(1 << 50)

    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    logging.getLogger("c2ser").setLevel(logging.ERROR)
    with pytest.raises(SystemExit) as end:
        cli.run(main, args=[])
    assert end.value.code == 1 and message in caplog.text


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_refused_by_every_reader(tmp_path, make):
    make(tmp_path / "x.wav")
    for reading in (audio.load, audio.duration, lambda path, name: next(audio.stream(path, name))):
        with pytest.raises(ValueError, match="^u: .* is a pipe or a device; write the audio to a file$"):
            reading(tmp_path / "x.wav", "u")
    with pytest.raises(ValueError, match="is a pipe or a device"):
        cut(tmp_path / "x.wav", tmp_path / "parts", "u", 0.0, 1.0)


# --- numbers


def test_json_names_the_number_that_is_not_finite(tmp_path):
    with pytest.raises(ValueError, match=r"x.json: figures\.ua\.1 would be NaN or infinite; "):
        write_json(tmp_path / "x.json", {"figures": {"ua": [1.0, float("nan")]}})
    assert not (tmp_path / "x.json").exists()


def test_writers_of_numbers_say_which_they_write(root):
    """A value made by a format such as `:.4f` could be "nan" in a table; `numbers=` has TableMap look."""
    lacking = []
    for path in sorted((root / "c2ser").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "job.write"):
                continue
            formats = [part for part in ast.walk(node) if isinstance(part, ast.FormattedValue) and part.format_spec]
            if formats and "numbers" not in {word.arg for word in node.keywords}:
                lacking.append(f"{path}:{node.lineno}")
    assert lacking == []


def test_an_id_stands_once_in_the_table_of_reasons(tmp_path):
    with TableMap(tmp_path / "t") as job:
        job.reject("a-1", "a-1: it has no levels; see there")
    assert (tmp_path / "t.rejected").read_text() == "a-1 it has no levels; see there\n"


# --- parts of files


@pytest.mark.parametrize("form", ["MP3", "FLAC", "OGG"])
def test_a_part_lies_where_it_should_in_any_format(tmp_path, form):
    time = np.arange(44100 * 12) / 44100
    wave = 0.4 * np.sin(2 * np.pi * (200 + 100 * time) * time) * (0.2 + np.sin(3 * time) ** 2) / 1.2
    path = Path(tmp_path / f"x.{form.lower()}")
    options = {"subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE"} if form == "MP3" else {}
    soundfile.write(path, wave, 44100, format=form, **options)
    part, rate = soundfile.read(cut(path, tmp_path / "parts", "u", 8.25, 9.5), dtype="float32")
    whole = audio.load(path, "u")[round(8.25 * rate) : round(9.5 * rate)]
    assert len(part) == len(whole) and np.abs(part - whole)[100:-100].max() < 1e-3


# --- failures of the machine


@contextlib.contextmanager
def limited(kind, size):
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def few_files(number):
    """Let this process open so many further files."""
    handle = os.open(os.devnull, os.O_RDONLY)
    os.close(handle)
    return limited(resource.RLIMIT_NOFILE, handle + number)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Utterances of one file each, and parts of a file."""
    folder = tmp_path_factory.mktemp("corpus")
    soundfile.write(folder / "x.wav", 0.3 * np.sin(np.arange(48000) / 9), 16000)
    whole = [Utterance("test", "s", f"s-{n}", folder / "x.wav", "anger", "en", "") for n in range(9)]
    return whole, [dataclasses.replace(one, start=n / 9, end=n / 9 + 1) for n, one in enumerate(whole)]


@pytest.mark.parametrize(
    ("limit", "parts", "message"),
    [
        (lambda: few_files(0), False, r"^s-s-0: \S+x.wav: Too many open files; raise .* \(ulimit -n\), then"),
        (lambda: few_files(1), False, "Too many open files; raise"),  # libsndfile opens it once more
        (lambda: limited(resource.RLIMIT_FSIZE, 5000), True, r"\.wav: cannot be written \(File too large\); raise"),
    ],
)  # fmt: skip
def test_a_failure_of_the_machine_ends_stage_0_and_rejects_nobody(tmp_path, corpus, limit, parts, message):
    import torch  # noqa: F401 - before no file can be opened

    with limit(), pytest.raises(MachineError, match=message):
        write_corpus(corpus[parts], tmp_path, nj=1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    write_corpus(corpus[parts], tmp_path)
    assert len(read_table(tmp_path / "test/wav.scp")) == 9 and not (tmp_path / "test/rejected").exists()


@pytest.mark.parametrize("number", REMEDIES)
def test_no_failure_of_the_machine_is_a_rejection(tmp_path, number):
    def fail(name):
        if name == "b":
            raise OSError(number, os.strerror(number), "/there/is.wav")
        return name

    for job in (lambda: load_batch(["a", "b"], fail), lambda: map_table(["a", "b"], fail, tmp_path / "table")):
        with pytest.raises(MachineError, match=f"^b: /there/is.wav: {os.strerror(number)}; .*, then give the same"):
            job()
    map_table(["a", "b"], str, tmp_path / "table")  # what was done before is kept
    assert read_table(tmp_path / "table") == {"a": "a", "b": "b"}


def test_a_file_that_is_at_fault_is_a_rejection(tmp_path):
    assert [*load_batch(["u"], lambda name: audio.load(tmp_path, name)).rejected] == ["u"]


# --- what data makes of a terminal


def test_messages_do_not_obey_what_they_quote(tmp_path):
    text = "x\x1b[2J\x0by\u202e\ud800 高兴é"
    assert printable(text) == r"x\x1b[2J\x0by\u202e\ud800 高兴é"
    record = logging.LogRecord("c2ser", logging.ERROR, "", 0, "%s", (text,), None)
    assert logging.getLogger("c2ser").handlers[0].format(record).endswith(printable(text))
    with TableMap(tmp_path / "t") as job:
        job.reject("a", text[:7])
    assert (tmp_path / "t.rejected").read_text() == "a x\\x1b[2J y\n"
