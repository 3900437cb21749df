"""The training loop: accumulation, schedule, validation, checkpoints and exact resume, for any objective.

It keeps no random state: batches are a pure function of their index, and torch's generator is seeded for each
micro-batch from (seed, index). A run that was killed therefore continues exactly as an uninterrupted one, bit for bit
on a CPU.
"""

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from itertools import chain
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch.distributed.fsdp import register_fsdp_forward_method

from c2ser.data.prefetch import prefetch
from c2ser.data.sampler import rng
from c2ser.devices import avoid_cudnn_attention, computes_in_bfloat16
from c2ser.log import get_logger
from c2ser.training import checkpoint
from c2ser.training.compiled_layers import compile_layers
from c2ser.training.config import FREE, OptimConfig, TrainConfig
from c2ser.training.curves import Record, plot_curves
from c2ser.training.fewer_kernels import prepare_for_card
from c2ser.training.log_lines import Best, LogLines
from c2ser.training.memory import explain_oom
from c2ser.training.objective import Objective, wrap_forward
from c2ser.training.processes import make_accelerator
from c2ser.training.schedule import learning_rate_factor
from c2ser.training.settings import plain
from c2ser.training.shards import read_shards, set_aside
from c2ser.training.stopping import StopSignals
from c2ser.training.stumbles import Stumbles
from c2ser.training.weights import Weights, gather, make_optimiser

logger = get_logger(__name__)

REQUEUE_STATUS = 75
"""Exit status after SIGTERM, SIGUSR1 or Ctrl-C (EX_TEMPFAIL): everything is saved, the same command continues."""

NONE_YET: Best = {"step": None, "score": -1e30}
"""The best step before there is one."""


def train(objective: Objective, optim: OptimConfig, training: TrainConfig, out: Path) -> Path:
    """Train until the last step, continuing from the newest valid checkpoint under `out`.

    Returns:
        the best checkpoint; its weights are in the objective.

    Raises:
        ValueError: no loss or gradient is finite for a few steps, or the checkpoints there have other settings or
            are of an older version.
        SystemExit: with status 75 after SIGTERM, SIGUSR1 or Ctrl-C, when everything is saved.
    """
    return Trainer(objective, optim, training, out).run()


