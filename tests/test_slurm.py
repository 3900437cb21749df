"""utils/slurm.py against a real Slurm of one node, started here on the loopback interface and stopped at the end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_map_data import TOOL
from test_map_shards import TOTAL, tables, write_shards
from test_run import SAVING

SLURM = Path(__file__).parent.parent / "utils" / "slurm.py"
PYTHON = sys.executable
DAEMONS = ("munged", "slurmctld", "slurmd")
SBIN = "/usr/sbin:/usr/local/sbin"
USER = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()

slurm = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

# One node with two jobs' room and one pretended card; ten minutes at most, so that a longer request can never start.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ctld}
SlurmdPort={d}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
GresTypes=gpu
SchedulerParameters=batch_sched_delay=0,sched_interval=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=10 State=UP
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_cluster(folder: Path, environment: dict[str, str]) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))
    text = CONFIGURATION.format(folder=folder, user=USER, ctld=free_port(), d=free_port())
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text("NodeName=localhost Name=gpu File=/dev/null\n")
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    conf = f"{folder}/slurm.conf"
    for command in (
        ["munged", "--force", f"--socket={folder}/munge.socket", *munge],
        ["slurmctld", "-f", conf],
        ["slurmd", "-f", conf, "-N", "localhost"],
    ):
        subprocess.run(command, env=environment, check=True, timeout=30, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while "idle" not in (state := squeue(environment, "sinfo", "--noheader", "--format=%T")):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the node is {state!r}: {(folder / 'slurmd.log').read_text()[-2000:]}")
        time.sleep(0.2)


def stop_cluster(folder: Path, environment: dict[str, str]) -> None:
    squeue(environment, "scancel", f"--user={USER}")
    for daemon in ("slurmd", "slurmctld", "munge"):
        pid_file = folder / f"{daemon}.pid"
        if not pid_file.exists():
            continue
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def squeue(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command or ["squeue", "--noheader"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment in which the commands of Slurm talk to the cluster."""
    path = f"{os.environ['PATH']}:{SBIN}"
    absent = [name for name in (*DAEMONS, "sbatch") if not shutil.which(name, path=path)]
    if absent:
        pytest.skip(f"no {', '.join(absent)}; install slurmctld, slurmd, slurm-client and munge (.ci/run does)")
    with tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as name:  # sockets want short names
        folder = Path(name)
        os.chmod(folder, 0o755)
        environment = os.environ | {"PATH": path, "SLURM_CONF": f"{folder}/slurm.conf", "C2SER_SLURM_LATENCY": "3"}
        try:
            start_cluster(folder, environment)
            yield environment
        finally:
            stop_cluster(folder, environment)


