"""utils/map_data.sh: splitting, joining, refusing, resuming after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MAP = Path(__file__).parent.parent / "utils" / "map_data.sh"

TOOL = """
import argparse, os, sys, time
from pathlib import Path
from c2ser.tables import TableMap, read_table
parser = argparse.ArgumentParser()
for name in ("data", "out", "word", "delay", "reject", "forget", "calls", "fail"):
    parser.add_argument(f"--{name}", default="")
values = parser.parse_args()
out = Path(values.out)
with TableMap(out, out.with_name("second")) as job:
    for name, text in read_table(Path(values.data) / "text").items():
        if name not in job.todo([name]) or name in values.forget.split():
            continue
        time.sleep(float(values.delay or 0))
        if name == values.fail and not Path(values.calls + ".mended").exists():
            sys.exit(f"trouble with {name}")
        with open(values.calls, "a") as file:
            file.write(name + "\\n")
        if name in values.reject.split():
            job.reject(name, "too odd")
        else:
            job.write(name, f"{values.word} {text}", str(len(text)))
"""


@pytest.fixture
def place(tmp_path, root):
    data = tmp_path / "da ta"
    data.mkdir()
    names = [f"s-{n:02d}" for n in range(20)]
    (data / "wav.scp").write_text("".join(f"{name} /a b/$(touch bad)/{name}.wav\n" for name in names))
    (data / "text").write_text("".join(f"{name} text of {name}\n" for name in names))
    (tmp_path / "tool.py").write_text(TOOL)
    return tmp_path


def words(place, *options, before=()):
    command = [sys.executable, str(place / "tool.py"), f"--calls={place / 'calls'}", *options]
    return [str(MAP), "--nj", "3", *before, str(place / "da ta"), str(place / "out/ta ble"), *command]


def environment():
    return os.environ | {"PYTHONPATH": str(MAP.parent.parent)}


def run(place, *options, before=()):
    return subprocess.run(
        words(place, *options, before=before), capture_output=True, text=True, env=environment(), cwd=place, timeout=120
    )


def table(place, name="ta ble"):
    return (place / "out" / name).read_text().splitlines()


EXPECTED = [f"s-{n:02d} $(touch bad) 'x'  text of s-{n:02d}".replace("  ", " ") for n in range(20)]


def test_parts_are_joined_in_order_with_all_tables(place):
    done = run(place, "--word", "$(touch bad) 'x'")
    assert done.returncode == 0, done.stderr
    assert table(place) == EXPECTED
    assert table(place, "second") == [f"s-{n:02d} 12" for n in range(20)]
    assert sorted(p.name for p in (place / "out").iterdir()) == ["log", "second", "ta ble"]
    assert sorted(p.name for p in (place / "out/log").glob("*.log")) == [f"ta ble.{n}.log" for n in (1, 2, 3)]
    assert not list(place.rglob("bad"))


def test_more_parts_than_utterances(place):
    done = run(place, before=["--nj", "50"])
    assert done.returncode == 0 and len(table(place)) == 20


def test_rejected_utterances_are_listed_and_counted(place):
    done = run(place, "--reject", "s-03 s-19")
    assert done.returncode == 0 and "2 of 20 utterances rejected" in done.stderr
    assert table(place, "ta ble.rejected") == ["s-03 too odd", "s-19 too odd"]
    assert len(table(place)) == 18
    assert run(place).returncode == 0
    assert not (place / "out/ta ble.rejected").exists() and len(table(place)) == 20


def test_too_many_rejected_is_refused_with_the_first_reason(place):
    done = run(place, "--reject", "s-03 s-04 s-19")
    assert done.returncode == 1 and not (place / "out/ta ble").exists()
    assert "3 of 20 utterances were rejected, the first because: s-03 too odd" in done.stderr
    assert run(place, "--reject", "s-03 s-04 s-19", before=["--max-rejected", "15"]).returncode == 0


def test_a_short_table_is_refused_and_its_parts_are_kept(place):
    done = run(place, "--forget", "s-07")
    assert done.returncode == 1 and "19 done and 0 rejected do not make 20 utterances" in done.stderr
    assert not (place / "out/ta ble").exists() and (place / "out/ta ble.parts/2/ta ble").exists()


def test_a_failing_part_is_named_and_the_others_are_not_done_again(place):
    done = run(place, "--fail", "s-08")
    assert done.returncode == 1 and "trouble with s-08" in done.stderr and "1 of 3 jobs failed" in done.stderr
    assert not (place / "out/ta ble").exists()
    (place / "calls.mended").touch()
    done = run(place, "--fail", "s-08")
    assert done.returncode == 0 and "going on where an earlier run stopped" in done.stderr
    calls = (place / "calls").read_text().split()
    assert len(calls) == 20 == len(set(calls)) and len(table(place)) == 20


@pytest.mark.parametrize("pause", [0.6, 1.1])
def test_killed_run_goes_on_without_doing_anything_twice(place, pause):
    options = ("--delay", "0.1", "--word", "$(touch bad) 'x'")
    job = subprocess.Popen(words(place, *options), env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    while not (place / "calls").exists():
        time.sleep(0.02)
    time.sleep(pause - 0.5)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(0.3)
    before = (place / "calls").read_text().split()
    assert 0 < len(before) < 20 and not (place / "out/ta ble").exists()
    done = run(place, *options)
    assert done.returncode == 0, done.stderr
    assert table(place) == EXPECTED
    calls = (place / "calls").read_text().split()
    # what was in the making when the kill came is made again, nothing else
    assert len(calls) - len(set(calls)) <= 3 and set(before) <= set(calls)


ORPHAN = ["bash", "-c", '"$@" & wait', "parent"]
"""Runs a command as the child of a child of the launcher, whose death it outlives."""


@pytest.mark.parametrize("word", ["one", "two"])
def test_what_outlives_a_killed_launcher_is_waited_for(place, word):
    def command(word):
        call = words(place, "--delay", "0.25", "--word", word)
        return [*call[:5], *ORPHAN, *call[5:]]

    first = subprocess.Popen(command("one"), env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    while not (place / "calls").exists() or len((place / "calls").read_text().split()) < 4:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    done = subprocess.run(command(word), capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split(" ", 2) for line in table(place)] == [
        [f"s-{n:02d}", word, f"text of s-{n:02d}"] for n in range(20)
    ]
    calls = (place / "calls").read_text().split()
    # orphans have finished their parts; the same command does the rest, another one does everything anew
    earlier, later = (calls, calls) if word == "one" else (calls[:-20], calls[-20:])
    assert len(set(later)) == len(later) == 20 and len(set(earlier)) == len(earlier) > 4


def test_another_command_or_other_data_starts_anew(place):
    assert run(place, "--fail", "s-08", "--word", "one").returncode == 1
    (place / "calls.mended").touch()
    assert run(place, "--fail", "s-08", "--word", "two").returncode == 0
    assert {line.split()[1] for line in table(place)} == {"two"}
    (place / "calls.mended").unlink()
    assert run(place, "--fail", "s-08").returncode == 1
    text = place / "da ta/text"
    text.write_text(text.read_text().replace("text of", "words of"))
    (place / "calls.mended").touch()
    assert run(place, "--fail", "s-08").returncode == 0
    assert {line.split()[1] for line in table(place)} == {"words"}


RM = """#!/usr/bin/env bash
for last in "$@"; do :; done
if [ -d "$last/1" ]; then /bin/rm -rf "$last/1" && kill -9 $PPID; fi
exec /bin/rm "$@"
"""


def test_a_run_that_is_killed_while_it_clears_away_leaves_nothing_to_go_on_with(place):
    (place / "bin").mkdir()
    (place / "bin/rm").write_text(RM)
    (place / "bin/rm").chmod(0o755)
    killer = environment() | {"PATH": f"{place}/bin:{os.environ['PATH']}"}
    assert subprocess.run(words(place), env=killer, capture_output=True, timeout=60).returncode == -signal.SIGKILL
    assert run(place).returncode == 0 and len(table(place)) == 20
    assert run(place, "--fail", "s-08").returncode == 1
    assert subprocess.run(words(place), env=killer, capture_output=True, timeout=60).returncode == -signal.SIGKILL
    (place / "calls.mended").touch()
    done = run(place, "--fail", "s-08")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (place / "out").iterdir()) == ["log", "second", "ta ble"]


def test_a_finished_table_is_kept_as_long_as_its_mark_holds(place):
    def calls():
        return len((place / "calls").read_text().split())

    mark = place / "log of/ta ble"
    marked = ["--mark", str(mark)]
    assert run(place, before=marked).returncode == 0 and calls() == 20
    done = run(place, before=marked)
    assert done.returncode == 0 and "made before an earlier run was stopped" in done.stderr and calls() == 20
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 40
    (place / "da ta/utt2new").write_text("s-01 x\n")
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 40
    assert run(place, "--word", "other").returncode == 0 and calls() == 60
    mark.unlink()  # a stage that ended well and is called again
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 80
    (place / "out/ta ble").unlink()
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 100
    text = place / "da ta/text"
    text.write_text(text.read_text().replace("text of", "words of"))
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 120
    (place / "out/ta ble").write_text("s-01 of another run\n")
    assert run(place, "--word", "other", before=marked).returncode == 0 and calls() == 140


def test_a_mark_does_not_outlive_the_start_of_another_command(place):
    marked = ["--mark", str(place / "mark")]
    assert run(place, before=marked).returncode == 0
    assert run(place, "--fail", "s-08", before=marked).returncode == 1
    assert not (place / "mark").exists()


def test_two_runs_at_once_are_refused(place):
    job = subprocess.Popen(words(place, "--delay", "0.3"), env=environment(), stderr=subprocess.DEVNULL)
    while not (place / "calls").exists():
        time.sleep(0.02)
    done = run(place, "--delay", "0.3")
    assert done.returncode == 1 and "another run is making it" in done.stderr
    assert job.wait() == 0 and len(table(place)) == 20


def test_mistakes_in_the_call(place):
    done = subprocess.run([MAP, place / "da ta", "table"], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    done = subprocess.run([MAP, place / "none", place / "t", "true"], capture_output=True, text=True)
    assert done.returncode == 1 and "wav.scp is missing or empty" in done.stderr
    for call in ([place / "da ta", "out/", "true"], [place / "da ta", "", "true"]):
        assert subprocess.run([MAP, *call], capture_output=True, cwd=place).returncode == 2
    for before, said in (
        ("--max-rejected=101", "no percentage"),
        ("--nj=0", "too few"),
        ("--cmd=rum.py -x", "no such"),
    ):
        done = run(place, before=[before])
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
    done = run(place, "--word", "JOB")
    assert done.returncode == 1 and "JOB stands for the number of a part" in done.stderr
