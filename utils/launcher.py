"""What the job launchers share: their command line, a running job and the report of failures.

They are called as

    LAUNCHER [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]
    LAUNCHER [...] --idle LOG

and run COMMAND once, or n times with the number in place of the word JOB in LOG and in the arguments. The words of the
command stay one list from beginning to end: no shell reads them, so blanks, quotes and dollars in them mean nothing.
The second form runs nothing: it ends well when no job of an earlier run, whose launcher was killed, writes the logs.
"""

import argparse
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import logs

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a launcher and everything it started."""

NOT_FOUND = 127
"""The status of a command that could not be started, as a shell has it."""

POLL = 0.05
"""Seconds between two looks at the running jobs."""

LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


@dataclass(frozen=True)
class Job:
    """One element of a job array: its number, its log and what it runs."""

    number: int
    log: Path
    command: list[str]


@dataclass(frozen=True)
class Request:
    """What was asked of a launcher.

    Attributes:
        gpu: GPUs for each job.
        mem: memory of each job as Slurm writes it ("4G"), or "".
        time: longest time of each job as Slurm writes it ("1:00:00"), or "".
        max_jobs: how many may run at once, or 0 for the launcher's own limit.
        numbers: the numbers of the jobs.
        array: whether JOB stands for the number.
        log: the log, with JOB in it for an array.
        command: the command and its arguments, with JOB in them for an array.
        idle: run nothing, only see that nothing of an earlier run is left.
    """

    gpu: int
    mem: str
    time: str
    max_jobs: int
    numbers: range
    array: bool
    log: str
    command: list[str]
    idle: bool

    def job(self, number: int) -> Job:
        """Return one element, the number in place of JOB."""
        if not self.array:
            return Job(number, Path(self.log), self.command)
        replaced = [word.replace("JOB", str(number)) for word in [self.log, *self.command]]
        return Job(number, Path(replaced[0]), replaced[1:])

    def jobs(self) -> list[Job]:
        """Return all elements in order."""
        return [self.job(number) for number in self.numbers]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and status 2."""

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and leave with status 2."""
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        raise SystemExit(2)


def make_parser(description: str) -> Parser:
    """Return the command line of a launcher; `parse_request` turns what it reads into a `Request`."""
    parser = Parser(
        description=description,
        usage="%(prog)s [--gpu N] [--mem 4G] [--time 1:00:00] [--max-jobs N] [JOB=1:n] LOG COMMAND [ARGUMENT...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--gpu", type=_count, default=0, metavar="N", help="GPUs for each job (default 0)")
    parser.add_argument("--mem", type=_memory, help="memory for each job, such as 500M or 4G")
    parser.add_argument("--time", type=_duration, help="longest time of a job, such as 1:00:00 or 2-12:00:00")
    parser.add_argument(
        "--max-jobs", type=_count, default=0, metavar="N", help="most jobs at once (default: all that fit)"
    )
    parser.add_argument("--idle", action="store_true", help="run nothing; wait for what an earlier run left behind")
    parser.add_argument("args", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def parse_request(parser: Parser, arguments: Sequence[str]) -> tuple[Request, argparse.Namespace]:
    """Read a command line; mistakes leave with status 2 and one line.

    Returns:
        the request, and the values of all options for those that a launcher added itself.
    """
    values = parser.parse_args(arguments)
    args, numbers, array = list(values.args), range(1, 2), False
    if args and args[0].startswith("JOB="):
        numbers, array = _numbers(parser, args.pop(0)), True
    if len(args) < 2 - values.idle or not all(args[:2]):
        parser.error("a log and a command are needed")
    log = args[0]
    if array and len(numbers) > 1 and "JOB" not in log:
        parser.error(f"{log}: {len(numbers)} jobs would write one log; put JOB into its name")
    if log.endswith("/") or Path(log).is_dir():
        parser.error(f"{log}: the log is a folder; name a file")
    return Request(
        values.gpu, values.mem or "", values.time or "", values.max_jobs, numbers, array, log, args[1:], values.idle
    ), values


def _numbers(parser: Parser, word: str) -> range:
    match = re.fullmatch(r"JOB=([0-9]{1,7}):([0-9]{1,7})", word)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        parser.error(f"{word}: not a range of jobs; write JOB=1:n")
    return range(int(match[1]), int(match[2]) + 1)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _memory(text: str) -> str:
    if not re.fullmatch(r"[0-9]+[KMGT]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a memory size such as 4G")
    return text


def _duration(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(:[0-9]+){0,2}|[0-9]+-[0-9]+(:[0-9]+){0,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 1:00:00")
    return text


class Signals:
    """Notes the signals that ask a launcher to stop, so that it can look for them where that is safe."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup set SIGHUP to be ignored: leave that
                signal.signal(number, lambda number, frame: self.seen.append(number))


