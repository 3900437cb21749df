"""Tables: what is written is read, kills lose nothing, bad lines are named."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2ser.tables import TableMap, map_table, read_json, read_table, write_json, write_table

IDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)


@given(st.dictionaries(IDS, VALUES, max_size=8))
def test_round_trip_sorted_bytewise(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "table"
    write_table(path, rows)
    assert read_table(path) == rows
    lines = path.read_bytes().splitlines()
    keys = [line.split(b" ")[0] for line in lines]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\na 2\n", "second line"),
        (b" x\n\n \n", "blank line"),
        (b"\xef\xbb\xbfa 1\n", "byte order mark"),
        (b"a \xff\n", "not UTF-8"),
    ],
)
def test_bad_lines_are_named(tmp_path, content, message):
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(path)


@pytest.mark.parametrize("rows", [{"a b": "x"}, {"": "x"}, {"a": "x\ny"}, {"a\x00": "x"}])
def test_what_breaks_a_table_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="remedy|replace|use printable"):
        write_table(tmp_path / "table", rows)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_map_rejects_and_counts(tmp_path):
    def half(utterance):
        if utterance == "b":
            raise ValueError("b: no sound; record it again")
        return utterance.upper()

    out = tmp_path / "out"
    map_table(["c", "b", "a"], half, out)
    assert read_table(out) == {"a": "A", "c": "C"}
    assert read_table(tmp_path / "out.rejected") == {"b": "no sound; record it again"}
    assert not (tmp_path / "out.partial").exists()


def test_defects_are_not_rejections(tmp_path):
    with pytest.raises(ZeroDivisionError):
        map_table(["a"], lambda u: str(1 // 0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_torn_last_line_is_done_again(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), TableMap(out, tmp_path / "second") as job:
        job.write("a", "1", "one")
        raise KeyboardInterrupt
    with open(tmp_path / "out.partial", "a") as file:
        file.write('{"utterance": "b", "val')
    with TableMap(out, tmp_path / "second") as job:
        assert job.todo(["a", "b"]) == ["b"]
        job.write("b", "2", "two")
    assert read_table(out) == {"a": "1", "b": "2"}
    assert read_table(tmp_path / "second") == {"a": "one", "b": "two"}


SLOW = """
import sys, time
from c2ser.tables import map_table
def slow(u):
    open(sys.argv[2], "a").write(u + "\\n")
    time.sleep(0.02)
    return u * 2
map_table([f"u{i:03d}" for i in range(60)], slow, sys.argv[1])
"""


def test_kill_and_resume(tmp_path, root):
    command = [sys.executable, "-c", SLOW, str(tmp_path / "out"), str(tmp_path / "calls")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    job = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "calls").exists() or len((tmp_path / "calls").read_text().split()) < 10:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not (tmp_path / "out").exists()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert read_table(tmp_path / "out") == {f"u{i:03d}": f"u{i:03d}" * 2 for i in range(60)}
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) <= 61  # only the utterance in hand when the kill came may be done twice


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_table_holds_nan(tmp_path, number):
    with TableMap(tmp_path / "x", tmp_path / "y") as job:
        job.write("a", "answer", "0.5 0.5", numbers=[0.5, 0.5])
        job.write("b", "answer", f"0.5 {number}", numbers=[0.5, number])
        job.write("c", "nan", "a word, no number")
        assert job.todo("abc") == []
    assert read_table(tmp_path / "x") == {"a": "answer", "c": "nan"} and set(read_table(tmp_path / "y")) == {"a", "c"}
    assert read_table(tmp_path / "x.rejected")["b"].startswith("its result is NaN or infinite; ")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, "{", "\x00"])
def test_damaged_json_is_one_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="x.json: not JSON .*; make it again"):
        read_json(tmp_path / "x.json")