def run(*words: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [PYTHON, SLURM, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def start(*words: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen([PYTHON, SLURM, *words], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def requeue(environment: dict[str, str], job: str) -> None:
    """Make Slurm stop a job and start it again in two seconds rather than in its usual two minutes.

    Not in the same second: slurmd withdraws a stopped job's credential for the whole of it, and the job would fail.
    """
    squeue(environment, "scontrol", "requeue", job)
    waits = ["squeue", "--noheader", "--array", f"--jobs={job}", "--states=PD", "--format=%T"]
    wait_for(lambda: squeue(environment, *waits).split() == ["PENDING"])
    squeue(environment, "scontrol", "update", f"JobId={job}", "StartTime=now+2")


def command_output(log: Path) -> str:
    return "".join(line for line in log.read_text().splitlines(True) if not line.startswith("# "))


def bad_options(*words: str, folder: Path) -> subprocess.CompletedProcess:
    return run(*words, folder=folder, environment=dict(os.environ))


def test_bad_options_are_one_line_and_status_2(tmp_path):
    for words in (["--mem", "much", "x.log", "true"], ["x.log"], ["JOB=1:2", "x.log", "true"], ["--foo", "x", "y"]):
        done = bad_options(*words, folder=tmp_path)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("slurm.py: ")
    assert list(tmp_path.iterdir()) == []


def test_without_slurm_the_message_names_the_other_launcher(tmp_path):
    done = run("x.log", "true", folder=tmp_path, environment=os.environ | {"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == "slurm.py: sbatch not found; call it on a node of the cluster, or use utils/run.py\n"


class TestOnCluster:
    pytestmark = slurm

    def test_array_runs_every_element_with_its_log(self, cluster, tmp_path):
        code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['SLURM_ARRAY_TASK_ID'])"
        words = ["--mem", "100M", "--time", "5:00", "--max-jobs", "2", "JOB=2:4", "a b/x.JOB.log", PYTHON, "-c", code]
        done = run(*words, "in/JOB", folder=tmp_path, environment=cluster)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        for number in (2, 3, 4):
            log = tmp_path / f"a b/x.{number}.log"
            assert command_output(log) == f"['in/{number}'] {tmp_path} {number}\n"
            lines = log.read_text().splitlines()
            assert lines[0].startswith(f"# {PYTHON} -c 'import os") and lines[0].endswith(f" in/{number}")
            assert lines[1].startswith("# host ") and lines[2].startswith("# start ") and lines[-1] == "# status 0"
        script = (tmp_path / "a b/q/x.JOB.log.sbatch").read_text()
        for option in ("--mem=100M", "--time=5:00", "--array=2-4%2"):
            assert f"#SBATCH {option}\n" in script

    def test_single_job_needs_no_range(self, cluster, tmp_path):
        done = run("x.log", "sh", "-c", "echo JOB [$CUDA_VISIBLE_DEVICES]", folder=tmp_path, environment=cluster)
        assert done.returncode == 0, done.stderr
        assert command_output(tmp_path / "x.log") == "JOB []\n"

    def test_failing_elements_are_named_with_their_logs(self, cluster, tmp_path):
        code = "import sys; n = int(sys.argv[1]); print(f'trouble {n}'); sys.exit(9 if n == 2 else 0)"
        words = ["JOB=1:3", "JOB/x.log", PYTHON, "-c", code, "JOB"]
        done = run(*words, folder=tmp_path, environment=cluster)
        assert done.returncode == 1
        assert done.stderr == "slurm.py: 1 of 3 jobs failed\n  job 2: status 9, 2/x.log: trouble 2\n"
        mended = run(*words[:-2], "print('fine')", folder=tmp_path, environment=cluster)
        assert (mended.returncode, mended.stderr) == (0, "")

    def test_missing_command_is_named(self, cluster, tmp_path):
        done = run("x.log", "no-such-command", folder=tmp_path, environment=cluster)
        assert done.returncode == 1 and "job 1: the command could not be started, x.log: no-such-command" in done.stderr

    def test_words_are_inert(self, cluster, tmp_path):
        words = ["$(touch bad)", "`touch bad`", "; touch bad", "> bad", "a  b", "'\"\\", "--gpu", "*", "é\tü", "", "!x"]
        code = "import sys; print(sys.argv[1:])"
        done = run("$(touch bad) 'x\".log", PYTHON, "-c", code, *words, folder=tmp_path, environment=cluster)
        assert done.returncode == 0, done.stderr
        assert command_output(tmp_path / "$(touch bad) 'x\".log") == f"{words}\n"
        assert not (tmp_path / "bad").exists()

    def test_a_card_is_given_where_there_is_one(self, cluster, tmp_path):
        done = run(
            "--gpu", "1", "x.log", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", folder=tmp_path, environment=cluster
        )
        assert done.returncode == 0, done.stderr
        assert command_output(tmp_path / "x.log") == "0\n"

    @pytest.mark.parametrize("words", [["--gpu", "2"], ["--mem", "900G"], ["JOB=1:9999"]])
    def test_what_the_cluster_does_not_have_is_refused(self, cluster, tmp_path, words):
        done = run(*words, "x.JOB.log", "true", folder=tmp_path, environment=cluster)
        assert done.returncode == 1
        assert done.stderr.startswith("slurm.py: sbatch refused: ") and len(done.stderr.splitlines()) == 1
        assert "ask for less (--gpu, --mem, --time)" in done.stderr
        assert squeue(cluster) == ""

    def test_a_job_that_can_never_start_is_cancelled_with_the_reason(self, cluster, tmp_path):
        done = run("--time", "1:00:00", "x.log", "true", folder=tmp_path, environment=cluster)
        assert done.returncode == 1 and "can never start (PartitionTimeLimit); ask for less (--time" in done.stderr
        assert squeue(cluster) == ""

    def test_site_options_reach_sbatch(self, cluster, tmp_path):
        site = {
            "C2SER_SLURM_OPTIONS": "--comment='two words' --cpus-per-task=2",
            "C2SER_SLURM_GPU_OPTIONS": "--partition=none",
        }
        code = ["sh", "-c", "echo $SLURM_CPUS_PER_TASK"]
        done = run("x.log", *code, folder=tmp_path, environment=cluster | site)
        assert done.returncode == 0 and command_output(tmp_path / "x.log") == "2\n", done.stderr
        done = run("--gpu", "1", "x.log", *code, folder=tmp_path, environment=cluster | site)
        assert done.returncode == 1 and "partition" in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_cancels_running_and_waiting_jobs(self, cluster, tmp_path, number):
        process = start("JOB=1:4", "x.JOB.log", "sleep", "300", folder=tmp_path, environment=cluster)
        wait_for(lambda: (tmp_path / "x.1.log").exists() and (tmp_path / "x.2.log").exists())
        assert squeue(cluster) != ""
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert said.startswith(f"slurm.py: stopped by {number.name}; job array ") and said.endswith(" was cancelled\n")
        assert squeue(cluster) == ""

    def test_a_stopped_job_may_save_for_longer_than_slurm_waits(self, cluster, tmp_path):
        (tmp_path / "job.py").write_text(SAVING)
        words = ["JOB=1:4", "x.JOB.log", PYTHON, "job.py", "6"]  # KillWait is 2
        process = start(*words, folder=tmp_path, environment=cluster)
        logs = [tmp_path / f"x.{number}.log" for number in (1, 2)]
        wait_for(lambda: all(log.exists() and command_output(log) == "ready\n" for log in logs))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM and said.endswith(" was cancelled\n"), said
        assert all(command_output(log) == "ready\nsaved\n" for log in logs)
        assert squeue(cluster) == "" and not (tmp_path / "x.3.log").exists()

    def test_a_second_signal_cancels_at_once(self, cluster, tmp_path):
        (tmp_path / "job.py").write_text(SAVING)
        process = start("x.log", PYTHON, "job.py", "300", folder=tmp_path, environment=cluster)
        wait_for(lambda: (tmp_path / "x.log").exists() and command_output(tmp_path / "x.log") == "ready\n")
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        wait_for(lambda: squeue(cluster) == "")
        assert command_output(tmp_path / "x.log") == "ready\n"

    def test_a_warning_before_the_time_limit_reaches_the_command(self, cluster, tmp_path):
        (tmp_path / "job.py").write_text(SAVING.replace("signal.SIGTERM", "signal.SIGUSR1"))
        process = start("x.log", PYTHON, "job.py", "0.1", folder=tmp_path, environment=cluster)
        wait_for(lambda: (tmp_path / "x.log").exists() and command_output(tmp_path / "x.log") == "ready\n")
        job = squeue(cluster, "squeue", "--noheader", "--format=%A").split()[0]
        squeue(cluster, "scancel", "--batch", "--signal=USR1", job)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "job 1: status 75, x.log: saved" in said, said

    def test_an_element_that_slurm_stops_is_told_from_one_that_failed(self, cluster, tmp_path):
        code = "import sys, time; time.sleep(300 if sys.argv[1] == '2' else 0)"
        process = start("JOB=1:2", "x.JOB.log", PYTHON, "-c", code, "JOB", folder=tmp_path, environment=cluster)
        logs = [tmp_path / f"x.{number}.log" for number in (1, 2)]
        wait_for(lambda: all(log.exists() for log in logs) and logs[0].read_text().endswith("status 0\n"))
        array = squeue(cluster, "squeue", "--noheader", "--format=%F").split()[0]
        squeue(cluster, "scancel", f"{array}_2")
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert said.startswith("slurm.py: 1 of 2 jobs failed\n  job 2: stopped by Slurm (CANCELLED), x.2.log: ")
        assert "CANCELLED" in said.splitlines()[1].split("x.2.log: ")[1]

    def test_a_requeued_element_runs_again_and_goes_on_with_its_log(self, cluster, tmp_path):
        code = "import os, time; print('try'); time.sleep(0 if os.path.exists('second') else 300)"
        site = {"C2SER_SLURM_OPTIONS": "--requeue"}
        process = start("x.log", PYTHON, "-uc", code, folder=tmp_path, environment=cluster | site)
        wait_for(lambda: (tmp_path / "x.log").exists() and "try" in command_output(tmp_path / "x.log"))
        (tmp_path / "second").touch()
        job = squeue(cluster, "squeue", "--noheader", "--format=%A").split()[0]
        requeue(cluster, job)
        _, said = process.communicate(timeout=90)
        assert (process.returncode, said) == (0, "")
        assert command_output(tmp_path / "x.log") == "try\ntry\n"
        assert (tmp_path / "x.log").read_text().count("# status ") == 2

    @pytest.mark.parametrize("word", ["one", "two"])
    def test_the_jobs_of_a_killed_launcher_are_waited_for(self, cluster, tmp_path, word):
        (tmp_path / "data").mkdir()
        names = [f"s-{n:02d}" for n in range(12)]
        for table in ("wav.scp", "text"):
            (tmp_path / "data" / table).write_text("".join(f"{name} x\n" for name in names))
        (tmp_path / "tool.py").write_text(TOOL)
        calls, site = tmp_path / "calls", {"PYTHONPATH": str(SLURM.parent.parent)}

        def command(word: str) -> list[str]:
            tool = [PYTHON, tmp_path / "tool.py", f"--calls={calls}", "--delay", "0.8", "--word", word]
            call = [SLURM.parent / "map_data.sh", "--nj", "3", "--cmd", "slurm.py", tmp_path / "data", tmp_path / "x"]
            return [str(word) for word in (*call, *tool)]

        first = subprocess.Popen(command("one"), env=cluster | site, start_new_session=True, stderr=subprocess.DEVNULL)
        wait_for(lambda: calls.exists() and len(calls.read_text().split()) > 2)  # two parts run, the third waits
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        done = subprocess.run(command(word), env=cluster | site, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert (
            done.stderr.count("waiting for jobs of an earlier run, which write the same files; scancel --name=x") == 1
        )
        assert (tmp_path / "x").read_text() == "".join(f"{name} {word} x\n" for name in names)
        made = calls.read_text().split()
        assert sorted(made) == sorted(names * (1 if word == "one" else 2)) and sorted(made[:12]) == names
        assert squeue(cluster) == ""

    def test_shards_are_one_bounded_array_and_a_requeued_job_does_nothing_twice(self, cluster, tmp_path):
        write_shards(tmp_path / "da ta")
        (tmp_path / "tool.py").write_text(TOOL)
        calls = tmp_path / "calls"
        tool = [PYTHON, tmp_path / "tool.py", f"--calls={calls}", "--reject", "u01-s2 u04-s5", "--delay", "0.3"]
        options = ["--nj", "4", "--max-rejected", "50"]
        map_shards = [SLURM.parent / "map_shards.sh", *options, "--cmd", f"{SLURM} --max-jobs 2", tmp_path / "da ta"]
        site = {"C2SER_SLURM_OPTIONS": "--requeue", "PYTHONPATH": str(SLURM.parent.parent)}
        command = [str(word) for word in (*map_shards, "utt2x", *tool)]
        process = subprocess.Popen(command, env=cluster | site, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: calls.exists() and len(calls.read_text().split()) > 3)
        array, element = squeue(cluster, "squeue", "--noheader", "--array", "--states=R", "--format=%F %K").split()[:2]
        assert len(squeue(cluster, "squeue", "--noheader", "--array", "--states=R").splitlines()) <= 2
        job = f"{array}_{element}"
        requeue(cluster, job)
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
        assert f"{TOTAL} utterances, {TOTAL - 2} done, 2 rejected" in said
        assert len(calls.read_text().split()) <= TOTAL + 1 and len(set(calls.read_text().split())) == TOTAL
        assert (tmp_path / f"da ta/log/utt2x.{element}.log").read_text().count("# start ") == 2
        assert "#SBATCH --array=1-4%2\n" in (tmp_path / "da ta/log/q/utt2x.JOB.log.sbatch").read_text()
        made = tables(tmp_path)
        for name in made:
            (tmp_path / "da ta" / name).unlink()
        here = [str(word) for word in (map_shards[0], *options, tmp_path / "da ta", "utt2x", *tool)]
        assert subprocess.run(here, env=cluster | site, timeout=100).returncode == 0 and tables(tmp_path) == made
