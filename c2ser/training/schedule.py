"""Schedules of a training: the learning rate, and the share of explicit batches."""

import math

from c2ser.training.config import Schedule


def learning_rate_factor(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """Return the factor on the peak learning rate for a step.

    Args:
        step: the optimiser step, from 1.
        steps: steps of the whole training.
        warmup: share of the steps in which the rate rises linearly from 0 to its peak (15 % in section V.A).
        schedule: what follows: decay with 1/sqrt(step) (WeNet's WarmupLR), no decay, or a half cosine to 0; "constant"
            has no warm-up either.
    """
    warmup_steps = max(1, round(warmup * steps))
    if schedule == "constant":
        return 1.0
    if step <= warmup_steps:
        return step / warmup_steps
    if schedule == "warmup_inverse_sqrt":
        return math.sqrt(warmup_steps / step)
    if schedule == "warmup_constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def explicit_probability(step: int, steps: int) -> float:
    """Return the probability that a batch of the implicit stage is explicit: linear from 1 to 0 (section III.D).

    Args:
        step: the optimiser step, from 0.
        steps: steps of the whole stage.
    """
    return 1.0 - step / max(1, steps - 1) if step < steps else 0.0
