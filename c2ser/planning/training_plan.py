"""Plans of trainings: what is counted for the fullest and a typical micro-batch, and what would change it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from c2ser.data.sampler import Batches
from c2ser.planning.config import CARDS, Card
from c2ser.planning.estimate import StepTime, step_time
from c2ser.planning.objectives import C2SERPlan, Emotion2VecPlan, batches_of
from c2ser.planning.update import FEATURES, GIB, Counted, Memory, count_update
from c2ser.planning.workload import Padding, fullest_and_typical, waste
from c2ser.training.c2ser_objective import C2SERObjective
from c2ser.training.config import OptimConfig, TrainConfig
from c2ser.training.objective import Objective

RESERVE = 1.5
"""GiB for CUDA itself, its libraries' workspaces, and what the allocator rounds up."""


@dataclass
class Change:
    """A change of settings, and what it brings.

    Attributes:
        setting: what to give.
        peak: GiB on each card then.
        fits: whether that fits.
        slower: time of a step divided by the present one; None if it was not counted.
    """

    setting: str
    peak: float
    fits: bool
    slower: float | None = None


@dataclass
class Plan:
    """What a training will need.

    Attributes:
        training: what is trained.
        card: on which card.
        cards: on how many.
        precision: bf16 or fp32.
        parameters: number of parameters by part, and of those that are trained.
        utterances: of the fullest micro-batch.
        fullest: what the fullest micro-batch costs.
        time: of a typical step.
        typical: utterances of a typical step, of all cards.
        padding: of an epoch.
        steps: of the training; None if only its data could tell.
        hours: of the training, without validation; None as well.
        kept: GiB of features of all utterances that stay in memory.
        changes: what would make it fit, or use the card better.
        remarks: what was assumed.
    """

    training: str
    card: Card
    cards: int
    precision: str
    parameters: dict[str, dict[str, int]]
    utterances: int
    fullest: Counted
    time: StepTime
    typical: int
    padding: Padding
    steps: int | None
    hours: float | None
    kept: float
    changes: list[Change]
    remarks: list[str]

    @property
    def peak(self) -> float:
        """GiB that the training needs on each card."""
        return self.fullest.memory.peak / GIB + self.kept + RESERVE

    @property
    def fits(self) -> bool:
        """Whether that is there."""
        return self.peak <= self.card.memory

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        values = asdict(replace(self, fullest=Counted(self.fullest.memory)))
        memory = values.pop("fullest")["memory"]
        found = {"memory_bytes": memory, "peak_gib": self.peak, "fits": self.fits, "seconds_a_step": self.time.seconds}
        return values | found


def plan_c2ser(
    given: C2SERPlan, optim: OptimConfig, training: TrainConfig, card: Card, cards: int, with_data: bool
) -> Plan:
    """Plan a training of C²SER."""

    def count(plan: C2SERPlan, number: int, explicit: bool = True) -> Counted:
        """Count one micro-batch."""
        return count_batch(plan, optim, training, number, explicit)

    kept = (FEATURES,) if given.batches.keep_features else ()
    objective = given.make()
    batches = batches_of(objective)
    fullest, typical = fullest_and_typical(batches)
    counted = count(given, fullest)
    usual = counted if typical == fullest else count(given, typical)
    time = step_time(usual, card, training.accumulate, kept)
    if given.stage == "implicit":  # from all explicit to all implicit ones
        time = _mean(time, step_time(count(given, typical, explicit=False), card, training.accumulate, kept))
    plan = _plan(
        f"C²SER, stage {given.stage}", objective, counted, batches.at(fullest), time, len(batches.at(typical)), batches,
        training, card, cards, with_data,
    )  # fmt: skip
    plan.kept = kept_features(given, objective, fullest, counted.memory)
    if given.stand_in:
        plan.remarks.append(f"tokens are estimated: the tokenizer of {given.model.llm} is not here as a folder")
    if not given.model.emotion2vec:
        plan.remarks.append("without Emotion2Vec-S; give --model.emotion2vec base, or its folder, to plan with it")
    plan.changes = _changes(plan, lambda plan: count(plan, _fullest(plan)), given, training, kept)
    return plan


def count_batch(
    given: C2SERPlan, optim: OptimConfig, training: TrainConfig, number: int, explicit: bool = True
) -> Counted:
    """Count the micro-batch of a number, on a card."""

    def raw(objective: Objective) -> Any:
        """Return the data of the micro-batch."""
        assert isinstance(objective, C2SERObjective)
        return given.raw(objective, objective.batches.at(number), explicit)

    return count_update(given.make, raw, optim, training, card=True)


def kept_features(given: C2SERPlan, objective: C2SERObjective, number: int, memory: Memory) -> float:
    """Return the GiB of features of all utterances that stay in memory, from the memory of one micro-batch."""
    if not given.batches.keep_features:
        return 0.0
    share = sum(item.seconds for item in given.items.values())
    share /= sum(given.items[name].seconds for name in objective.batches.at(number))
    return memory.features * share / GIB


def _fullest(plan: C2SERPlan) -> int:
    return fullest_and_typical(batches_of(plan.make()))[0]


