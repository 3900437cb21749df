"""utils/map_shards.sh: one array over many data directories; what is missing is made, and nothing twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_map_data import TOOL

UTILS = Path(__file__).parent.parent / "utils"
SHARDS = [f"s{n}" for n in range(7)]


def write_shards(folder):
    """Write seven shards of 3 to 9 utterances; their ids interleave, so that a joined table mixes shards."""
    for number, shard in enumerate(SHARDS):
        (folder / shard).mkdir(parents=True)
        names = [f"u{n:02d}-{shard}" for n in range(3 + number)]
        (folder / shard / "wav.scp").write_text("".join(f"{name} /a b/$(touch bad)/{name}.wav\n" for name in names))
        (folder / shard / "text").write_text("".join(f"{name} text of {name}\n" for name in names))
        (folder / shard / "utt2spk").write_text("".join(f"{name} {name}\n" for name in names))
    (folder / "shards").write_text("".join(f"{shard}\n" for shard in SHARDS))


TOTAL = sum(3 + number for number in range(7))


@pytest.fixture
def place(tmp_path):
    write_shards(tmp_path / "da ta")
    (tmp_path / "tool.py").write_text(TOOL)
    return tmp_path


def words(place, *options, before=()):
    tool = [sys.executable, str(place / "tool.py"), f"--calls={place / 'calls'}", *options]
    return [str(UTILS / "map_shards.sh"), "--nj", "3", *before, str(place / "da ta"), "ta ble", *tool]


def environment(**more):
    return os.environ | {"PYTHONPATH": str(UTILS.parent)} | more


def run(place, *options, before=(), **more):
    command = words(place, *options, before=before)
    return subprocess.run(command, capture_output=True, text=True, env=environment(**more), cwd=place, timeout=120)


def tables(place):
    """Return what the shards hold beside the corpus' own tables."""
    folder, own = place / "da ta", ("wav.scp", "text", "utt2spk", "spk2utt")
    files = [path for shard in SHARDS for path in (folder / shard).iterdir() if path.name not in own]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def calls(place):
    return (place / "calls").read_text().split()


@pytest.mark.parametrize("nj", [1, 3, 0, 99])
def test_every_shard_gets_its_own_lines_whatever_the_number_of_jobs(place, nj):
    done = run(
        place,
        "--word",
        "$(touch bad) 'x'",
        "--reject",
        "u01-s2 u04-s5",
        before=["--nj", str(nj), "--max-rejected", "50"],
    )
    assert done.returncode == 0, done.stderr
    assert f"{TOTAL} utterances, {TOTAL - 2} done, 2 rejected" in done.stderr
    expected = {}
    for number, shard in enumerate(SHARDS):
        names = [f"u{n:02d}-{shard}" for n in range(3 + number) if (n, shard) not in ((1, "s2"), (4, "s5"))]
        expected[f"{shard}/ta ble"] = "".join(f"{name} $(touch bad) 'x' text of {name}\n" for name in names)
        expected[f"{shard}/second"] = "".join(f"{name} 14\n" for name in names)
    expected |= {"s2/ta ble.rejected": "u01-s2 too odd\n", "s5/ta ble.rejected": "u04-s5 too odd\n"}
    assert tables(place) == expected
    jobs = nj if 0 < nj < 7 else 7
    assert len(list((place / "da ta/log").glob("ta ble.*.log"))) == jobs  # the command ran once for each
    assert not list(place.rglob("bad")) and not (place / "da ta/ta ble.parts").exists()


def test_only_what_is_missing_is_made(place):
    assert run(place).returncode == 0
    before = tables(place)
    assert "all 7 shards have ta ble" in run(place).stderr
    for shard in ("s2", "s5"):
        (place / "da ta" / shard / "ta ble").unlink()
    (place / "calls").unlink()
    done = run(place)
    assert done.returncode == 0 and "of 2 of 7 shards in 2 jobs" in done.stderr, done.stderr
    assert {name.split("-")[1] for name in calls(place)} == {"s2", "s5"} and tables(place) == before


def test_a_failing_job_keeps_no_other_back(place):
    done = run(place, "--fail", "u03-s3")
    assert done.returncode == 1 and "trouble with u03-s3" in done.stderr and "1 of 3 jobs failed" in done.stderr
    assert "2 of 7 shards lack ta ble" in done.stderr  # s2 and s3 share a job
    assert {Path(name).parent.name for name in tables(place)} == {"s0", "s1", "s4", "s5", "s6"}
    (place / "calls.mended").touch()
    assert run(place, "--fail", "u03-s3").returncode == 0
    assert len(calls(place)) == TOTAL == len(set(calls(place)))


