"""utils/run.py: jobs on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RUN = Path(__file__).parent.parent / "utils" / "run.py"
PYTHON = sys.executable


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [PYTHON, RUN, *words], cwd=folder, capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


def command_output(log: Path) -> str:
    return "".join(line for line in log.read_text().splitlines(True) if not line.startswith("# "))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_one_job_writes_a_log_with_command_host_times_and_status(tmp_path):
    done = run("a b/one.log", PYTHON, "-c", "print('hello world')", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "a b/one.log").read_text().splitlines()
    assert lines[0] == f"""# {PYTHON} -c 'print('"'"'hello world'"'"')'"""
    assert lines[1] == f"# host {os.uname().nodename}"
    assert re.fullmatch(r"# start \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", lines[2])
    assert lines[3] == "hello world"
    assert lines[4].startswith("# end ") and lines[5:] == ["# status 0"]


def test_every_element_gets_its_number_in_log_and_arguments(tmp_path):
    code = "import sys; print(*sys.argv[1:], sep='|')"
    done = run("JOB=2:4", "log/x.JOB.log", PYTHON, "-c", code, "in/JOB", "JOB.JOB", "job", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "log").iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]
    assert command_output(tmp_path / "log/x.3.log") == "in/3|3.3|job\n"


def test_without_a_range_the_word_job_stays(tmp_path):
    assert run("x.log", PYTHON, "-c", "print('JOB')", folder=tmp_path).returncode == 0
    assert command_output(tmp_path / "x.log") == "JOB\n"


def test_failed_elements_are_named_with_log_and_last_line_and_the_others_still_run(tmp_path):
    code = "import sys; n = int(sys.argv[1]); print(f'trouble {n}') if n % 2 else None; sys.exit(n % 2 * 7)"
    done = run("JOB=1:4", "x.JOB.log", PYTHON, "-c", code, "JOB", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "run.py: 2 of 4 jobs failed",
        "  job 1: status 7, x.1.log: trouble 1",
        "  job 3: status 7, x.3.log: trouble 3",
    ]
    assert (tmp_path / "x.4.log").read_text().endswith("# status 0\n")
    assert (tmp_path / "x.3.log").read_text().endswith("# status 7\n")


def test_output_without_a_last_line_break_does_not_swallow_the_status(tmp_path):
    done = run("x.log", PYTHON, "-c", "print('half', end=''); raise SystemExit(3)", folder=tmp_path)
    assert "status 3, x.log: half" in done.stderr
    assert (tmp_path / "x.log").read_text().splitlines()[-1] == "# status 3"


def test_missing_command_and_killed_command_say_so(tmp_path):
    done = run("x.log", "no-such-command", folder=tmp_path)
    assert done.returncode == 1 and "the command could not be started, x.log: no-such-command: " in done.stderr
    done = run("x.log", PYTHON, "-c", "import os; os.kill(os.getpid(), 9)", folder=tmp_path)
    assert done.returncode == 1 and "job 1: killed by SIGKILL (out of memory?), x.log" in done.stderr


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_arguments_arrive_as_they_were_given(words):
    with tempfile.TemporaryDirectory() as folder:
        code = "import sys, json; print(json.dumps(sys.argv[1:]))"
        done = run("x.log", PYTHON, "-c", code, *words, folder=Path(folder))
        assert done.returncode == 0, done.stderr
        last = [line for line in (Path(folder) / "x.log").read_text().split("\n") if line.startswith("[")][-1]
        assert json.loads(last) == words


