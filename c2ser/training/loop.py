"""The training loop: accumulation, schedule, validation, checkpoints and exact resume, for anything that has a loss.

Nothing in it remembers random state: batches are a pure function of their index, and torch's generator is seeded anew
for each micro-batch from (seed, index). A run that was killed therefore continues as if nothing had happened, bit for
bit on a CPU.
"""

import dataclasses
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.utils.tensorboard import SummaryWriter

from c2ser.data.sampler import rng
from c2ser.log import get_logger, progress
from c2ser.training import checkpoint
from c2ser.training.curves import plot_curves
from c2ser.training.objective import Objective
from c2ser.training.schedule import Schedule, learning_rate_factor

logger = get_logger(__name__)

REQUEUE_STATUS = 75
"""Exit status after SIGTERM or SIGUSR1 (EX_TEMPFAIL): everything is saved, the same command goes on."""


@dataclasses.dataclass
class OptimConfig:
    """AdamW and its schedule; the defaults are those of C²SER (section V.A and the published configuration).

    Attributes:
        lr: peak learning rate.
        betas: AdamW's.
        weight_decay: AdamW's.
        eps: AdamW's.
        warmup: share of the steps in which the learning rate rises.
        schedule: what follows the warm-up.
        clip: largest norm of the gradient.
    """

    lr: float = 5e-5
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    eps: float = 1e-6
    warmup: float = 0.15
    schedule: Schedule = "warmup_inverse_sqrt"
    clip: float = 5.0


@dataclasses.dataclass
class TrainConfig:
    """How long to train and how often to look.

    Attributes:
        steps: optimiser steps.
        accumulate: micro-batches per step and process.
        log_every: steps between two TensorBoard points.
        valid_every: steps between two validations.
        save_every: steps between two checkpoints.
        keep: newest checkpoints kept besides the best.
        seed: decides initial weights, batches, masks and dropout.
        precision: bf16 uses autocast with fp32 masters; for GPUs.
    """

    steps: int = 1000
    accumulate: int = 1
    log_every: int = 10
    valid_every: int = 100
    save_every: int = 100
    keep: int = 2
    seed: int = 777
    precision: Literal["fp32", "bf16"] = "fp32"


def train(objective: Objective, optim: OptimConfig, training: TrainConfig, out: Path) -> Path:
    """Train until the last step, going on from the newest valid checkpoint under `out`.

    Returns:
        the best checkpoint; its weights are in the objective.

    Raises:
        ValueError: a loss or gradient is not finite, or the checkpoints there were made with other settings.
        SystemExit: with status 75 after SIGTERM or SIGUSR1, when everything is saved.
    """
    return Trainer(objective, optim, training, out).run()


