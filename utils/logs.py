"""The logs of jobs: head, foot and last line, and one writer at a time.

A log stays locked as long as the job, or anything that it started, holds it open, even if its launcher was killed. Who
finds it locked knows that an earlier run still works on the same files.
"""

import fcntl
import glob
import os
import re
import shlex
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

PATIENCE = 10.0
"""Seconds that what an earlier run left behind has to end by itself; jobs die a moment after their launcher."""

TAIL = 4096
"""Bytes at the end of a log that are searched for its last line."""


class Busy(OSError):
    """A job of an earlier run still writes a log; the message says which and what to do."""


def numbered(log: str) -> list[Path]:
    """Return the logs that are there, whatever number they have in place of JOB."""
    return [Path(path) for path in sorted(glob.glob(glob.escape(log).replace("JOB", "[0-9]*")))]


def wait_until_free(paths: Iterable[Path], stopped: Sequence[int] = ()) -> None:
    """Wait until nobody writes any of these logs any more.

    Args:
        paths: the logs; those that do not exist are free.
        stopped: what is no longer empty when there is nothing to wait for any more.

    Raises:
        Busy: somebody still writes one after `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    for path in paths:
        while not stopped and path.is_file():
            try:
                _lock(open(path, "ab")).close()
                break
            except Busy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def open_log(log: Path, command: Sequence[str], append: bool = False) -> IO[bytes]:
    """Lock the log of a job and write its head: command, host, start.

    Args:
        log: the log.
        command: what the job runs.
        append: go on with the log of an earlier try.

    Raises:
        Busy: a job of an earlier run still writes it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    file = _lock(open(log, "ab"))
    if not append and log.is_file():  # it may be /dev/null
        file.truncate(0)
    note(file, f"# {shlex.join(command)}\n# host {socket.gethostname()}\n# start {_now()}\n")
    return file


def close_log(file: IO[bytes], status: int, seconds: float) -> None:
    """Write the foot of a log, end, time and status, and close it."""
    with open(file.name, "rb") as written:
        tail = _tail(written)
    note(file, ("" if tail.endswith(b"\n") else "\n") + f"# end {_now()}, {seconds:.0f} s\n# status {status}\n")
    file.close()


def note(file: IO[bytes], text: str) -> None:
    """Write a text of the launcher itself into a log."""
    file.write(text.encode("utf-8", errors="surrogateescape"))
    file.flush()


def last_line(log: Path) -> str:
    """Return the last line that the command itself wrote to its log."""
    try:
        with open(log, "rb") as file:
            lines = _tail(file).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return "there is no log"
    written = [line.strip() for line in lines if line.strip() and not re.match("# (end|status|start|host) ", line)]
    return written[-1] if written else "the log is empty"


def take(file: IO) -> bool:
    """Lock a file for as long as it is open here or in a process that inherits it; it is ours without locks too.

    Returns:
        whether it is ours; one that somebody else holds is closed.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _lock(file: IO[bytes]) -> IO[bytes]:
    """Lock a log for whoever holds this file open, that is, the job and all it starts."""
    if not os.path.isfile(file.name):
        return file
    if not take(file):
        raise Busy(
            f"{file.name}: a job of an earlier run still writes it ({_writers(file.name)}); wait for it, or stop it"
        )
    return file


def _writers(log: str) -> str:
    """Say which processes of this machine hold a log open."""
    writers = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.path.samefile(descriptor, log) for descriptor in process.glob("fd/*")):
                writers.append(process.name)
        except OSError:  # it has ended, or is not ours
            pass
    return f"process {', '.join(writers)}" if writers else "on another machine"


def _tail(file: IO[bytes]) -> bytes:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - TAIL))
    return file.read()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")
