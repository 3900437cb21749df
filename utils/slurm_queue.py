"""What Slurm is told and says of jobs, and who may hand in those of a log."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO

import launcher
import logs

HOPELESS = re.compile(
    "PartitionTimeLimit|PartitionNodeLimit|BadConstraints|InvalidAccount|InvalidQOS|DependencyNeverSatisfied"
    "|JobHeldAdmin|launch failed requeued held|(QOS|Assoc)Max.*PerJob.*"
)
"""Reasons for waiting that time does not mend, as squeue names them."""


def ask(*command: str) -> str | None:
    """Return what a Slurm command prints, or None if the controller gave no answer."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def reasons(name: str) -> list[str]:
    """Return, for each job of this name that Slurm still has, why it waits ("None" if it runs)."""
    reasons = ask("squeue", "--noheader", f"--name={name}", "--format=%r")
    return ["unknown"] if reasons is None else reasons.splitlines()


def states(array: str) -> dict[int, str]:
    """Return what Slurm knows of each element of an array, such as TIMEOUT; it forgets after some minutes."""
    shown = ask("scontrol", "--oneliner", "show", "job", array) or ""
    return {int(number): state for number, state in re.findall(r"ArrayTaskId=([0-9]+) .*?JobState=([A-Z_]+)", shown)}


def name_in(script: Path) -> str:
    """Return the name of the jobs that a batch script was written for, or "" if there is none."""
    try:
        match = re.search("^#SBATCH --job-name=([A-Za-z0-9_.-]+)$", script.read_text(errors="replace"), re.MULTILINE)
    except FileNotFoundError:
        return ""
    return match[1] if match else ""


def reserve(script: Path) -> IO[str] | None:
    """Lock a batch script, for as long as what is returned is open here or in a process that inherits it.

    Returns:
        the open script, or None if somebody else, such as an sbatch whose launcher was killed, holds it.
    """
    file = open(script, "a", encoding="utf-8")
    return file if logs.take(file) else None


def batch_script(request: launcher.Request, name: str, program: Path) -> str:
    """Return the script for sbatch: what is asked for, and one command whose words are all quoted.

    Args:
        request: the jobs.
        name: their name in the queue.
        program: what runs an element on its node.
    """
    numbers = request.numbers
    asked = [
        f"--job-name={name}",
        f"--array={numbers[0]}-{numbers[-1]}" + f"%{request.max_jobs}" * (request.max_jobs > 0),
    ]
    asked += [f"--mem={request.mem}"] * bool(request.mem) + [f"--time={request.time}"] * bool(request.time)
    asked += [f"--gres=gpu:{request.gpu}"] * (request.gpu > 0) + ["--open-mode=append"]
    names = ["C2SER_SLURM_OPTIONS"] + ["C2SER_SLURM_GPU_OPTIONS"] * (request.gpu > 0)
    asked += [" ".join(os.environ[name].split()) for name in names if os.environ.get(name, "").strip()]
    call = [sys.executable, str(program.resolve()), "--gpu", str(request.gpu)]
    rest = [f"JOB={numbers[0]}:{numbers[-1]}"] * request.array + [request.log, *request.command]
    return "\n".join(
        [
            "#!/usr/bin/env bash",
            *(f"#SBATCH {option}" for option in asked),
            f'exec {shlex.join(call)} --element "$SLURM_ARRAY_TASK_ID" {shlex.join(rest)}',
            "",
        ]
    )