class Trainer:
    """State of one training; see `train`."""

    def __init__(self, objective: Objective, optim: OptimConfig, training: TrainConfig, out: Path) -> None:
        self.optim, self.training, self.out = optim, training, out
        parallel = DistributedDataParallelKwargs(find_unused_parameters=objective.leaves_out)
        precision = "bf16" if training.precision == "bf16" else "no"
        self.accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[parallel])
        self.parameters = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError(f"{out}: nothing to train; every parameter is frozen by the configuration")
        groups: dict[float, list[torch.nn.Parameter]] = defaultdict(list)
        for name, parameter in self.parameters.items():
            groups[objective.rate(name)].append(parameter)
        optimiser = torch.optim.AdamW(
            [{"params": parameters, "share": share} for share, parameters in groups.items()],
            lr=optim.lr, betas=optim.betas, eps=optim.eps, weight_decay=optim.weight_decay,
        )  # fmt: skip
        self.objective = objective.to(self.accelerator.device)
        self.wrapped, self.optimiser = self.accelerator.prepare(self.objective, optimiser)
        self.step, self.best = 0, {"step": None, "score": -1e30}
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, list[float]] = defaultdict(list)
        self.heard: list[str] = []
        self.stop = False
        self.writer: SummaryWriter | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.out / "checkpoints"

    def run(self) -> Path:
        """Train to the end; see `train`."""
        self._resume()
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGUSR1)}
        if self.accelerator.is_main_process:
            self.writer = SummaryWriter(str(self.out / "tensorboard"), purge_step=self.step)
        try:
            for _ in progress(range(self.step, self.training.steps), "steps"):
                self._one_step()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            if self.writer:
                self.writer.close()
        return self._finish()

    def _on_signal(self, number: int, frame: Any) -> None:
        self.stop = True

    def _one_step(self) -> None:
        self._update()
        self.step += 1
        self.objective.after_step(self.step)
        last = self.step == self.training.steps
        if self.step % self.training.log_every == 0 or last:
            self._log()
        improved = (self.step % self.training.valid_every == 0 or last) and self._validate()
        stop = self._any_rank(self.stop)
        if self.step % self.training.save_every == 0 or improved or last or stop:
            self._save()
        if stop and not last:
            logger.info("step %d: stopped by a signal; saved, run the same command to go on", self.step)
            raise SystemExit(REQUEUE_STATUS)

    def _any_rank(self, flag: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return flag
        value = torch.tensor([float(flag)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(value, "sum").item())

    def _update(self) -> None:
        factor = learning_rate_factor(self.step + 1, self.training.steps, self.optim.warmup, self.optim.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = self.optim.lr * factor * group["share"]
        self.wrapped.train()
        self.heard = []
        for micro in range(self.training.accumulate):
            last = micro == self.training.accumulate - 1
            if last:
                self._backward(micro)
            else:
                with self.accelerator.no_sync(self.wrapped):
                    self._backward(micro)
        norm = self.accelerator.clip_grad_norm_(self.parameters.values(), self.optim.clip)
        if not torch.isfinite(norm):
            raise ValueError(f"step {self.step + 1}: the gradient is not finite{self._named()}; lower optim.lr")
        self.sums["gradient_norm"].append(float(norm))
        self.sums["learning_rate"].append(self.optim.lr * factor)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def _backward(self, micro: int) -> None:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        index = (self.step * self.training.accumulate + micro) * world + rank
        torch.manual_seed(int(rng(self.training.seed, index).integers(2**62)))
        batch = self.objective.batch(index)
        self.heard += getattr(batch, "utterances", [])
        with self.accelerator.autocast():
            losses = self.wrapped(batch, self.step)
        if not torch.isfinite(losses["loss"]):
            raise ValueError(f"step {self.step + 1}: the loss is not finite{self._named()}; lower optim.lr")
        self.accelerator.backward(losses["loss"] / self.training.accumulate)
        for name, value in losses.items():
            self.sums[name].append(float(value.detach()))

    def _named(self) -> str:
        """Return the first utterances of this step for a message."""
        return f" (utterances: {', '.join(self.heard[:8])})" if self.heard else ""

    def _log(self) -> None:
        row = {name: sum(values) / len(values) for name, values in self.sums.items()}
        self.sums.clear()
        self.history.append({"step": self.step, **{f"train/{name}": value for name, value in row.items()}})
        self._write_scalars(self.history[-1])

    def _write_scalars(self, row: dict[str, float]) -> None:
        if self.writer:
            for name, value in row.items():
                if name != "step":
                    self.writer.add_scalar(name, value, self.step)

    @torch.no_grad()
    def _validate(self) -> bool:
        """Validate; return whether this is the best step so far."""
        self.wrapped.eval()
        torch.manual_seed(self.training.seed)
        figures = {name: float(value) for name, value in self.objective.validate(self.step).items()}
        improved = figures["score"] > self.best["score"]
        if improved:
            self.best = {"step": self.step, "score": figures["score"]}
        self.history.append({"step": self.step, **{f"valid/{name}": value for name, value in figures.items()}})
        self._write_scalars(self.history[-1])
        for name, text in self.objective.samples(self.step).items():
            if self.writer:
                self.writer.add_text(name, text, self.step)
        logger.info("step %d: %s", self.step, ", ".join(f"{n} {v:.4f}" for n, v in figures.items()))
        return improved

    def _settings(self) -> dict[str, Any]:
        loop = dataclasses.asdict(self.training)
        for name in ("log_every", "save_every", "keep"):  # free to change: they do not touch the result
            del loop[name]
        optim = {**dataclasses.asdict(self.optim), "betas": list(self.optim.betas)}
        world = self.accelerator.num_processes
        return {"optim": optim, "training": loop, "processes": world, "objective": self.objective.settings()}

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            state = {"step": self.step, "best": self.best, "history": self.history, "settings": self._settings()}
            state["sums"] = dict(self.sums)
            extra = self.objective.extra_state()
            tensors = {"trained": dict(self.parameters), **({"extra": extra} if extra else {})}
            checkpoint.save(self.checkpoints, self.step, tensors, self.optimiser.state_dict(), state)
            checkpoint.prune(self.checkpoints, self.training.keep, self._best_path())
        self.accelerator.wait_for_everyone()

    def _best_path(self) -> Path | None:
        return None if self.best["step"] is None else self.checkpoints / f"step_{self.best['step']:08d}"

    def _resume(self) -> None:
        newest = checkpoint.newest(self.checkpoints) if self.checkpoints.is_dir() else None
        if newest is None:
            return
        tensors, optimiser, state = checkpoint.load(newest)
        _check_settings(state["settings"], self._settings(), self.out)
        self._load_tensors(tensors)
        self.optimiser.load_state_dict(optimiser)
        self.step, self.best, self.history = state["step"], state["best"], state["history"]
        self.sums = defaultdict(list, state["sums"])
        logger.info("going on from %s", newest)

    def _load_tensors(self, tensors: dict[str, dict[str, torch.Tensor]]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors["trained"][name])
        if "extra" in tensors:
            self.objective.load_extra_state(tensors["extra"])

    def _finish(self) -> Path:
        best = self._best_path()
        if best is None or not checkpoint.is_valid(best):
            raise ValueError(f"{self.checkpoints}: the best checkpoint is missing or damaged; train again")
        self._load_tensors(checkpoint.load(best)[0])
        if self.accelerator.is_main_process:
            plot_curves(self.history, self.out / "curves.png")
        logger.info("best: step %d, score %.4f", self.best["step"], self.best["score"])
        return best


def _check_settings(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    changed = [
        f"{group}.{name}: {old[group].get(name)} then, {new[group].get(name)} now"
        for group in ("optim", "training", "objective")
        for name in sorted({*old[group], *new[group]})
        if old[group].get(name) != new[group].get(name)
    ]
    if old["processes"] != new["processes"]:
        changed.append(f"processes: {old['processes']} then, {new['processes']} now")
    if changed:
        difference = "; ".join(changed)
        raise ValueError(f"{out}: its checkpoints have other settings ({difference}); remove them or change --out")
