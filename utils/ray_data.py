#!/usr/bin/env python3
"""Run a command on a Ray cluster, or many numbered copies of it, each with its own log.

    ray_data.py [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]
    ray_data.py --gpu 1 JOB=1:200 data/log/speech.JOB.log python -m c2ser.bin.label_speech --data parts/JOB/data ...

The contract of run.py, kept by Ray Data (extra [ray]): the jobs are the rows of a dataset that is streamed through the
cluster, as many at once as its cores and GPUs, --mem and --max-jobs allow. JOB in LOG and in the arguments becomes the
number of the copy. With --gpu N each job sees its own GPUs, without it none. A job that is lost with its node runs
again elsewhere and goes on with its log. Nodes must see Python and the folders under the names they have here. --time
is for launchers with a queue and only checked here.

    RAY_ADDRESS     the cluster, such as ray-head:6379; without it a Ray is started on this machine
    C2SER_RAY_CPUS  cores for each job (default 1)

Status: 0 if all went well, 1 if a copy failed (all are named with their logs) or there is no such Ray, 2 for bad
options, 128 + the signal if it was stopped; everything it started is then killed. Jobs that keep a journal lose nothing
by that; a training loses the steps since its last checkpoint (training.save_every).
"""

import importlib.util
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import launcher
import logs

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""Bytes by the letters of --mem; a number without one is in M, as Slurm has it."""


class Stopped(BaseException):
    """A signal asked the launcher to stop; its number is the argument. Ray would report an `Exception` as a defect."""


def listen() -> None:
    """Let the signals that stop a launcher end whatever is being waited for."""
    for number in launcher.STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def stop(number: int, frame: FrameType | None) -> None:
    """Handle a signal."""
    raise Stopped(number)


def runner(request: launcher.Request, folder: str, environment: dict[str, str]) -> Callable[[dict[str, Any]], Any]:
    """Return what a node does with a row of the dataset: run that job and say how it ended."""

    def run_job(row: dict[str, Any]) -> dict[str, Any]:
        os.chdir(folder)
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if request.gpu else ""  # Ray has chosen them
        try:
            job = request.job(request.numbers[row["id"]])
            logs.wait_until_free([job.log])
            running = launcher.Running(job, environment | {"CUDA_VISIBLE_DEVICES": gpus}, append=True)
        except OSError:
            return {"number": request.numbers[row["id"]], "status": launcher.NOT_FOUND}
        while (status := running.status()) is None:
            time.sleep(launcher.POLL)
        return {"number": job.number, "status": status}

    return run_job


def statuses(request: launcher.Request, cpus: float) -> Iterator[tuple[int, int]]:
    """Stream the jobs through Ray; yield the number of each that has ended, and its status."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    jobs = ray.data.range(len(request.numbers), override_num_blocks=len(request.numbers))  # a task for each
    asked: dict[str, Any] = {"num_cpus": cpus, "num_gpus": request.gpu or None}
    if request.mem:
        asked["memory"] = int(request.mem.rstrip("KMGT")) * UNITS.get(request.mem[-1], UNITS["M"])
    pool = ray.data.TaskPoolStrategy(size=request.max_jobs or None)
    done = jobs.map(runner(request, os.getcwd(), dict(os.environ)), compute=pool, **asked)
    try:
        yield from ((int(row["number"]), int(row["status"])) for row in done.iter_rows())
    except ray.exceptions.RayError as error:
        raise ConnectionError(str(error).partition("\n")[0]) from None


def connect(request: launcher.Request) -> str:
    """Join the cluster, or start a local one; return what it lacks, or ""."""
    import ray

    ray.init(logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    listen()  # Ray has put a handler of its own in place
    count = int(ray.cluster_resources().get("GPU", 0))
    if count >= request.gpu:
        return ""
    lack = f"{request.gpu} GPUs asked for, {count} found"
    if "RAY_ADDRESS" not in os.environ:
        return f"{lack}; use --gpu {count}"
    print(f"ray_data.py: {lack}; waiting for a node that has them", file=sys.stderr)
    return ""


def main() -> int:
    """Run what the command line asks for and return the status."""
    request, _ = launcher.parse_request(launcher.make_parser(__doc__), sys.argv[1:])
    absent = [name for name in ("ray", "pyarrow", "pandas") if not importlib.util.find_spec(name)]
    if absent:
        print(f"ray_data.py: no {', '.join(absent)}; pip install 'ray[data]', or use utils/run.py", file=sys.stderr)
        return 1
    cpus = float(os.environ.get("C2SER_RAY_CPUS", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(cpus))))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    listen()
    try:
        launcher.wait_until_free(request)
        if request.idle:
            return 0
        for job in request.jobs():
            job.log.unlink(missing_ok=True)  # what is there later is of this run
        if lack := connect(request):
            print(f"ray_data.py: {lack}", file=sys.stderr)
            return 1
        failed = [(request.job(number), status) for number, status in sorted(statuses(request, cpus)) if status]
    except Stopped as stopped:
        name = signal.Signals(stopped.args[0]).name
        print(f"ray_data.py: stopped by {name}; all jobs were ended", file=sys.stderr)
        return 128 + stopped.args[0]
    except logs.Busy as error:
        print(f"ray_data.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"ray_data.py: {error}; check RAY_ADDRESS and the logs' folder", file=sys.stderr)
        return 1
    finally:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
    return launcher.report(
        "ray_data.py", len(request.numbers), [(job, launcher.fate(s), logs.last_line(job.log)) for job, s in failed]
    )


if __name__ == "__main__":
    raise SystemExit(main())