def plan_emotion2vec(
    given: Emotion2VecPlan, optim: OptimConfig, training: TrainConfig, card: Card, cards: int, with_data: bool
) -> Plan:
    """Plan a training of Emotion2Vec-S."""
    objective = given.make()
    batches = batches_of(objective)

    def count(number: int) -> Counted:
        """Count one micro-batch."""
        return count_update(given.make, lambda _: given.raw(batches.at(number)), optim, training, card=True)

    fullest, typical = fullest_and_typical(batches)
    counted = count(fullest)
    time = step_time(counted if typical == fullest else count(typical), card, training.accumulate)
    plan = _plan(
        "Emotion2Vec-S", objective, counted, batches.at(fullest), time, len(batches.at(typical)), batches, training,
        card, cards, with_data,
    )  # fmt: skip
    plan.changes = _by_size(plan, {"batches.seconds": given.material.crops.seconds}, training.accumulate)
    return plan


def _plan(
    name: str, objective: Objective, counted: Counted, fullest: list[str], time: StepTime, typical: int,
    batches: Batches, training: TrainConfig, card: Card, cards: int, with_data: bool,
) -> Plan:  # fmt: skip
    steps: int | None = training.steps
    remarks = [] if with_data else ["durations and answers are made up (mean 6 s); give --data for your own"]
    if training.epochs is not None:
        per_step = training.accumulate * cards
        steps = -(-objective.num_micro_batches(training.epochs) // per_step) if with_data else None
        remarks += [] if with_data else ["the number of steps follows from the data; give --data"]
    if cards > 1:
        remarks.append("each card has its own micro-batches (DDP); the exchange of gradients is not counted")
    hours = steps * time.seconds / 3600 if steps else None
    return Plan(
        name, card, cards, "fp32" if training.precision == "fp32" else "bf16", parameters(objective), len(fullest),
        counted, time, cards * training.accumulate * typical, waste(batches), steps, hours, 0.0, [], remarks,
    )  # fmt: skip


def parameters(objective: Objective) -> dict[str, dict[str, int]]:
    """Return the number of parameters of each part, all and trained ones."""
    parts: dict[str, dict[str, int]] = {}
    for name, parameter in objective.named_parameters():
        part = parts.setdefault(objective.part_of(name), {"all": 0, "trained": 0})
        part["all"] += parameter.numel()
        part["trained"] += parameter.numel() if parameter.requires_grad else 0
    return parts


def _mean(one: StepTime, other: StepTime) -> StepTime:
    """Return the mean of two steps."""

    def half(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
        """Return the mean of numbers by name; one that is missing is 0."""
        return {key: (first.get(key, 0.0) + second.get(key, 0.0)) / 2 for key in {**first, **second}}

    numbers = {
        name: (getattr(one, name) + getattr(other, name)) / 2 for name in ("card", "host", "operations", "moved")
    }
    counts = {name: (getattr(one, name) + getattr(other, name)) // 2 for name in ("kernels", "reads")}
    return StepTime(
        **numbers, **counts, by_kind=half(one.by_kind, other.by_kind), by_phase=half(one.by_phase, other.by_phase)
    )


def _changes(
    plan: Plan, count: Callable[[C2SERPlan], Counted], given: C2SERPlan, training: TrainConfig, kept: tuple[str, ...]
) -> list[Change]:
    """Return what would make a training of C²SER fit, or fill the card."""
    sizes = {"batches.seconds": given.batches.seconds, "batches.tokens": given.batches.tokens}
    if plan.fits:
        return _by_size(plan, sizes, training.accumulate)
    changes = []
    if not given.model.checkpointing:
        counted = count(replace(given, model=replace(given.model, checkpointing=True)))
        time = step_time(counted, plan.card, training.accumulate, kept)
        before = step_time(plan.fullest, plan.card, training.accumulate, kept)
        changes.append(_change(plan, "model.checkpointing: true", counted.memory.peak, time.seconds / before.seconds))
    return [*changes, *_by_size(plan, sizes, training.accumulate)]


def _change(plan: Plan, setting: str, peak: int, slower: float | None = None) -> Change:
    needed = peak / GIB + plan.kept + RESERVE
    return Change(setting, needed, needed <= plan.card.memory, slower)


def _by_size(plan: Plan, sizes: dict[str, float], accumulate: int) -> list[Change]:
    """Return the micro-batch that fills the card; where there is too little room, also other and more cards."""
    memory = plan.fullest.memory
    grows = memory.peak - memory.fixed
    factor = ((plan.card.memory - RESERVE - plan.kept) * GIB - memory.fixed) / grows
    factor = min(int(factor), accumulate) if factor >= 1 else int(20 * factor) / 20  # an update stays what it is
    changes = []
    if factor > 0 and factor != 1:
        settings = [f"{name}: {value * factor:g}" for name, value in sizes.items()]
        settings += [f"training.accumulate: {max(1, round(accumulate / factor))}"]
        changes.append(_change(plan, ", ".join(settings), int(memory.fixed + factor * grows)))
    if plan.fits:
        return changes
    for cards in (2, 4, 8):
        changes.append(_change(plan, f"--ngpu {cards} --accelerate-config fsdp2", memory.fixed // cards + grows))
    if larger := [card for card in CARDS.values() if card.memory >= plan.peak]:
        least = min(larger, key=lambda card: card.memory)
        changes.append(Change(f"another card: {least.name} is the smallest that will do", plan.peak, True))
    return changes