class Running:
    """A started job: its process and its log.

    Args:
        job: what to start.
        environment: its environment.
        session: make it the head of a process group of its own, which can be ended as a whole.
        append: go on with the log of an earlier try.
    """

    def __init__(self, job: Job, environment: dict[str, str], session: bool = True, append: bool = False) -> None:
        self.job, self.environment, self.session, self.started = job, environment, session, time.monotonic()
        self.log = logs.open_log(job.log, job.command, append)
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=session,
                preexec_fn=partial(_die_with_launcher, os.getpid()) if session else None,
            )
        except (OSError, ValueError) as error:  # no such command, or a word that no command line can hold
            logs.note(self.log, f"{job.command[0]}: {error}\n")

    def status(self) -> int | None:
        """Return the job's status, or None while it runs; the first answer closes the log."""
        returncode = NOT_FOUND if self.process is None else self.process.poll()
        if returncode is None:
            return None
        status = 128 - returncode if returncode < 0 else returncode
        if not self.log.closed:
            logs.close_log(self.log, status, time.monotonic() - self.started)
        return status

    def kill(self, number: int) -> None:
        """Send a signal to the job, and to all its children if it has a session of its own."""
        if self.process is None:
            return
        try:
            if self.session:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        except ProcessLookupError:
            pass


def wait_until_free(request: Request, signals: Sequence[int] = ()) -> None:
    """Wait until jobs that an earlier run left behind have ended; they would write the same files.

    Raises:
        logs.Busy: one does not end.
    """
    if request.idle:
        logs.wait_until_free(logs.numbered(request.log), signals)
    else:
        logs.wait_until_free((job.log for job in request.jobs()), signals)


def wait_for_end(program: str, runs: Callable[[], bool], signals: Signals, grace: float, quiet: float) -> None:
    """Wait until jobs that were asked to stop have ended; a second signal ends the wait.

    Args:
        program: the name of the launcher.
        runs: whether one still runs.
        signals: what the launcher was sent.
        grace: seconds to wait at most.
        quiet: seconds after which it says what it waits for.
    """
    begun, said = time.monotonic(), False
    while len(signals.seen) < 2 and runs() and time.monotonic() - begun < grace:
        if not said and time.monotonic() - begun > quiet:
            words = f"waiting up to {grace / 60:.0f} min for jobs to save what they have"
            print(f"{program}: {words}; stop it again to kill them", file=sys.stderr, flush=True)
            said = True
        time.sleep(POLL)


def _die_with_launcher(launcher: int) -> None:
    """Let Linux kill a job whose launcher was killed, so that no two runs ever write the same files."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it was killed a moment ago
        os._exit(NOT_FOUND)


def report(program: str, total: int, failed: Sequence[tuple[Job, str, str]]) -> int:
    """Name the failed jobs, why they failed and what their logs say last on standard error.

    Args:
        program: the name of the launcher.
        total: how many jobs there were.
        failed: job, what became of it, and its last words.

    Returns:
        the status of the launcher: 1 if any job failed, else 0.
    """
    if not failed:
        return 0
    print(f"{program}: {len(failed)} of {total} jobs failed", file=sys.stderr)
    for job, fate, words in failed:
        print(f"  job {job.number}: {fate}, {job.log}: {words}", file=sys.stderr)
    return 1


def fate(status: int) -> str:
    """Say in words what a status means."""
    if status == NOT_FOUND:
        return "the command could not be started"
    if status > 128 and status - 128 in set(signal.Signals):
        cause = " (out of memory?)" if status - 128 == signal.SIGKILL else ""
        return f"killed by {signal.Signals(status - 128).name}{cause}"
    return f"status {status}"
