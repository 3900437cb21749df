#!/usr/bin/env python3
"""Run a command on this machine, or many numbered copies of it at once, each with its own log.

    run.py [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]
    run.py JOB=1:8 exp/log/attributes.JOB.log python -m c2ser.bin.extract_attributes --data data/train/split8/JOB ...

JOB in LOG and in the arguments becomes the number of the copy. A log holds the command, the host, start, end and the
status. As many run at once as there are cores, or --max-jobs. With --gpu N no GPU serves two jobs at the same time and
each sees its own GPUs in CUDA_VISIBLE_DEVICES; without it a job sees none, as on a cluster. --mem and --time are for
clusters and only checked here.

A signal (Ctrl-C, SIGTERM) is passed on to the jobs, which may save what they have: a training ends its step first. What
still runs after ten minutes is killed; a second signal kills at once.

Status: 0 if all went well, 1 if a copy failed (all are named with their logs) or there are too few GPUs,
2 for bad options, 128 + the signal if it was stopped; everything it started is then stopped too.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import launcher
import logs

GRACE = 600.0
"""Seconds that stopped jobs have to end by themselves before they are killed: a training first ends its step, which can
take a minute on a CPU, or its validation, which can take several, and then saves; other jobs end at once."""

QUIET = 5.0
"""Seconds after which the launcher says what it waits for."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if shutil.which("nvidia-smi"):
        shown = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
        return [str(number) for number in range(sum(line.startswith("GPU ") for line in shown.splitlines()))]
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def gpu_groups(gpu: int) -> list[str]:
    """Divide the GPUs into groups for one job each; an empty list if there are too few for a single job."""
    gpus = visible_gpus()
    return [",".join(gpus[start : start + gpu]) for start in range(0, len(gpus) - gpu + 1, gpu)]


def run(request: launcher.Request, groups: list[str], signals: launcher.Signals) -> list[tuple[launcher.Job, int]]:
    """Run the jobs, at most as many at once as cores, `--max-jobs` and GPUs allow.

    Returns:
        the jobs that failed, with their status; after a signal the rest was stopped or not started.
    """
    limit = min(request.max_jobs or cores(), len(groups) if request.gpu else len(request.numbers))
    environment = dict(os.environ)
    if min(limit, len(request.numbers)) > 1:  # side by side, each with a thread per core would only get in the way
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // limit)))
    waiting, failed = request.jobs(), []
    running: list[launcher.Running] = []
    try:
        while (waiting or running) and not signals.seen:
            while waiting and len(running) < limit:
                gpus = groups.pop(0) if request.gpu else ""
                running.append(launcher.Running(waiting.pop(0), environment | {"CUDA_VISIBLE_DEVICES": gpus}))
            for entry in [entry for entry in running if entry.status() is not None]:
                running.remove(entry)
                if request.gpu:
                    groups.append(entry.environment["CUDA_VISIBLE_DEVICES"])
                if status := entry.status():
                    failed.append((entry.job, status))
            if running:
                time.sleep(launcher.POLL)
    finally:
        stop(running, signals)
    return sorted(failed, key=lambda entry: entry[0].number)


def stop(running: list[launcher.Running], signals: launcher.Signals) -> None:
    """End what still runs: ask, wait, then kill; a second signal ends the wait."""
    for entry in running:
        entry.kill(signal.SIGTERM)
    launcher.wait_for_end("run.py", lambda: any([e.status() is None for e in running]), signals, GRACE, QUIET)
    for entry in running:
        entry.kill(signal.SIGKILL)
    while any([entry.status() is None for entry in running]):
        time.sleep(launcher.POLL)


def main() -> int:
    """Run what the command line asks for and return the status."""
    request, _ = launcher.parse_request(launcher.make_parser(__doc__), sys.argv[1:])
    try:
        groups = gpu_groups(request.gpu) if request.gpu else []
    except subprocess.TimeoutExpired:
        print("run.py: nvidia-smi gives no answer; name the GPUs in CUDA_VISIBLE_DEVICES", file=sys.stderr)
        return 1
    if request.gpu and not groups and not request.idle:
        count = len(visible_gpus())
        print(f"run.py: {request.gpu} GPUs asked for, {count} found; use --gpu {count}", file=sys.stderr)
        return 1
    signals = launcher.Signals()
    try:
        launcher.wait_until_free(request, signals.seen)
        failed = [] if request.idle else run(request, groups, signals)
    except logs.Busy as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"run.py: {error}; choose a log that can be written", file=sys.stderr)
        return 1
    if signals.seen:
        name = signal.Signals(signals.seen[0]).name
        print(f"run.py: stopped by {name}; all jobs were ended", file=sys.stderr)
        return 128 + signals.seen[0]
    return launcher.report(
        "run.py", len(request.numbers), [(job, launcher.fate(s), logs.last_line(job.log)) for job, s in failed]
    )


if __name__ == "__main__":
    raise SystemExit(main())