def test_nothing_is_read_by_a_shell(tmp_path):
    words = ["$(touch bad)", "`touch bad`", "; touch bad", "> bad", "a  b", "'\"", "--gpu", "*", "~"]
    assert run("x.log", PYTHON, "-c", "import sys; print(sys.argv[1:])", *words, folder=tmp_path).returncode == 0
    assert not (tmp_path / "bad").exists()
    assert command_output(tmp_path / "x.log") == f"{words}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "1", "x.log", "true"], "--gpus"),
        (["--gpu", "one", "x.log", "true"], "'one' is not a whole number"),
        (["--gpu", "-1", "x.log", "true"], "--gpu"),
        (["--mem", "much", "x.log", "true"], "'much' is not a memory size"),
        (["--time", "1h", "x.log", "true"], "'1h' is not a time"),
        (["--time"], "expected one argument"),
        (["x.log"], "a log and a command are needed"),
        ([], "a log and a command are needed"),
        (["JOB=0:3", "x.JOB.log", "true"], "JOB=0:3: not a range of jobs"),
        (["JOB=3:2", "x.JOB.log", "true"], "JOB=3:2: not a range of jobs"),
        (["JOB=4", "x.JOB.log", "true"], "JOB=4: not a range of jobs"),
        (["JOB=1:2", "x.log", "true"], "x.log: 2 jobs would write one log; put JOB into its name"),
        (["sub/", "true"], "sub/: the log is a folder"),
    ],
)
def test_bad_options_are_one_line_and_status_2(tmp_path, words, said):
    done = run(*words, folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr and done.stderr.startswith("run.py: ")
    assert list(tmp_path.iterdir()) == []


def test_log_that_cannot_be_written_is_an_error_not_a_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("file/x.log", "true", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("run.py: ") and len(done.stderr.splitlines()) == 1


def test_max_jobs_limits_how_many_run_at_once_and_jobs_do_run_side_by_side(tmp_path):
    code = "import time; print(time.time()); time.sleep(0.5); print(time.time())"
    assert run("--max-jobs", "2", "JOB=1:4", "x.JOB.log", PYTHON, "-c", code, folder=tmp_path).returncode == 0
    times = [[float(t) for t in command_output(tmp_path / f"x.{n}.log").split()] for n in range(1, 5)]
    together = [sum(start <= moment < end for start, end in times) for moment, _ in times]
    assert max(together) == 2


def test_threads_are_shared_between_jobs_unless_set(tmp_path):
    words = ["--max-jobs", "64", "JOB=1:64", "x.JOB.log", "sh", "-c", "echo $OMP_NUM_THREADS"]
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([PYTHON, RUN, *words], cwd=tmp_path, env=clean, check=True, timeout=60)
    assert command_output(tmp_path / "x.7.log") == f"{max(1, len(os.sched_getaffinity(0)) // 64)}\n"
    assert run(*words, folder=tmp_path, OMP_NUM_THREADS="5").returncode == 0
    assert command_output(tmp_path / "x.7.log") == "5\n"


def test_too_few_cards_are_refused_with_a_remedy(tmp_path):
    done = run("--gpu", "3", "x.log", "true", folder=tmp_path, CUDA_VISIBLE_DEVICES="0,1")
    assert (done.returncode, done.stderr) == (1, "run.py: 3 GPUs asked for, 2 found; use --gpu 2\n")
    assert not (tmp_path / "x.log").exists()


SILENT = "import subprocess, run\ndef visible_gpus(): raise subprocess.TimeoutExpired('nvidia-smi', 60)\n"
SILENT += "run.visible_gpus = visible_gpus\nraise SystemExit(run.main())"


def test_cards_that_give_no_answer_are_no_traceback(tmp_path):
    words = [PYTHON, "-c", SILENT, "--gpu", "1", "x.log", "true"]
    place = os.environ | {"PYTHONPATH": str(RUN.parent)}
    done = subprocess.run(words, cwd=tmp_path, env=place, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stderr.startswith("run.py: nvidia-smi gives no answer; ")
    assert len(done.stderr.splitlines()) == 1


def test_each_job_gets_its_own_cards_and_no_card_two_jobs(tmp_path):
    code = (
        "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], time.time()); time.sleep(0.3); print(time.time())"
    )
    words = ["--gpu", "2", "--max-jobs", "9", "JOB=1:5", "x.JOB.log", PYTHON, "-c", code]
    assert run(*words, folder=tmp_path, CUDA_VISIBLE_DEVICES="4,5,6,7,8").returncode == 0
    shown = [command_output(tmp_path / f"x.{n}.log").split() for n in range(1, 6)]
    assert {cards for cards, _, _ in shown} == {"4,5", "6,7"}
    for cards in ("4,5", "6,7"):
        spans = sorted((float(start), float(end)) for held, start, end in shown if held == cards)
        assert len(spans) >= 2 and all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))


def test_a_card_that_is_named_twice_serves_two_jobs(tmp_path):
    code = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES'], time.time()); time.sleep(1); print(time.time())"
    words = ["--gpu", "1", "--max-jobs", "9", "JOB=1:2", "x.JOB.log", PYTHON, "-c", code]
    assert run(*words, folder=tmp_path, CUDA_VISIBLE_DEVICES="3,3").returncode == 0
    shown = [command_output(tmp_path / f"x.{n}.log").split() for n in (1, 2)]
    assert [card for card, _, _ in shown] == ["3", "3"]
    assert max(float(start) for _, start, _ in shown) < min(float(end) for _, _, end in shown)


def test_without_gpu_a_job_sees_no_card(tmp_path):
    assert (
        run("x.log", "sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]", folder=tmp_path, CUDA_VISIBLE_DEVICES="0").returncode
        == 0
    )
    assert command_output(tmp_path / "x.log") == "[]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_jobs_and_their_children(tmp_path, number):
    code = (
        "import subprocess, os; c = subprocess.Popen(['sleep', '300']); print(os.getpid(), c.pid, flush=True); c.wait()"
    )
    process = subprocess.Popen(
        [PYTHON, RUN, "--max-jobs", "2", "JOB=1:3", "x.JOB.log", PYTHON, "-c", code],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    logs = [tmp_path / "x.1.log", tmp_path / "x.2.log"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not all(log.exists() and command_output(log).endswith("\n") for log in logs):
        time.sleep(0.05)
    pids = [int(pid) for log in logs for pid in command_output(log).split()]
    assert len(pids) == 4 and not any(gone(pid) for pid in pids)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number and said == f"run.py: stopped by {number.name}; all jobs were ended\n"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not all(gone(pid) for pid in pids):
        time.sleep(0.05)
    assert all(gone(pid) for pid in pids)
    assert not (tmp_path / "x.3.log").exists()


SAVING = """
import signal, sys, time

def save(number, frame):
    time.sleep(float(sys.argv[1]))
    print("saved", flush=True)
    raise SystemExit(75)

signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(300)
"""
"""As a training does: it ends its step and saves before it stops."""

SOON = "import run; run.QUIET = 0.2; raise SystemExit(run.main())"


def stopped(tmp_path, seconds, *signals, between=1.0, send=os.kill):
    """Send signals to a launcher whose job takes so long to save; return status, messages and the job's output."""
    (tmp_path / "job.py").write_text(SAVING)
    words = [PYTHON, "-c", SOON, "x.log", PYTHON, "job.py", str(seconds)]
    place = os.environ | {"PYTHONPATH": str(RUN.parent)}
    process = subprocess.Popen(
        words, cwd=tmp_path, env=place, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    log = tmp_path / "x.log"
    while not (log.exists() and command_output(log) == "ready\n"):
        time.sleep(0.02)
    for number in signals:
        send(process.pid, number)
        time.sleep(between)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.splitlines(), command_output(log), log.read_text().splitlines()[-1]


@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_job_may_end_its_step_and_save(tmp_path, number, send):
    status, said, output, last = stopped(tmp_path, 1.5, number, send=send)
    assert (status, output, last) == (128 + number, "ready\nsaved\n", "# status 75")
    assert said[0] == "run.py: waiting up to 10 min for jobs to save what they have; stop it again to kill them"
    assert said[1:] == [f"run.py: stopped by {number.name}; all jobs were ended"]


def test_a_second_signal_kills_at_once(tmp_path):
    status, said, output, last = stopped(tmp_path, 300, signal.SIGTERM, signal.SIGINT)
    assert (status, output, last) == (128 + signal.SIGTERM, "ready\n", f"# status {128 + signal.SIGKILL}")
    assert said[-1] == "run.py: stopped by SIGTERM; all jobs were ended"


def test_a_step_of_a_minute_and_a_validation_of_minutes_have_time():
    done = subprocess.run([PYTHON, "-c", "import run, slurm; print(run.GRACE, slurm.GRACE)"], cwd=RUN.parent,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert all(float(seconds) >= 600 for seconds in done.stdout.split())


def test_help_shows_the_contract(tmp_path):
    done = run("--help", folder=tmp_path)
    assert done.returncode == 0 and "JOB=1:n" in done.stdout and "CUDA_VISIBLE_DEVICES" in done.stdout


IMPATIENT = "import logs, run; logs.PATIENCE = 0.2; raise SystemExit(run.main())"


def test_a_log_that_an_orphan_still_writes_is_refused(tmp_path):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    first = [PYTHON, RUN, "x.1.log", "sh", "-c", '"$@" & wait', "x", PYTHON, "-c", code]
    launcher = subprocess.Popen(first, cwd=tmp_path, start_new_session=True)
    log = tmp_path / "x.1.log"
    while not (log.exists() and command_output(log).endswith("\n")):
        time.sleep(0.02)
    launcher.kill()
    launcher.wait()
    orphan, before = command_output(log).strip(), log.read_text()
    for words in (["x.1.log", "true"], ["JOB=1:2", "x.JOB.log", "true"], ["--idle", "x.JOB.log"]):
        done = subprocess.run(
            [PYTHON, "-c", IMPATIENT, *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(RUN.parent)},
            capture_output=True, text=True, timeout=30
        )  # fmt: skip
        said = f"x.1.log: a job of an earlier run still writes it (process {orphan}); wait for it, or stop it\n"
        assert (done.returncode, done.stderr) == (1, f"run.py: {said}")
    assert log.read_text() == before and not (tmp_path / "x.2.log").exists() and not gone(int(orphan))
    os.kill(int(orphan), signal.SIGKILL)
    assert run("--idle", "x.JOB.log", folder=tmp_path).returncode == 0 and log.read_text() == before
    assert run("x.1.log", "true", folder=tmp_path).returncode == 0 and log.read_text().endswith("# status 0\n")


def test_a_device_can_be_the_log(tmp_path):
    assert run("/dev/null", "true", folder=tmp_path).returncode == 0


def test_jobs_die_with_a_killed_launcher(tmp_path):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    launcher = subprocess.Popen([PYTHON, RUN, "x.log", PYTHON, "-c", code], cwd=tmp_path)
    log = tmp_path / "x.log"
    while not (log.exists() and command_output(log).endswith("\n")):
        time.sleep(0.02)
    launcher.kill()
    launcher.wait()
    for _ in range(100):
        if gone(int(command_output(log))):
            break
        time.sleep(0.05)
    assert gone(int(command_output(log)))
