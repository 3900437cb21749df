"""The first minutes on a card: attention that gives NaN, steps with and without levers, memory beside a plan.

python tools/gpu/probe.py --device cuda --out probe.json

Every finding is written at once: a card that is taken away leaves what was found before.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmark.cases import signals
from benchmark.harness import Setting, machine, timed
from benchmark.random_models import explicit_answer, system
from benchmark.system_cases import our_loss
from peft.helpers import disable_input_dtype_casting
from torch.nn.functional import scaled_dot_product_attention

from c2ser.cli import run
from c2ser.devices import avoid_cudnn_attention
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig
from c2ser.planning.objectives import C2SERPlan
from c2ser.planning.update import GIB, count_update
from c2ser.planning.workload import usual_items
from c2ser.tables import write_json
from c2ser.training import compiled_layers
from c2ser.training.config import BatchConfig, OptimConfig, TrainConfig
from c2ser.training.fewer_kernels import use_fewer_kernels

STEPS = 3
"""Steps that are timed, after one that is not."""


class Findings:
    """What was found, in a file from the first finding on.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, dict[str, Any]()

    def note(self, name: str, find: Callable[[], Any]) -> None:
        """Find something and write it; an error is a finding too."""
        begin = time.monotonic()
        try:
            value = find()
        except (RuntimeError, ValueError) as error:  # out of memory is one of them
            value = {"error": " ".join(str(error).split())[:300]}
        self.found[name] = value
        print(f"{name}: {value} ({time.monotonic() - begin:.1f} s)")
        write_json(self.path, self.found)


def attention(device: str) -> dict[str, int]:
    """Return how many of a few gradients are not finite with cuDNN's attention and without, under a mask."""
    found = {}
    for name, enabled in (("cuDNN's", True), ("torch's own", False)):
        torch.backends.cuda.enable_cudnn_sdp(enabled)
        found[name] = sum(not _finite(device, length) for length in (64, 192, 320, 448, 128, 200))
    avoid_cudnn_attention()
    return found


def _finite(device: str, length: int) -> bool:
    torch.manual_seed(length)
    parts = [(8 * torch.randn(2, 28, length, 128)).to(device, torch.bfloat16).requires_grad_() for _ in range(3)]
    mask = torch.ones(2, 1, length, length, dtype=torch.bool, device=device).tril()
    mask[1, :, :, : length // 2] = False
    mask |= torch.eye(length, dtype=torch.bool, device=device)
    scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=mask).float().sum().backward()
    return all(bool(torch.isfinite(part.grad).all()) for part in parts if part.grad is not None)


@contextmanager
def cudnn_attention() -> Iterator[None]:
    """Let torch take cuDNN's attention."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        yield
    finally:
        avoid_cudnn_attention()


@contextmanager
def tf32() -> Iterator[None]:
    """Let products in float32 be rounded to 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def exchanged(model: C2SERNetwork, change: Callable[[], None]) -> Iterator[None]:
    """Change how parts of a network compute."""
    change()
    try:
        yield
    finally:
        for part in model.modules():
            for name in ("forward", "compiled"):
                vars(part).pop(name, None)


def levers(model: C2SERNetwork) -> dict[str, Callable[[], Any]]:
    """Return what changes the time of a step, by name."""
    return {
        "default": nullcontext,
        "cuDNN's attention": cudnn_attention,
        "TF32": tf32,
        "PEFT's casts off": lambda: disable_input_dtype_casting(model.language.llm),
        "fewer kernels": lambda: exchanged(model, lambda: use_fewer_kernels(model, model.trained_layers)),
        "compiled layers": lambda: exchanged(model, lambda: compiled_layers.compile_layers(model.trained_layers)),
    }


def step(model: C2SERNetwork, setting: Setting, utterances: int, seconds: float) -> Callable[[], None]:
    """Return a function that does one update."""
    waves = signals([seconds] * utterances, setting.seed)
    answers = [explicit_answer(place) for place in range(utterances)]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optim = OptimConfig()
    cuda = setting.device == "cuda"
    optimiser = torch.optim.AdamW(trained, lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=cuda)

    def update() -> None:
        """Do one update."""
        with torch.autocast(setting.device, torch.bfloat16, enabled=cuda):
            loss = our_loss(model, waves, answers)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, optim.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return update


def measure(update: Callable[[], None], device: str) -> dict[str, float]:
    """Return the median time of a step in seconds, and its peak of memory in GiB."""
    update()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = sorted(timed(update, device) for _ in range(STEPS))
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return {"seconds": times[len(times) // 2], "peak_gib": peak}


def planned(real: bool, utterances: int, seconds: float) -> dict[str, float]:
    """Return the peak in GiB that `c2ser plan` expects of such a step."""
    sizes = {} if real else {"whisper": "tiny", "llm": "tiny"}
    model = C2SERConfig(llm_dtype="bfloat16" if real else "float32", emotion2vec="base", **sizes)
    items = {name: replace(item, seconds=seconds) for name, item in usual_items(utterances, ["explicit"]).items()}
    plan = C2SERPlan("explicit", model, BatchConfig(seconds=1e6, tokens=10**6), None, None, items, False)
    training = TrainConfig(precision="bf16" if real else "fp32", fewer_kernels=False)
    found = count_update(plan.make, lambda o: plan.raw(o, [*items], True), OptimConfig(), training, real)
    return {"peak_gib": found.memory.peak / GIB}


def main(out: Path, device: Literal["cpu", "cuda"] = "cuda") -> None:
    """Probe a card, or rehearse it on the processor with small models; OUT is a JSON file.

    Args:
        out: the file of what was found.
        device: where.
    """
    findings = Findings(out)
    setting = Setting(device, "real" if device == "cuda" else "quick")
    findings.note("machine", lambda: machine(device))
    findings.note("gradients that are not finite, of 6", lambda: attention(device))
    avoid_cudnn_attention()
    sizes, seconds = ((6, 24), 6.5) if device == "cuda" else ((2,), 0.5)
    if device == "cpu":
        compiled_layers.BACKEND = "eager"  # inductor takes minutes there
    for utterances in sizes:
        find_plan = partial(planned, device == "cuda", utterances, seconds)
        findings.note(f"plan of {utterances} × {seconds} s", find_plan)
    begin = time.monotonic()
    model = system(setting, dropout=0.1).train()
    findings.note("seconds to make the model", lambda: time.monotonic() - begin)
    for name, lever in levers(model).items():  # the last one, which compiles, may take all the time that is left
        for utterances in sizes:

            def find(lever: Any = lever, utterances: int = utterances) -> dict[str, float]:
                """Measure a step with a lever."""
                with lever():
                    return measure(step(model, setting, utterances, seconds), device)

            findings.note(f"step of {utterances} × {seconds} s, {name}", find)
    if any(isinstance(value, dict) and "error" in value for value in findings.found.values()):
        raise ValueError(f"{out}: a part failed; it holds the reasons")


if __name__ == "__main__":
    run(main)
