"""Time the steps of a training of C²SER, and compare them with this machine's own speed of multiplying matrices.

python tools/profile_step.py --config FILE... --train DATA [options of train_c2ser] [--steps 8]

Nothing is trained. The first steps are not counted: they load, compile and fill caches.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from c2ser.cli import commit, processor, run
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.devices import computes_in_bfloat16, pick_device
from c2ser.model.config import C2SERConfig
from c2ser.training.c2ser_objective import C2SERObjective, Corpus
from c2ser.training.config import BatchConfig, LossConfig, OptimConfig, Stage, TrainConfig, ValidConfig
from c2ser.training.models import start
from c2ser.training.weights import parameter_groups

WARM_UP = 2
"""Steps that are not counted."""


class Clock:
    """Seconds by what they were spent on.

    Args:
        device: waits for a GPU's work before it reads the time.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict[str, float](float)

    def now(self) -> float:
        """Return the time in seconds, when all work is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block."""
        begin = self.now()
        yield
        self.seconds[name] += self.now() - begin

    def watch(self, module: torch.nn.Module, name: str) -> None:
        """Add the time of each forward pass of a module."""
        begins: list[float] = []
        module.register_forward_pre_hook(lambda *_: begins.append(self.now()))
        module.register_forward_hook(lambda *_: self.seconds.__setitem__(name, self.seconds[name] + self.since(begins)))

    def since(self, begins: list[float]) -> float:
        """Return the seconds since the last of these times, and remove it."""
        return self.now() - begins.pop()


def matrix_speed(device: torch.device, dtype: torch.dtype, size: int = 2048, repeats: int = 20) -> float:
    """Return the operations per second of multiplying square matrices, the best of a few rounds."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock, best = Clock(device), 0.0
    for _ in range(5):
        begin = clock.now()
        for _ in range(repeats):
            left @ right
        best = max(best, 2 * size**3 * repeats / (clock.now() - begin))
    return best


def make_step(
    objective: C2SERObjective, optim: OptimConfig, bfloat16: bool, clock: Clock, out: Path
) -> Callable[[int], None]:
    """Return a function that takes the step of a number as the training loop does, part by part."""
    device = objective.model.device
    optimiser = torch.optim.AdamW(parameter_groups(objective, optim, out), betas=optim.betas, eps=optim.eps)
    trained = [p for p in objective.parameters() if p.requires_grad]

    def step(number: int) -> None:
        with clock.measure("audio and features"):
            batch = objective.make_batch(objective.load_raw(number))
        with clock.measure("forward"), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = objective(batch, number)["loss"]
        with clock.measure("backward"):
            loss.backward()
        with clock.measure("optimiser"):
            torch.nn.utils.clip_grad_norm_(trained, optim.clip or float("inf"))
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return step


def main(
    train: Path,
    stage: Stage,
    model: C2SERConfig,
    batches: BatchConfig,
    optim: OptimConfig,
    training: TrainConfig,
    validation: ValidConfig,
    losses: LossConfig | None = None,
    spec_augment: SpecAugment | None = None,
    init: Path | None = None,
    acoustic: Path | None = None,
    steps: int = 8,
) -> None:
    """Time the steps of a training of C²SER; the options are those of train_c2ser.

    Args:
        train: data directory.
        stage: explicit, implicit, direct or finetune.
        model: what the model is made of.
        batches: how utterances become batches.
        optim: optimiser.
        training: seed and precision.
        validation: not used here.
        losses: weights of losses beside the language model's.
        spec_augment: masks on the training spectrograms; null for none.
        init: folder of a model to start from.
        acoustic: folder of acoustic vectors.
        steps: steps that are counted.
    """
    learner = start(stage, model, init, training.seed)
    items = read_items(train, ["explicit", "implicit"] if stage == "implicit" else [learner.config.style], acoustic)
    objective = C2SERObjective(learner, stage, Corpus(items, items, batches, spec_augment, validation), 1, losses)
    objective.to(pick_device("auto")).train()
    objective.steps = training.steps
    bfloat16 = computes_in_bfloat16(training.precision, learner.device.type)
    if bfloat16:
        objective.use_bfloat16()
    time_steps(objective, optim, bfloat16, steps, train)


def time_steps(objective: C2SERObjective, optim: OptimConfig, bfloat16: bool, steps: int, out: Path) -> None:
    """Take steps and print their time; `out` stands in messages."""
    model = objective.model
    clock = Clock(model.device)
    step = make_step(objective, optim, bfloat16, clock, out)
    for number in range(WARM_UP):
        step(number)
    with FlopCounterMode(display=False) as counter:
        step(0)
    for number in range(WARM_UP, WARM_UP + steps):  # fills the cache of features
        objective.make_batch(objective.load_raw(number))
    inside = {
        "Whisper": model.whisper,
        "connector": model.connector,
        "language model": model.language.llm.get_decoder(),
    }
    for name, part in inside.items():
        if part is not None:
            clock.watch(part, name)
    clock.seconds.clear()
    begin = clock.now()
    for number in range(WARM_UP, WARM_UP + steps):
        step(number)
    whole = (clock.now() - begin) / steps
    speed = matrix_speed(model.device, torch.bfloat16 if bfloat16 else torch.float32)
    report(clock, whole, steps, counter.get_total_flops(), speed, bfloat16)


def report(clock: Clock, whole: float, steps: int, operations: int, speed: float, bfloat16: bool) -> None:
    """Print seconds and shares, and how far the step is from the speed of matrices alone."""
    print(f"{processor()}, {torch.get_num_threads()} threads, {'bf16' if bfloat16 else 'fp32'}, commit {commit()}")
    print(f"{whole:.2f} s a step, mean of {steps}; of these")
    inside = ("Whisper", "connector", "language model")
    for name, seconds in clock.seconds.items():
        indent = "    in the forward pass, " if name in inside else "  "
        print(f"{indent}{name}: {seconds / steps:.2f} s, {100 * seconds / steps / whole:.0f} %")
    least = operations / speed
    print(f"{operations / 1e12:.2f} TFLOP in a step; matrices alone: {speed / 1e9:.0f} GFLOP/s, so {least:.2f} s")
    print(f"{whole / least:.2f} times as long as matrices alone")


if __name__ == "__main__":
    run(main)