def test_killed_run_goes_on_without_doing_anything_twice(place):
    options = ("--delay", "0.08")
    job = subprocess.Popen(words(place, *options), env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    while not (place / "calls").exists() or len(calls(place)) < 6:
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(0.3)
    before = calls(place)
    assert len(before) < TOTAL
    done = run(place, *options)
    assert done.returncode == 0, done.stderr
    # what was in the making when the kill came is made again, nothing else
    assert len(calls(place)) - len(set(calls(place))) <= 3 and set(before) <= set(calls(place))
    killed = tables(place)
    for name in killed:
        (place / "da ta" / name).unlink()
    assert run(place, *options).returncode == 0 and tables(place) == killed


def test_a_run_that_ended_between_two_shards_gives_the_rest_out(place):
    hindrance = place / "da ta/s3/.second.new"
    hindrance.mkdir()
    assert run(place).returncode == 1
    hindrance.rmdir()
    assert "s1/ta ble" in tables(place) and "s3/ta ble" not in tables(place)
    done = run(place)  # no job is even started again
    assert done.returncode == 0 and "all 7 shards have ta ble" in done.stderr
    assert len(calls(place)) == TOTAL and len([name for name in tables(place) if name.endswith("/ta ble")]) == 7


def test_shards_of_two_commands_are_not_mixed(place):
    assert run(place, "--fail", "u03-s3", "--word", "one").returncode == 1
    (place / "calls.mended").touch()
    done = run(place, "--fail", "u03-s3", "--word", "two")
    assert done.returncode == 1 and "5 shards have a ta ble that another command made" in done.stderr
    (place / "da ta/log/ta ble.command").unlink()
    assert run(place, "--fail", "u03-s3", "--word", "two").returncode == 0
    assert {table.split()[1] for name, table in tables(place).items() if name.endswith("ta ble")} == {"one", "two"}


def test_changed_data_is_done_anew_and_new_tables_beside_it_do_not_matter(place):
    assert run(place, "--fail", "u03-s3").returncode == 1
    done = len(calls(place))
    (place / "da ta/s2/utt2other").write_text("x y\n")
    assert run(place, "--fail", "u03-s3").returncode == 1
    assert len(calls(place)) == done
    text = place / "da ta/s2/text"
    text.write_text(text.read_text().replace("text", "words"))
    (place / "calls.mended").touch()
    assert run(place, "--fail", "u03-s3").returncode == 0
    assert "text of" not in tables(place)["s2/ta ble"] and "text of" in tables(place)["s3/ta ble"]


def test_too_many_rejected_stops_that_job_alone(place):
    done = run(place, "--reject", "u00-s0 u01-s0", before=["--nj", "0"])
    assert done.returncode == 1 and "2 of 3 utterances were rejected, the first because: u00-s0 too odd" in done.stderr
    assert "1 of 7 shards lack" in done.stderr
    done = run(place, "--reject", "u00-s0 u01-s0", before=["--nj", "0", "--max-rejected", "100"])
    assert done.returncode == 0 and len(calls(place)) == TOTAL


def test_an_utterance_in_two_shards_is_named(place):
    wav = place / "da ta/s1/wav.scp"
    wav.write_text("u00-s0 x.wav\n" + wav.read_text())
    done = run(place)
    assert done.returncode == 1 and "u00-s0: in more than one of the sources" in done.stderr


CARDS = """
import os, sys, time
from pathlib import Path
data, out = (Path(sys.argv[sys.argv.index(word) + 1]) for word in ("--data", "--out"))
busy = Path(sys.argv[1]) / os.environ["CUDA_VISIBLE_DEVICES"]
busy.touch(exist_ok=False)
time.sleep(0.2)
busy.unlink()
rows = (data / "wav.scp").read_text().split("\\n")[:-1]
out.write_text("".join(f"{row.split()[0]} {busy.name}\\n" for row in rows))
"""


def test_every_job_has_a_card_of_its_own(place):
    (place / "cards.py").write_text(CARDS)
    (place / "busy").mkdir()
    command = [UTILS / "map_shards.sh", "--cmd", "run.py --gpu 1 --max-jobs 5", place / "da ta", "utt2card"]
    command += [sys.executable, place / "cards.py", place / "busy"]
    cards = environment(CUDA_VISIBLE_DEVICES="4,6,GPU-7")
    done = subprocess.run(command, capture_output=True, text=True, env=cards, timeout=60)
    assert done.returncode == 0, done.stderr
    used = [(place / "da ta" / shard / "utt2card").read_text().split()[1] for shard in SHARDS]
    assert set(used) == {"4", "6", "GPU-7"}


def test_mistakes_in_the_call(place):
    for call in ([place, "table"], [place, "a/b", "true"]):
        done = subprocess.run([UTILS / "map_shards.sh", *call], capture_output=True, text=True)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    done = subprocess.run([UTILS / "map_shards.sh", place, "t", "true"], capture_output=True, text=True)
    assert done.returncode == 1 and "shards is missing or empty" in done.stderr
    (place / "da ta/shards").write_text("s0\nnone\n")
    assert "da ta/none/wav.scp is missing or empty" in run(place).stderr
    (place / "da ta/shards").write_text("s1\ns0\ns1\n")
    assert "a second line for s1; remove it" in run(place).stderr
    (place / "da ta/shards").write_text("s0\ns1/../../out\n")
    assert "s1/../../out leads out of" in run(place).stderr
