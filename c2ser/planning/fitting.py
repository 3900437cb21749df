"""Micro-batches as large as a card's memory allows, for the same update: fewer of them start fewer kernels."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from c2ser.log import get_logger
from c2ser.planning.config import Card
from c2ser.planning.objectives import C2SERPlan, batches_of
from c2ser.planning.training_plan import RESERVE, Plan, count_batch, kept_features, plan_c2ser
from c2ser.planning.update import GIB, Memory
from c2ser.planning.workload import fullest_and_typical
from c2ser.training import checkpoint
from c2ser.training.config import BatchConfig, OptimConfig, TrainConfig
from c2ser.training.processes import Room, room

logger = get_logger(__name__)

USED = 0.9
"""Share of a card's memory that is planned with: a plan errs by a few percent, and an allocator leaves gaps."""


def fill_card(
    given: C2SERPlan, optim: OptimConfig, training: TrainConfig, out: Path
) -> tuple[BatchConfig, TrainConfig]:
    """Return the batches of a training and how it accumulates: as given, or larger and fewer where there is a card.

    A training that is resumed keeps what it began with. All processes must call it, and get the same.

    Args:
        given: the training.
        optim: its optimiser.
        training: how it is trained.
        out: its folder.
    """
    begun = checkpoint.begun_with(out / "checkpoints")
    if begun:
        times = chosen_before(begun, given.batches.seconds, training.accumulate, PartialState().num_processes)
    else:
        here = room()
        times = largest(given, optim, training, here) if here and training.fill_card else 1
    times = broadcast_object_list([times])[0]  # on slow file systems others may see other checkpoints
    if times > 1:
        logger.info(
            "training.fill_card: %d times larger micro-batches, %d instead of %d a step",
            times, training.accumulate // times, training.accumulate,
        )  # fmt: skip
    return enlarged(given.batches, training, times)


def chosen_before(begun: Mapping[str, Any], seconds: float, accumulate: int, processes: int) -> int:
    """Return how many times larger than given the micro-batches were that a training began with; 1 if not by a card.

    A card takes as many fewer as they are larger. Whoever changed the settings of a step did otherwise, and is refused.

    Args:
        begun: the settings that it began with.
        seconds: of a micro-batch, as given now.
        accumulate: micro-batches of a step and process, as given now.
        processes: how many there are now.
    """
    times = round(begun["objective"]["batches"]["seconds"] / seconds)
    as_much = times * begun["training"]["accumulate"] * begun["processes"] == accumulate * processes
    return times if as_much and times > 0 and accumulate % times == 0 else 1


def plan_filled(
    given: C2SERPlan, optim: OptimConfig, training: TrainConfig, card: Card, cards: int, with_data: bool
) -> Plan:
    """Plan a training with the micro-batches that it will choose on a card of this memory."""
    times = largest(given, optim, training, Room(card.memory)) if training.fill_card else 1
    batches, training = enlarged(given.batches, training, times)
    plan = plan_c2ser(replace(given, batches=batches), optim, training, card, cards, with_data)
    if times > 1:
        plan.remarks.append(f"micro-batches are {times} times larger than given, as the card has room for them")
    return plan


def largest(given: C2SERPlan, optim: OptimConfig, training: TrainConfig, here: Room) -> int:
    """Return how many times larger a card's micro-batches may be; a divisor of how many a step has.

    Args:
        given: the training.
        optim: its optimiser.
        training: how it is trained.
        here: the card's memory.
    """
    if training.accumulate == 1:
        return 1
    objective = given.make()
    fullest = fullest_and_typical(batches_of(objective))[0]
    memory = count_batch(given, optim, training, fullest).memory
    return times_that_fit(memory, here, training.accumulate, kept_features(given, objective, fullest, memory))


def times_that_fit(memory: Memory, here: Room, accumulate: int, kept: float = 0.0) -> int:
    """Return the largest divisor of a step's micro-batches by which one may grow.

    Args:
        memory: of the fullest one as it is.
        here: the card's memory.
        accumulate: micro-batches of a step.
        kept: GiB that are held beside them.
    """
    left = (USED * here.memory - RESERVE - kept) * GIB - memory.fixed / here.sharing
    divisors = (n for n in range(accumulate, 1, -1) if accumulate % n == 0)
    return next((n for n in divisors if n * (memory.peak - memory.fixed) <= left), 1)


def enlarged(batches: BatchConfig, training: TrainConfig, times: int) -> tuple[BatchConfig, TrainConfig]:
    """Return micro-batches that are so many times larger, and a step of the fewer; it learns from as much as before."""
    larger = replace(
        batches,
        seconds=batches.seconds * times,
        tokens=batches.tokens * times,
        utterances=batches.utterances * times,
    )
    return larger, replace(training, accumulate=training.accumulate // times)