class Trainer:
    """State of one training; see `train`."""

    def __init__(self, objective: Objective, optim: OptimConfig, training: TrainConfig, out: Path) -> None:
        avoid_cudnn_attention()
        self.optim, self.training, self.out = optim, training, out
        self.checkpoints = out / "checkpoints"
        self.accelerator = make_accelerator(objective.find_unused_parameters, training.accumulate, out)
        if not self.accelerator.is_main_process:
            logging.getLogger("c2ser").setLevel(logging.WARNING)
        per_step = training.accumulate * self.accelerator.num_processes
        self.epochs = training.ends(objective.num_micro_batches, per_step)
        self.steps = objective.steps = max(self.epochs, default=training.steps)
        self.objective = objective
        with explain_oom(str(out), [], "shard it over several GPUs, or use a larger GPU", "for the model alone"):
            self._prepare()
        self.step, self.best = 0, NONE_YET.copy()
        self.record, self.stumbles = Record(), Stumbles(self.accelerator.device.type, self.bfloat16)
        self.utterances: list[str] = []
        self.signals, self.pending = StopSignals(), False  # pending: whether this step still lacks its validation

    @property
    def bfloat16(self) -> bool:
        """Whether matrices are multiplied in bfloat16."""
        return computes_in_bfloat16(self.training.precision, self.accelerator.device.type)

    def _prepare(self) -> None:
        """Make the optimiser, and distribute the work over the processes as accelerate is configured."""
        on_a_card = self.accelerator.device.type == "cuda"
        optimiser = make_optimiser(self.objective, self.optim, self.out, fused=on_a_card)
        sharding = self.accelerator.state.fsdp_plugin if self.accelerator.is_fsdp2 else None
        frozen: dict[str, torch.Tensor] = {}
        if sharding:
            sharding.ignored_modules = self.objective.ignored_modules()
            frozen = set_aside(self.objective, sharding.ignored_modules)
        for module in sharding.ignored_modules if sharding else [self.objective]:
            module.to(self.accelerator.device)
        if self.bfloat16:
            self.objective.use_bfloat16()
        if self.training.compiled:
            compile_layers(self.objective.layers())
        if on_a_card:
            prepare_for_card(self.objective, [] if sharding else self.objective.layers(), self.training)
        wrap_forward(self.objective, self._autocast())
        self.wrapped, self.optimiser = self.accelerator.prepare(self.objective, optimiser)
        if sharding:
            register_fsdp_forward_method(self.wrapped, "validate")
            read_shards(self.wrapped, frozen, self.accelerator.device)
        self.weights = Weights(self.accelerator.unwrap_model(self.wrapped), self.optimiser.optimizer)

    @property
    def _over(self) -> bool:
        """Whether the last step was done, or the last validations were all no better than the best before them."""
        best, patience = self.best["step"], self.training.patience or inf
        return self.step >= self.steps or (best is not None and self.record.validations_after(best) >= patience)

    def run(self) -> Path:
        """Train to the end; see `train`."""
        with checkpoint.exclusive(self.checkpoints) if self.accelerator.is_main_process else nullcontext():
            self._resume()
            self._train()
            return self._finish()

    def _train(self) -> None:
        self.weights.check_finite()
        with self.signals, closing(self.record), closing(self._raw_batches()) as raw_batches:
            if self.accelerator.is_main_process:
                self.record.open(self.out / "tensorboard", self.step)
            self.lines = LogLines(self.step, self.steps, self.accelerator.num_processes)
            while self.pending or not self._over:
                self._close_step() if self.pending else self._one_step(raw_batches)

    def _raw_batches(self) -> Generator[Any, None, None]:
        """Return the data of this process' micro-batches, from this step on, loaded in threads."""
        per_step = self.training.accumulate * self.accelerator.num_processes
        indices = range(self.index(0), self.steps * per_step, self.accelerator.num_processes)
        return prefetch(indices, self.objective.load_raw, self.training.num_workers)

    def _one_step(self, raw_batches: Iterator[Any]) -> None:
        start = time.monotonic()
        self._update(raw_batches)
        self.step += 1
        self.objective.update_ema(self.step)
        self.lines.count(time.monotonic() - start, len(self.utterances))
        last, epoch = self.step == self.steps, self.epochs.get(self.step)
        if self.record and (self.step % self.training.log_every == 0 or last):
            logger.info(self.lines.step_line(self.step, self.record.log(self.step)))
        if epoch in self.training.keep_epochs:
            self._save_epoch(epoch)
        self.pending = bool(self.step % self.training.valid_every == 0 or last or epoch)
        self._close_step()

    def _close_step(self) -> None:
        """Validate, save and stop where that is due; a stop puts the validation off until training goes on."""
        improved = self.pending and not self._told_to_stop() and self._validate()
        stop = self._told_to_stop()
        if self.step % self.training.save_every == 0 or improved or self._over or stop:
            self._save()
        if stop and (self.pending or not self._over):
            logger.info("step %d: told to stop; saved, run the same command to go on", self.step)
            raise SystemExit(REQUEUE_STATUS)

    def _told_to_stop(self) -> bool:
        """Return whether one of the processes was told to stop."""
        if self.accelerator.num_processes == 1:
            return self.signals.asked
        value = torch.tensor([float(self.signals.asked)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(value, "sum").item())

    def _update(self, raw_batches: Iterator[Any]) -> None:
        factor = learning_rate_factor(self.step + 1, self.steps, self.optim.warmup, self.optim.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.wrapped.train()
        rows, batches = [], [list[str]() for _ in range(self.training.accumulate)]
        for micro, names in enumerate(batches):
            with self.accelerator.accumulate(self.wrapped):
                rows.append(self._backward(micro, raw_batches, names))
        self.utterances = [*chain(*batches)]
        figures = self._averaged(rows)
        longest = self.optim.clip or inf
        norm = float(gather(self.accelerator.clip_grad_norm_(self.weights.parameters.values(), longest)))
        if isfinite(norm) and isfinite(figures["loss"]):  # the same for all processes
            self.record.add({**figures, "gradient_norm": norm, "learning_rate": self.optim.lr * factor})
            with explain_oom(f"step {self.step + 1}", self.utterances, self.objective.oom_hint):
                self.optimiser.step()
            self.stumbles.good()
        else:
            bad = [names for names, row in zip(batches, rows, strict=True) if not isfinite(row["loss"].item())]
            what = "gradient" if isfinite(figures["loss"]) else "loss"
            self.stumbles.leave_out(self.step + 1, what, [*chain(*bad)] or self.utterances)
        self.optimiser.zero_grad(set_to_none=True)

    def _averaged(self, rows: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Return the means of figures over the micro-batches of all processes."""
        values = torch.stack([torch.stack([value.detach().float() for value in row.values()]) for row in rows])
        means = self.accelerator.reduce(values.mean(dim=0).to(self.accelerator.device), "mean")
        return dict(zip(rows[0], means.tolist(), strict=True))

    def index(self, micro: int) -> int:
        """Return the index of this step's micro-batch in the stream; processes take turns."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        return (self.step * self.training.accumulate + micro) * world + rank

    def _backward(self, micro: int, raw_batches: Iterator[Any], names: list[str]) -> dict[str, torch.Tensor]:
        torch.manual_seed(int(rng(self.training.seed, self.index(micro)).integers(2**62)))
        with explain_oom(f"step {self.step + 1}", names, self.objective.oom_hint):
            batch = self.objective.make_batch(next(raw_batches))
            names += getattr(batch, "utterances", [])
            losses = self.wrapped(batch, self.step)
            self.accelerator.backward(losses["loss"])
        return losses

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bfloat16)

    @torch.no_grad()
    def _validate(self) -> bool:
        """Validate; return whether this is the best step so far, False if a signal cut it short."""
        self.wrapped.eval()
        torch.manual_seed(self.training.seed)
        explained = explain_oom(f"the validation after step {self.step}", [], self.objective.oom_hint, "in it")
        figures: dict[str, float] = {}
        with self.signals.cutting_short(self.accelerator.num_processes == 1), self._autocast(), explained:
            figures = {name: float(value) for name, value in self.objective.validate(self.step).items()}
        if not figures:
            return False
        self.pending = False
        figures = broadcast_object_list([figures])[0]  # all processes must agree on the best step
        if not isfinite(figures["score"]):
            raise ValueError(f"step {self.step}: the validation's score is not finite; lower optim.lr, or mend its set")
        improved = figures["score"] > self.best["score"]
        if improved:
            self.best = {"step": self.step, "score": figures["score"]}
        self.record.enter(self.step, "valid", figures, self.objective.samples(self.step))
        logger.info(self.lines.valid_line(self.step, figures, self.best))
        return improved

    def _settings(self) -> dict[str, Any]:
        parts = {"optim": self.optim, "training": self.training, "objective": self.objective.settings()}
        settings = plain({**parts, "processes": self.accelerator.num_processes})
        for name in FREE:
            del settings["training"][name]
        return settings

    def _save(self) -> None:
        trained = self.weights.trainable_state_dict()  # shards are gathered: all processes take part
        optimiser = self.weights.optimizer_state_dict()
        if self.accelerator.is_main_process:
            state = {"step": self.step, "best": self.best, "pending": self.pending}
            state |= {"settings": self._settings(), **self.record.state()}
            extra = self.objective.extra_state()
            tensors = {"trained": trained, **({"extra": extra} if extra else {})}
            checkpoint.save(self.checkpoints, self.step, tensors, optimiser, state)
            checkpoint.prune(self.checkpoints, self.step, self.training.keep, self._best_path())
        self.accelerator.wait_for_everyone()

    def _save_epoch(self, epoch: int) -> None:
        trained = self.weights.trainable_state_dict()
        if self.accelerator.is_main_process:
            checkpoint.save_epoch(self.checkpoints, epoch, self.step, trained)

    def _best_path(self) -> Path | None:
        return None if self.best["step"] is None else self.checkpoints / f"step_{self.best['step']:08d}"

    def _resume(self) -> None:
        newest = checkpoint.newest(self.checkpoints) if self.accelerator.is_main_process else None
        newest = broadcast_object_list([newest])[0]  # on slow file systems others may see other checkpoints
        if newest is None:
            return
        checkpoint.check_format(newest, self.out)
        tensors, optimiser, state = checkpoint.load(newest)
        checkpoint.check_settings(state["settings"], self._settings(), self.out)
        self.weights.load_trainable_state_dict(tensors["trained"], newest)
        self.weights.load_optimizer_state_dict(optimiser)
        self.objective.load_extra_state(tensors.get("extra", {}))
        self.step, self.best, self.pending = state["step"], state["best"], state.get("pending", False)
        self.record.load(state)
        logger.info("going on from %s", newest)
        best = self._best_path()
        valid = best in (None, newest) or not self.accelerator.is_main_process or checkpoint.is_valid(best)
        if not broadcast_object_list([valid])[0]:
            logger.warning("%s, the best so far, is damaged; the best of the steps to come counts", best)
            self.best = NONE_YET.copy()

    def _finish(self) -> Path:
        best = self._best_path()
        if best is None or not checkpoint.is_valid(best):
            raise ValueError(f"{self.checkpoints}: the best checkpoint is missing or damaged; train again")
        tensors, _, _ = checkpoint.load(best)
        self.weights.load_trainable_state_dict(tensors["trained"], best)
        self.objective.load_extra_state(tensors.get("extra", {}))
        if self.accelerator.is_main_process:
            plot_curves(self.record.history, self.out / "curves.png", self.best["step"], self.objective.chance)
        logger.info("kept: step %d, score %.4f, of %d steps", self.best["step"], self.best["score"], self.step)
        return best
