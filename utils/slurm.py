#!/usr/bin/env python3
"""Run a command on a Slurm cluster, or many numbered copies of it as one job array, each with its own log.

    slurm.py [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]
    slurm.py --mem 2G JOB=1:8 exp/log/attributes.JOB.log python -m c2ser.bin.extract_attributes --data split8/JOB ...

The contract of run.py, kept by job arrays: JOB in LOG and in the arguments becomes the number of the copy, --max-jobs
limits how many run at once, and the call returns when all have ended. The folder q/ beside the logs holds the batch
script and what Slurm itself says. Jobs whose launcher was killed run on; the next call with the same log waits for
them. Nodes must see Python and the logs' folder under the names they have here.

What a site needs beyond that goes into two environment variables, best exported in local/site.sh:
    C2SER_SLURM_OPTIONS      options of sbatch for every job, such as "--partition=main --cpus-per-task=2"
    C2SER_SLURM_GPU_OPTIONS  further ones for jobs with --gpu, such as "--partition=gpu"; they win over the first
With --requeue among them, a job that Slurm starts again elsewhere goes on with its log, and is waited for.

Status: 0 if all went well, 1 if a copy failed (all are named with their logs) or Slurm refused, 2 for bad options,
128 + the signal if it was stopped; the array is then cancelled. As with run.py, running jobs get ten minutes to save
what they have, and a second signal cancels at once. Before a time limit Slurm warns only if it is asked to: with
--signal=B:USR1@300 among the options a training saves in the last five minutes and ends with status 75.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import IO

import launcher
import logs
import slurm_queue

CHECK = 5.0
"""Seconds between two questions to Slurm why jobs wait."""

LATENCY = float(os.environ.get("C2SER_SLURM_LATENCY", "15"))
"""Seconds that a shared file system may take to show what a node wrote."""

GRACE = 600.0
"""Seconds that stopped jobs have to save what they have; see run.py."""

SETTINGS = "C2SER_SLURM_OPTIONS and C2SER_SLURM_GPU_OPTIONS"

REMEDIES = {
    "TIMEOUT": "; give it more --time",
    "OUT_OF_MEMORY": "; give it more --mem",
    "NODE_FAIL": "; run it again",
    "PREEMPTED": "; run it again, or add --requeue to C2SER_SLURM_OPTIONS",
}


class Refused(Exception):
    """Slurm will not run the jobs; the message holds its reason and what to do."""


class Array:
    """A job array: its files, its submission and what became of its elements."""

    def __init__(self, request: launcher.Request) -> None:
        self.request = request
        self.folder, self.base = queue_place(request.log)
        self.name = f"{self.base.replace('JOB', '').replace('.log', '').strip('.-')[:40]}-{uuid.uuid4().hex[:8]}"
        self.name = re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)
        self.script = self.folder / f"{self.base}.sbatch"
        self.said = tempfile.TemporaryFile("w+")
        self.process: subprocess.Popen[str] | None = None
        self.guard: IO[str] | None = None

    def place(self, number: int, kind: str) -> Path:
        """Return the file of one element that says something: its "status", or what "slurm" said."""
        return self.folder / f"{self.base}.{number}.{kind}"

    def take_turn(self, signals: launcher.Signals) -> None:
        """Wait until nothing of an earlier run, whose launcher was killed, can write the same files any more.

        Raises:
            logs.Busy: a job that Slurm does not know still writes a log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        asked = False
        while not self.reserve() and not signals.seen:
            if not asked:
                words = "waiting for jobs of an earlier run, which write the same files"
                name = slurm_queue.name_in(self.script)
                print(f"slurm.py: {words}; scancel --name={name} ends them", file=sys.stderr, flush=True)
                asked = True
            time.sleep(1)
        launcher.wait_until_free(self.request, signals.seen)

    def reserve(self) -> bool:
        """Lock the batch script as long as we or our sbatch live, unless jobs of an earlier one are in the queue."""
        self.guard = slurm_queue.reserve(self.script)
        earlier = slurm_queue.name_in(self.script)
        if self.guard and earlier and slurm_queue.reasons(earlier):
            self.guard.close()
            return False
        return self.guard is not None

    def submit(self) -> None:
        """Write the batch script, clear what an earlier run left, and hand the array to sbatch."""
        for job in self.request.jobs():
            job.log.parent.mkdir(parents=True, exist_ok=True)
            for left in (job.log, self.place(job.number, "status"), self.place(job.number, "slurm")):
                left.unlink(missing_ok=True)
        text = slurm_queue.batch_script(self.request, self.name, Path(__file__))
        self.script.write_text(text, "utf-8", errors="surrogateescape")
        output = str(self.folder.absolute() / self.base).replace("%", "%%") + ".%a.slurm"
        outer = [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"]
        self.process = subprocess.Popen(  # without what an outer job would hand down
            ["sbatch", "--parsable", f"--output={output}", f"--chdir={os.getcwd()}", str(self.script)],
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name not in outer},
            start_new_session=True,
            text=True,
            pass_fds=[self.guard.fileno()] if self.guard else [],
        )

    def missing(self) -> list[launcher.Job]:
        """Return the elements that have not written their status; listing the folder makes NFS look again."""
        there = set(os.listdir(self.folder))
        return [job for job in self.request.jobs() if self.place(job.number, "status").name not in there]

    def wait(self, signals: launcher.Signals) -> None:
        """Wait until all elements have a status, Slurm has no more of them, or a signal came.

        Raises:
            Refused: sbatch did not take the array, or it can never start.
        """
        while self.process and self.process.poll() is None and not signals.seen:
            time.sleep(launcher.POLL)
        if not signals.seen and not self.identity():
            raise Refused(
                f"sbatch refused: {self.words()}; ask for less (--gpu, --mem, --time), for fewer jobs (--nj; the "
                f"cluster's MaxArraySize limits their number) or mend {SETTINGS}"
            )
        asked, gone = time.monotonic(), None
        while self.missing() and not signals.seen and (gone is None or time.monotonic() - gone < LATENCY):
            time.sleep(launcher.POLL * 5)
            if time.monotonic() - asked > CHECK:
                asked = time.monotonic()
                gone = None if self.waiting() else gone or asked

    def waiting(self) -> bool:
        """Return whether Slurm still has elements, so that there is something to wait for.

        Raises:
            Refused: they wait for what will not come; the array is cancelled.
        """
        reasons = slurm_queue.reasons(self.name)
        for reason in filter(slurm_queue.HOPELESS.fullmatch, reasons):
            self.cancel()
            raise Refused(f"the jobs can never start ({reason}); ask for less (--time, --gpu) or mend {SETTINGS}")
        return bool(reasons)

    def stop(self, signals: launcher.Signals) -> None:
        """Take waiting elements out of the queue, let running ones save what they have, and cancel what is left.

        Slurm itself kills what it cancels after its KillWait, 30 s as a rule; a step of a training can take longer.
        """
        self.identify()
        slurm_queue.ask("scancel", "--state=PENDING", f"--name={self.name}")
        slurm_queue.ask("scancel", "--batch", "--signal=TERM", f"--name={self.name}")
        launcher.wait_for_end("slurm.py", lambda: bool(slurm_queue.reasons(self.name)), signals, GRACE, LATENCY)
        self.cancel()

    def identify(self) -> None:
        """Wait until Slurm has given the array a number, if it is being handed in at this moment."""
        deadline = time.monotonic() + LATENCY
        while self.process and self.process.poll() is None and not self.identity() and time.monotonic() < deadline:
            time.sleep(0.1)

    def cancel(self) -> None:
        """Take the array out of the queue and wait until it has left."""
        self.identify()
        deadline = time.monotonic() + LATENCY
        slurm_queue.ask("scancel", f"--name={self.name}")
        while time.monotonic() < deadline and slurm_queue.reasons(self.name):
            time.sleep(0.2)

    def close(self) -> None:
        """End an sbatch that has not come back, and let others hand in jobs of these names."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if self.guard:
            self.guard.close()

    def words(self) -> str:
        """Return what sbatch said, in one line."""
        self.said.seek(0)
        return " ".join(self.said.read().replace("sbatch: ", "").replace("error: ", "").split())

    def identity(self) -> str:
        """Return the number that Slurm gave the array, or "" if it did not take it."""
        self.said.seek(0)
        match = re.search(r"^([0-9]+)(;.*)?$", self.said.read(), re.MULTILINE)
        return match[1] if match else ""

    def failures(self) -> list[tuple[launcher.Job, str, str]]:
        """Return the elements that failed, why, and their last words."""
        failed, lost = [], self.missing()
        states = slurm_queue.states(self.identity()) if lost else {}
        for job in self.request.jobs():
            if job in lost:
                state = states.get(job.number, "state unknown")
                message = self.place(job.number, "slurm")
                words = logs.last_line(message if message.exists() and message.stat().st_size else job.log)
                failed.append((job, f"stopped by Slurm ({state}){REMEDIES.get(state, '')}", words))
            elif status := int(self.place(job.number, "status").read_text()):
                failed.append((job, launcher.fate(status), logs.last_line(job.log)))
        return failed


def queue_place(log: str) -> tuple[Path, str]:
    """Return the folder for scripts and states, q/ in the last folder without JOB in its name, and their first name."""
    folder = Path(log).parent
    while "JOB" in str(folder):
        folder = folder.parent
    return folder / "q", str(Path(log).relative_to(folder)).replace("/", "-")


def run_element(request: launcher.Request, number: int) -> int:
    """Run one element on its node and write its status, unless Slurm stops it: then Slurm's word counts."""
    status_file = Array(request).place(number, "status")
    status_file.unlink(missing_ok=True)
    environment = os.environ | ({} if request.gpu else {"CUDA_VISIBLE_DEVICES": ""})
    signals, passed_on = launcher.Signals(), 0
    warned: list[int] = []  # before the time limit, with --signal=B:USR1@…: the command's own status counts
    signal.signal(signal.SIGUSR1, lambda received, frame: warned.append(received))
    again = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    try:
        logs.wait_until_free([request.job(number).log], signals.seen)
        running = launcher.Running(request.job(number), environment, session=False, append=again)
    except OSError as error:
        print(f"slurm.py: {error}", file=sys.stderr)
        return 1
    while (status := running.status()) is None:
        for received in signals.seen[passed_on:]:
            running.kill(received)
            passed_on += 1
        while warned:
            running.kill(warned.pop())
        time.sleep(launcher.POLL)
    if status > 128 and not signals.seen:
        time.sleep(1)  # Slurm's signal may reach the command a moment before it reaches us
    if not signals.seen:
        temporary = status_file.with_suffix(".new")
        temporary.write_text(f"{status}\n")
        temporary.rename(status_file)
    return status


def main() -> int:
    """Run what the command line asks for and return the status."""
    parser = launcher.make_parser(__doc__)
    parser.add_argument("--element", type=int, help="used inside the batch script: the element to run here")
    request, values = launcher.parse_request(parser, sys.argv[1:])
    if values.element is not None:
        return run_element(request, values.element)
    if not shutil.which("sbatch"):
        print("slurm.py: sbatch not found; call it on a node of the cluster, or use utils/run.py", file=sys.stderr)
        return 1
    signals, array = launcher.Signals(), Array(request)
    try:
        array.take_turn(signals)
        if request.idle or signals.seen:
            return 128 + signals.seen[0] if signals.seen else 0
        array.submit()
        array.wait(signals)
        if signals.seen:
            array.stop(signals)
            name = signal.Signals(signals.seen[0]).name
            print(f"slurm.py: stopped by {name}; job array {array.identity()} was cancelled", file=sys.stderr)
            return 128 + signals.seen[0]
        return launcher.report("slurm.py", len(request.numbers), array.failures())
    except (Refused, OSError) as error:
        print(f"slurm.py: {error}", file=sys.stderr)
        return 1
    finally:
        array.close()


if __name__ == "__main__":
    raise SystemExit(main())
