"""The lines of a training's log: how far it is, its losses, its speed, and what a validation gave."""

import time
from collections.abc import Mapping
from typing import TypedDict

from c2ser.scoring.results_page import clock

HIDDEN = ("target_deviation", "target_contrast", "guess_deviation")
"""Figures that TensorBoard shows and a line of the log has no room for."""


class Best(TypedDict):
    """The best validation so far.

    Attributes:
        step: after which it was; None if there was none yet.
        score: what it gave.
    """

    step: int | None
    score: float


class LogLines:
    """Makes the lines of one run, and measures its speed.

    Args:
        first: steps that are done before this run.
        steps: steps of the whole training.
        processes: how many train together.
    """

    def __init__(self, first: int, steps: int, processes: int) -> None:
        self.first, self.steps, self.processes = first, steps, processes
        self.start = time.monotonic()
        self._seconds: list[float] = []
        self._utterances = 0

    def count(self, seconds: float, utterances: int) -> None:
        """Take a step's duration, without validation, and the number of utterances of this process."""
        self._seconds.append(seconds)
        self._utterances += utterances

    def step_line(self, step: int, figures: Mapping[str, float]) -> str:
        """Return the line of an interval that ends with a step, and begin a new one.

        Args:
            step: from 1.
            figures: means over the interval: losses, `gradient_norm` and `learning_rate`.
        """
        left = (time.monotonic() - self.start) / (step - self.first) * (self.steps - step)
        losses = [name for name in figures if name not in ("loss", "gradient_norm", "learning_rate", *HIDDEN)]
        parts = [f"{name} {figures[name]:7.4f}" for name in ["loss", *losses]]
        parts += [f"lr {figures['learning_rate']:.2e}", f"grad norm {figures['gradient_norm']:7.3f}"]
        if self._utterances:
            speed = self.processes * self._utterances / max(sum(self._seconds), 1e-9)
            parts.append(f"{speed:6.1f} utt/s")
        parts += [f"{sum(self._seconds) / len(self._seconds):6.3f} s/step", f"{clock(left)} left"]
        self._seconds, self._utterances = [], 0
        return " | ".join([self._where(step), *parts])

    def valid_line(self, step: int, figures: Mapping[str, float], best: Best) -> str:
        """Return the line of a validation.

        Args:
            step: after which it was.
            figures: of the validation; its `score` decides which step is kept.
            best: the best validation, this one included.
        """
        others = [name for name in figures if name != "score"]
        alias = next((name for name in others if figures[name] == figures["score"]), None)
        verdict = "the best so far" if best["step"] == step else f"best {best['score']:.4f} at step {best['step']}"
        chosen = f"validation: {alias or 'score'} {figures['score']:.4f}, {verdict}"
        return " | ".join([self._where(step), chosen, *(f"{n} {figures[n]:.4f}" for n in others if n != alias)])

    def _where(self, step: int) -> str:
        return f"step {step:{len(str(self.steps))}}/{self.steps}"
