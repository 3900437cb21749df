"""How a case is timed: outputs are compared first, then ours and the peer run in turn, with probes of the machine."""

import contextlib
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

from c2ser.cli import commit, processor
from c2ser.log import get_logger

logger = get_logger(__name__)

CONTENDED = 0.1
"""Share of the cores' time that others may use; a figure that was measured beside more work is no claim."""

WARM_UPS = 3
"""Untimed runs before the timed ones on a GPU; a CPU needs one."""


@dataclass
class Setting:
    """The conditions of a run.

    Attributes:
        device: "cpu" or "cuda".
        size: real sizes with random weights, or small ones that only show that everything runs.
        seed: the seed of weights and signals.
        speech: folder of recordings for the cases that can use speech; with None they use tones and noise.
    """

    device: str = "cpu"
    size: Literal["real", "quick"] = "real"
    seed: int = 777
    speech: str | None = None


@dataclass
class Equivalence:
    """The difference between our outputs and the peer's.

    Attributes:
        metric: what is compared.
        value: the largest difference.
        tolerance: the largest difference that is allowed.
    """

    metric: str
    value: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the outputs count as equal; NaN never does."""
        return self.value <= self.tolerance


@dataclass
class Case:
    """Two ways to do one thing.

    Attributes:
        ours: does the work once.
        peer: does the same work once with the other implementation.
        peer_name: name, version and settings of the other implementation.
        check: compares the outputs of the two, before anything is timed.
        workload: how much work it is, for example {"utterances": 4, "audio_s": 25.2}.
        flops: floating-point operations that the task needs.
        bytes: the least memory that must be read and written.
        bfloat16: whether it multiplies matrices in bfloat16 on a CPU too.
    """

    ours: Callable[[], Any]
    peer: Callable[[], Any]
    peer_name: str
    check: Callable[[], Equivalence]
    workload: Mapping[str, float]
    flops: float
    bytes: float
    bfloat16: bool = False


@dataclass
class Count:
    """Two ways to do one thing whose results are counted; nothing is timed.

    Attributes:
        figure: what is counted; more is better.
        ours: our count.
        peer: the count of the other way.
        peer_name: a description of the other way.
        check: compares the outputs of the two.
        workload: how much work it is, for example {"utterances": 20000}.
    """

    figure: str
    ours: float
    peer: float
    peer_name: str
    check: Callable[[], Equivalence]
    workload: Mapping[str, float]


@dataclass
class Arm:
    """Measurements of ours or of the peer: elapsed seconds, processor seconds, and the peak of additional memory."""

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_memory: int = 0

    def summary(self) -> dict[str, Any]:
        """Return the values for the report."""
        figures = {"min_s": min(self.seconds), "median_s": statistics.median(self.seconds), "runs_s": self.seconds}
        return {**figures, "processor_s": min(self.processor_seconds), "peak_memory_bytes": self.peak_memory}


def run_case(name: str, case: Case | Count, setting: Setting, rounds: int, alone: bool = False) -> dict[str, Any]:
    """Check, time and describe a case.

    Args:
        name: the name of the case.
        case: the case; a count has two values and is not timed.
        setting: the conditions that the case was built for.
        rounds: how often each of the two runs.
        alone: time ours alone, where the peer does not fit or takes too long.

    Returns:
        the report as JSON values; its ratios are None if the outputs differ, that to the peer also if ours runs alone.
    """
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # with TF32 a GPU rounds convolutions to 10 bits
        equivalence = case.check()
    report = {"name": name, "commit": commit(), "date": time.strftime("%Y-%m-%d"), **vars(setting)}
    report |= {"machine": machine(setting.device), "workload": case.workload, "rounds": rounds}
    report |= {"equivalence": {**vars(equivalence), "holds": equivalence.holds}, "peer": {"name": case.peer_name}}
    if not equivalence.holds:
        logger.error(
            "%s: outputs differ by %.3g, over %.3g; nothing is timed", name, equivalence.value, equivalence.tolerance
        )
        return {**report, "ratio_to_peer": None, "ratio_to_limit": None}
    if isinstance(case, Count):
        return report | _counted(case, report)
    return report | _measured(case, setting, rounds, report, alone)


def _counted(case: Count, report: dict[str, Any]) -> dict[str, Any]:
    ratio = dict.fromkeys(("median", "min", "max"), case.ours / case.peer)
    peer = {**report["peer"], "counted": case.peer}
    return {
        "figure": case.figure, "ours": {"counted": case.ours}, "peer": peer, "rounds": 0, "ratio_to_peer": ratio,
        "ratio_to_limit": None,
    }  # fmt: skip


def _measured(case: Case, setting: Setting, rounds: int, report: dict[str, Any], alone: bool) -> dict[str, Any]:
    begin = _clocks()
    arms, ceilings = _rounds(case, setting, rounds, alone)
    seconds, busy, own = (now - then for now, then in zip(_clocks(), begin, strict=True))
    others = max(0.0, busy - own) / seconds / (os.cpu_count() or 1)
    peer, ratio = report["peer"], None
    if not alone:
        pairs = zip(arms["ours"].seconds, arms["peer"].seconds, strict=True)
        ratios = [theirs / ours for ours, theirs in pairs]
        peer = {**peer, **arms["peer"].summary()}
        ratio = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    floor = max(case.flops / ceilings["flops_per_s"], case.bytes / ceilings["bytes_per_s"])
    return {
        "peer": peer,
        "ours": arms["ours"].summary(),
        "ceilings": ceilings,
        "floor": {"flops": case.flops, "bytes": case.bytes, "seconds": floor},
        "ratio_to_peer": ratio,
        "ratio_to_limit": floor / min(arms["ours"].seconds),
        "others": others,
        "contended": others > CONTENDED,
    }


def _clocks() -> tuple[float, float, float]:
    """Return the time in seconds, and the processor seconds that all processes have used, and this one."""
    everyone = psutil.cpu_times()
    busy = sum(getattr(everyone, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
    return time.perf_counter(), busy, time.process_time()


def _rounds(case: Case, setting: Setting, rounds: int, alone: bool) -> tuple[dict[str, Arm], dict[str, float]]:
    """Run both in turn, or ours alone, and probe the machine before each round; return arms and best ceilings."""
    functions = {"ours": case.ours} if alone else {"ours": case.ours, "peer": case.peer}
    arms = {name: Arm() for name in functions}
    best = {"flops_per_s": 0.0, "bytes_per_s": 0.0}
    for function in functions.values():
        for _ in range(WARM_UPS if setting.device == "cuda" else 1):
            function()
    for _ in range(rounds):
        best = {key: max(value, best[key]) for key, value in probe(setting, case.bfloat16).items()}
        for name, function in functions.items():
            measure(function, arms[name], setting.device)
    return arms, best


def measure(function: Callable[[], Any], arm: Arm, device: str) -> None:
    """Run a function once and add its time and memory to an arm."""
    resident = _reset_peak(device)
    before = time.process_time()
    arm.seconds.append(timed(function, device))
    arm.processor_seconds.append(time.process_time() - before)
    arm.peak_memory = max(arm.peak_memory, _peak(device) - resident)


def timed(function: Callable[[], Any], device: str) -> float:
    """Return the seconds that a call takes; on a GPU they are measured with CUDA events."""
    if device != "cuda":
        before = time.perf_counter()
        function()
        return time.perf_counter() - before
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def probe(setting: Setting, bfloat16: bool = False) -> dict[str, float]:
    """Return the ceilings of the machine now: operations per second of a matrix product, bytes per second of a copy."""
    cuda = setting.device == "cuda"
    side, length = (8192, 2**30) if cuda and setting.size == "real" else (1024, 2**24)
    dtype = torch.bfloat16 if cuda or bfloat16 else torch.float32
    matrix = torch.randn(side, side, device=setting.device, dtype=dtype)
    source, target = (torch.rand(length, device=setting.device) for _ in range(2))
    product = min(timed(lambda: matrix @ matrix, setting.device) for _ in range(3))
    copy = min(timed(lambda: target.copy_(source), setting.device) for _ in range(3))
    return {"flops_per_s": 2 * side**3 / product, "bytes_per_s": 2 * 4 * length / copy}


def _reset_peak(device: str) -> int:
    """Reset the peak of memory; return the bytes in use."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with contextlib.suppress(OSError):  # elsewhere than on Linux the peak is that of the whole process so far
        Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def _peak(device: str) -> int:
    """Return the peak of bytes in use since the last reset: of torch's allocator on a GPU, else resident."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _resident("VmHWM")


def _resident(field_name: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if field_name in line)


def machine(device: str) -> dict[str, Any]:
    """Return what a reader must know about the machine and the libraries."""
    gpu_name = torch.cuda.get_device_name() if device == "cuda" else None
    versions = {name: version(name) for name in ("torch", "transformers", "numpy")}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu_name": gpu_name,
        "python": platform.python_version(),
        "versions": versions,
    }
