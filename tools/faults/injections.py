"""Faults injected into stages: kills at random moments, full disks, limits of files and memory, two runs at once.

A run is a process forked from one that has imported everything, so that it takes no longer than its work.
"""

import contextlib
import io
import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults.jobs import JOBS, Job, prepare
from faults.row import Verdict

PASSING = (".log", ".jsonl", ".tsv", ".ark", ".partial", ".rejected")
"""Ends of names of files that grow while a stage works, so that they may be incomplete."""

MAX_SECONDS = 300.0
"""A run that takes longer hangs."""

REFUSED = 1
"""Status of a stage that ends in one line."""


@dataclass
class Bench:
    """A job whose undisturbed results are known.

    Attributes:
        job: the job.
        inputs: what it reads.
        folder: where its runs write.
        files: content by name of an undisturbed run.
        seconds: how long that took.
    """

    job: Job
    inputs: Path
    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    sinks: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def new(self, name: str) -> Path:
        """Return the output folder of another run; all have the same last names, which stand in pictures."""
        (self.folder / name / "model").mkdir(parents=True)
        return self.folder / name / "model/out"

    def start(self, out: Path, limit: Callable[[], object] | None = None) -> int:
        """Start a run and return its process."""
        sys.stdout.flush()
        with open(f"{out}.stderr", "ab") as errors:  # through a pipe: a limit of files is not one of what is said
            self.sinks.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=errors))
        pipe = self.sinks[-1].stdin
        assert pipe is not None
        child = os.fork()
        if child:
            pipe.close()
            return child
        status = 70
        try:
            os.dup2(pipe.fileno(), 1)
            os.dup2(pipe.fileno(), 2)
            pipe.close()
            if limit:
                limit()
            call(self.job.words(self.inputs, out))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def run(self, out: Path, limit: Callable[[], object] | None = None) -> int:
        """Run to the end, and return the status."""
        return self.end(self.start(out, limit))

    def end(self, child: int) -> int:
        """Wait for a run and what it says, and return its status; one that hangs is killed."""
        deadline = time.monotonic() + MAX_SECONDS
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.005)
        status = os.waitstatus_to_exitcode(ended[1])
        for sink in self.sinks:
            sink.wait()
        self.sinks.clear()
        return status

    def learn(self) -> None:
        """Remember what an undisturbed run gives; raises an AssertionError if two runs differ."""
        with contextlib.redirect_stdout(io.StringIO()):
            call(self.job.words(self.inputs, self.new("first")))  # here, so that all is imported from now on
        for name in ("second", "third"):
            begin = time.monotonic()
            out = self.new(name)
            status = self.run(out)
            self.seconds = time.monotonic() - begin
            assert status == 0, _last_line(out)
            made = contents(out)
            assert not self.files or made == self.files, f"{self.job.name}: {differing(made, self.files)} differ"
            self.files = made

    def check_midway(self, out: Path) -> str:
        """Return the file that stands half under its final name; "" if there is none."""
        made = contents(out)
        return next((name for name, content in made.items() if self.files.get(name, content) != content), "")

    def check_rerun(self, out: Path) -> tuple[Verdict, str]:
        """Run again without a fault, and compare."""
        if status := self.run(out):
            return "lost", f"the rerun ends with {status}: {_last_line(out)}"
        made = contents(out)
        if wrong := differing(made, self.files):
            return "lost", f"after the rerun {wrong} differ"
        return "good", ""


