"""utils/ray_data.py against a real Ray with three pretended cards, started here and stopped at the end."""

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_map_data import TOOL
from test_map_shards import SHARDS, TOTAL, tables, write_shards

UTILS = Path(__file__).parent.parent / "utils"
RAY_DATA = UTILS / "ray_data.py"
PYTHON = sys.executable
ABSENT = [name for name in ("ray", "pyarrow", "pandas") if not importlib.util.find_spec(name)]

CLUSTER = """
import sys, ray
ray.init(num_cpus=4, num_gpus=3, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="ERROR",
         log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


def environment(**more) -> dict[str, str]:
    path = os.pathsep.join([str(UTILS.parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"} | more


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment in which the launcher finds the cluster."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # sockets want short names
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_TMPDIR": folder}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        head = subprocess.Popen([PYTHON, "-c", CLUSTER], env=environment(**token), cwd=folder, **pipes)
        try:
            address = head.stdout.readline().strip()
            assert address, "no Ray could be started"
            yield environment(**token, RAY_ADDRESS=address)
        finally:
            head.communicate(timeout=300)


def run(*words, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    command = [PYTHON, RAY_DATA, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def command_output(log: Path) -> str:
    return "".join(line for line in log.read_text().splitlines(True) if not line.startswith("# "))


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_bad_options_are_one_line_and_status_2(tmp_path):
    for words in (["--mem", "much", "x.log", "true"], ["x.log"], ["JOB=1:2", "x.log", "true"]):
        done = run(*words, folder=tmp_path, environment=environment())
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("ray_data.py: ")
    assert list(tmp_path.iterdir()) == []


def test_without_ray_the_message_names_the_extra_and_the_other_launcher(tmp_path):
    (tmp_path / "find.py").write_text(
        "import importlib.util, runpy, sys\n"
        "importlib.util.find_spec = lambda name: None\n"
        "sys.argv.pop(0)\nsys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [PYTHON, tmp_path / "find.py", RAY_DATA, "x.log", "true"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "ray_data.py: no ray, pyarrow, pandas; pip install 'ray[data]', or use utils/run.py\n"


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.skipif(bool(ABSENT), reason=f"no {', '.join(ABSENT)}; pip install 'ray[data]' (extra [ray])")
class TestOnCluster:
    def test_jobs_have_logs_places_and_cards_of_their_own(self, cluster, tmp_path):
        code = "import os, sys, time; print(sys.argv[1:], os.getcwd(), os.environ['CUDA_VISIBLE_DEVICES'])"
        words = ["--gpu", "1", "--mem", "100M", "JOB=2:5", "a b/x.JOB.log", PYTHON, "-c", f"{code}; time.sleep(0.5)"]
        done = run(*words, "in/JOB", "$(touch bad)", folder=tmp_path, environment=cluster)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        said = [command_output(tmp_path / f"a b/x.{number}.log").rsplit(maxsplit=1) for number in (2, 3, 4, 5)]
        assert [words for words, _ in said] == [f"['in/{n}', '$(touch bad)'] {tmp_path}" for n in (2, 3, 4, 5)]
        assert {card for _, card in said} == {"0", "1", "2"} and not (tmp_path / "bad").exists()

    def test_failing_jobs_are_named_with_their_logs_and_jobs_without_cards_see_none(self, cluster, tmp_path):
        code = (
            "import os, sys; print('trouble', [os.environ['CUDA_VISIBLE_DEVICES']]); sys.exit(9 * (sys.argv[1] == '2'))"
        )
        done = run("JOB=1:2", "JOB/x.log", PYTHON, "-c", code, "JOB", folder=tmp_path, environment=cluster)
        assert done.returncode == 1
        assert done.stderr == "ray_data.py: 1 of 2 jobs failed\n  job 2: status 9, 2/x.log: trouble ['']\n"

    def test_without_a_cluster_a_ray_of_this_machine_is_started(self, cluster, tmp_path):
        here = {name: value for name, value in cluster.items() if name != "RAY_ADDRESS"} | {"CUDA_VISIBLE_DEVICES": ""}
        done = run("--max-jobs", "1", "JOB=1:2", "x.JOB.log", "echo", "JOB", folder=tmp_path, environment=here)
        assert (done.returncode, done.stderr) == (0, "") and command_output(tmp_path / "x.2.log") == "2\n"
        done = run("--gpu", "1", "x.log", "true", folder=tmp_path, environment=here)
        assert done.returncode == 1
        assert done.stderr == "ray_data.py: 1 GPUs asked for, 0 found; use --gpu 0\n"

    def test_a_signal_stops_what_runs(self, cluster, tmp_path):
        words = [PYTHON, RAY_DATA, "x.log", PYTHON, "-uc", "import os, time; print(os.getpid()); time.sleep(300)"]
        process = subprocess.Popen(words, cwd=tmp_path, env=cluster, stderr=subprocess.PIPE, text=True)
        log = tmp_path / "x.log"
        wait_for(lambda: log.exists() and command_output(log).endswith("\n"))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
        assert (process.returncode, said) == (143, "ray_data.py: stopped by SIGTERM; all jobs were ended\n")
        wait_for(lambda: not Path(f"/proc/{int(command_output(log))}").exists(), 10)

    def test_a_job_that_is_lost_with_its_worker_runs_again_and_goes_on_with_its_log(self, cluster, tmp_path):
        code = "import os, time; print(os.getppid()); time.sleep(0 if os.path.exists('second') else 300)"
        words = [PYTHON, RAY_DATA, "x.log", PYTHON, "-uc", code]
        process = subprocess.Popen(words, cwd=tmp_path, env=cluster, stderr=subprocess.PIPE, text=True)
        log = tmp_path / "x.log"
        wait_for(lambda: log.exists() and command_output(log).endswith("\n"))
        (tmp_path / "second").touch()
        os.kill(int(command_output(log)), signal.SIGKILL)
        process.communicate(timeout=300)
        assert process.returncode == 0
        assert len(command_output(log).split()) == 2 and log.read_text().endswith("# status 0\n")

    def test_shards_are_the_same_as_without_ray_after_a_kill(self, cluster, tmp_path):
        write_shards(tmp_path / "da ta")
        (tmp_path / "tool.py").write_text(TOOL)
        map_shards = [UTILS / "map_shards.sh", "--nj", "3", "--max-rejected", "50", tmp_path / "da ta", "utt2x"]
        tool = [PYTHON, tmp_path / "tool.py", f"--calls={tmp_path / 'calls'}", "--reject", "u01-s2 u04-s5"]
        on_ray = [*map_shards[:3], "--cmd", RAY_DATA, *map_shards[3:], *tool, "--delay", "0.1"]
        job = subprocess.Popen(list(map(str, on_ray)), env=cluster, start_new_session=True, stderr=subprocess.DEVNULL)
        calls = tmp_path / "calls"
        wait_for(lambda: calls.exists() and len(calls.read_text().split()) > 5)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        wait_for(lambda: subprocess.run(["flock", "-n", tmp_path / "da ta/log/utt2x.lock", "true"]).returncode == 0)
        assert 5 < len(calls.read_text().split()) < TOTAL
        done = subprocess.run(list(map(str, on_ray)), env=cluster, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        done_twice = len(calls.read_text().split()) - len(set(calls.read_text().split()))
        assert len(set(calls.read_text().split())) == TOTAL and done_twice <= 3
        made = tables(tmp_path)
        assert len([name for name in made if name.endswith(".rejected")]) == 2
        for name in made:
            (tmp_path / "da ta" / name).unlink()
        here = subprocess.run(list(map(str, [*map_shards, *tool, "--delay", "0.1"])), env=environment(), timeout=300)
        assert here.returncode == 0 and tables(tmp_path) == made and len(made) == 2 * len(SHARDS) + 2
