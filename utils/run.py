#!/usr/bin/env python3
"""Run a command on this machine, or many numbered copies of it at once, each with its own log.

    run.py [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]
    run.py JOB=1:8 exp/log/attributes.JOB.log python -m c2ser.bin.extract_attributes --data data/train/split8/JOB ...

JOB in LOG and in the arguments becomes the number of the copy. A log holds the command, the host, start, end and the
status. As many run at once as there are cores, or --max-jobs. With --gpu N no card serves two jobs at the same time and
each sees its own cards in CUDA_VISIBLE_DEVICES; without it a job sees none, as on a cluster. --mem and --time are for
clusters and only checked here.

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

GRACE = 10.0
"""Seconds that stopped jobs have to end by themselves before they are killed."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_cards() -> list[str]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [card.strip() for card in visible.split(",") if card.strip() not in ("", "-1", "NoDevFiles")]
    if shutil.which("nvidia-smi"):
        shown = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
        return [str(card) for card in range(sum(line.startswith("GPU ") for line in shown.splitlines()))]
    return [str(card) for card in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def card_groups(gpu: int) -> list[str]:
    """Divide the cards into groups for one job each; an empty list if there are too few for a single job."""
    found = visible_cards()
    return [",".join(found[start : start + gpu]) for start in range(0, len(found) - gpu + 1, gpu)]


def run(request: launcher.Request, groups: list[str], signals: launcher.Signals) -> list[tuple[launcher.Job, int]]:
    """Run the jobs, at most as many at once as cores, `--max-jobs` and cards allow.

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
                cards = groups.pop(0) if request.gpu else ""
                running.append(launcher.Running(waiting.pop(0), environment | {"CUDA_VISIBLE_DEVICES": cards}))
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
    """End what still runs: ask, wait, then kill; a second signal shortens the wait."""
    for entry in running:
        entry.kill(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and len(signals.seen) < 2 and any(e.status() is None for e in running):
        time.sleep(launcher.POLL)
    for entry in running:
        entry.kill(signal.SIGKILL)
    while any([entry.status() is None for entry in running]):
        time.sleep(launcher.POLL)


def main() -> int:
    """Run what the command line asks for and return the status."""
    request, _ = launcher.request(launcher.parser(__doc__), sys.argv[1:])
    try:
        groups = card_groups(request.gpu) if request.gpu else []
    except subprocess.TimeoutExpired:
        print("run.py: nvidia-smi gives no answer; name the cards in CUDA_VISIBLE_DEVICES", file=sys.stderr)
        return 1
    if request.gpu and not groups and not request.idle:
        found = len(visible_cards())
        print(f"run.py: {request.gpu} GPUs asked for, {found} found; use --gpu {found}", file=sys.stderr)
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