def call(words: list[str]) -> None:
    """Run `c2ser WORDS…` in this process."""
    sys.argv = ["c2ser", *words]
    runpy.run_module("c2ser", run_name="__main__", alter_sys=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what stands under a final name in a folder: content by name, the folder's own path left out of it."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        passing = path.suffix in PASSING or "events" in path.name or "step_" in name or path.name == "config.yaml"
        if path.is_file() and not hidden and not passing:
            files[name] = path.read_bytes().replace(str(folder).encode(), b"OUT")
    return files


def differing(files: dict[str, bytes], others: dict[str, bytes]) -> list[str]:
    """Return the names of files that differ or that one side lacks."""
    return sorted(name for name in {*files, *others} if files.get(name) != others.get(name))


def _last_line(out: Path) -> str:
    lines = Path(f"{out}.stderr").read_text(errors="replace").splitlines() or [""]
    return lines[-1]


def _killed(bench: Bench, out: Path, number: int, moment: float) -> tuple[Verdict, str]:
    child = bench.start(out)
    time.sleep(moment * bench.seconds)
    os.kill(child, number)
    bench.end(child)
    if half := bench.check_midway(out):
        return "lost", f"{half} is incomplete"
    return bench.check_rerun(out)


def _limited(bench: Bench, out: Path, limit: Callable[[], object]) -> tuple[Verdict, str]:
    status = bench.run(out, limit)
    if half := bench.check_midway(out):
        return "lost", f"{half} is incomplete"
    text = Path(f"{out}.stderr").read_text(errors="replace")
    if status == 0 and differing(contents(out), bench.files):
        return "wrong", f"status 0, and {differing(contents(out), bench.files)} differ"
    verdict, seen = bench.check_rerun(out)
    if verdict == "good" and status and (status != REFUSED or "Traceback" in text):
        return "weak", f"status {status}: {text.splitlines()[-1] if text else 'no word'}"
    return verdict, seen


def _full_disk(bench: Bench, out: Path, size: int) -> tuple[Verdict, str]:
    out.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(out)], capture_output=True)
    if made.returncode:  # not everybody may mount: a limit of the size of files comes near
        return _limited(bench, out, lambda: _limit(resource.RLIMIT_FSIZE, size))
    try:
        status = bench.run(out)
        text = Path(f"{out}.stderr").read_text(errors="replace")
        if half := bench.check_midway(out):
            return "lost", f"{half} is incomplete"
        if status == 0 and differing(contents(out), bench.files):
            return "wrong", "status 0, and results are missing"
        if status not in (0, REFUSED) or "Traceback" in text:
            return "weak", f"status {status}: {_last_line(out)}"
        subprocess.run(["mount", "-o", "remount,size=1G", str(out)], check=True)
        return bench.check_rerun(out)
    finally:
        subprocess.run(["umount", str(out)])


def _two_at_once(bench: Bench, out: Path) -> tuple[Verdict, str]:
    children = [bench.start(out) for _ in range(2)]
    states = [bench.end(child) for child in children]
    text = Path(f"{out}.stderr").read_text(errors="replace")
    if "Traceback" in text or any(status not in (0, REFUSED) for status in states):
        return "weak", f"statuses {states}: {_last_line(out)}"
    if 0 in states and differing(contents(out), bench.files):
        return "wrong", f"statuses {states}, and {differing(contents(out), bench.files)} differ"
    return bench.check_rerun(out)


def _in_the_way(bench: Bench, out: Path) -> tuple[Verdict, str]:
    out.write_text("mine")
    status = bench.run(out)
    text = Path(f"{out}.stderr").read_text(errors="replace")
    if out.read_text() != "mine":
        return "lost", "the user's file is gone"
    if status not in (1, 2) or "Traceback" in text:
        return "weak", f"status {status}: {_last_line(out)}"
    out.unlink()
    return bench.check_rerun(out)


def _limit(kind: int, size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(kind, (size, size))


def _little_memory() -> None:
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, now + (1 << 16))


Fault = tuple[str, Callable[[Bench, Path], tuple[Verdict, str]]]


def faults_of(job: Job, chance: random.Random) -> Iterator[Fault]:
    """Yield what is done to a job, by name."""
    for number in range(4 if job.slow else 8):
        moment = chance.random()
        kind = signal.SIGTERM if number % 4 == 3 else signal.SIGKILL
        yield f"{kind.name} after {moment:.0%}", partial(_killed, number=kind, moment=moment)
    for size in (64, 4096):
        limit = partial(_limit, resource.RLIMIT_FSIZE, size)
        yield f"files of {size} bytes at most", partial(_limited, limit=limit)
    for kilobytes in (4, 64):
        yield f"a disk of {kilobytes} KB", partial(_full_disk, size=kilobytes << 10)
    yield "few open files", partial(_limited, limit=partial(_limit, resource.RLIMIT_NOFILE, 6))
    yield "no memory", partial(_limited, limit=_little_memory)
    yield "two runs at once", _two_at_once
    yield "a file in the place of its folder", _in_the_way


def run_all(folder: Path, only: str, seed: int) -> Iterator[tuple[str, str, Verdict, str]]:
    """Inject all faults; yield job, fault, verdict and what was seen.

    Args:
        folder: an empty folder.
        only: of this job alone; "" for all.
        seed: of the moments of kills.
    """
    (folder / "inputs").mkdir()
    prepare(folder / "inputs")
    for job in JOBS:
        if only not in ("", job.name):
            continue
        bench = Bench(job, folder / "inputs", folder / job.name)
        bench.folder.mkdir()
        bench.learn()
        chance = random.Random(f"{seed} {job.name}")
        for number, (name, inject) in enumerate(faults_of(job, chance)):
            out = bench.new(str(number))
            verdict, seen = inject(bench, out)
            yield job.name, name, verdict, seen
            with contextlib.suppress(OSError):
                shutil.rmtree(out.parents[1])
