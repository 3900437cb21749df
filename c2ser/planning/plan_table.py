"""Plans as text: what fits, what takes the time, what to change."""

from c2ser.planning.training_plan import RESERVE, Plan
from c2ser.planning.update import GIB


def table(plan: Plan) -> str:
    """Return a plan as Markdown that reads well on a terminal."""
    card = plan.card
    verdict = "fits" if plan.fits else "does not fit"
    lines = [
        f"# {plan.training}, {plan.precision}, on {plan.cards} × {card.name} "
        f"({card.memory:g} GiB, {card.tflops:g} TFLOP/s, {card.bandwidth:g} GB/s)",
        "",
        f"It {verdict}: {plan.peak:.1f} of {card.memory:g} GiB, most of it in the phase {plan.fullest.memory.when}.",
        "Counted from the models, not measured on a card.",
        "",
        *_parameters(plan), "", *_memory(plan), "", *_time(plan), "", *_padding(plan),
    ]  # fmt: skip
    if plan.changes:
        lines += ["", "| change | GiB | | time |", "|---|---:|---|---:|"]
        for change in plan.changes:
            slower = f"× {change.slower:.2f}" if change.slower else ""
            lines.append(
                f"| {change.setting} | {change.peak:.1f} | {'fits' if change.fits else 'too much'} | {slower} |"
            )
    return "\n".join([*lines, *(f"\nNote: {remark}." for remark in plan.remarks)])


def _parameters(plan: Plan) -> list[str]:
    rows = [f"| {part} | {_count(n['all'])} | {_count(n['trained'])} |" for part, n in plan.parameters.items()]
    return ["| part | parameters | trained |", "|---|---:|---:|", *rows]


def _memory(plan: Plan) -> list[str]:
    memory = plan.fullest.memory
    sizes = {
        "weights, frozen": memory.frozen,
        "weights, trained": memory.trained,
        "AdamW's moments": memory.moments,
        "gradients": memory.gradients,
        "features of the batch": memory.features,
        "activations": memory.activations,
    }
    parts = {name: size / GIB for name, size in sizes.items()}
    if plan.kept:
        parts["kept features of all utterances"] = plan.kept
    parts[f"peak, with {RESERVE} for CUDA itself"] = plan.peak
    rows = [f"| {name} | {size:.2f} |" for name, size in parts.items()]
    return [f"| memory, fullest batch ({plan.utterances} utterances) | GiB |", "|---|---:|", *rows]


def _time(plan: Plan) -> list[str]:
    time = plan.time
    rows = [(f"the card: {kind}", seconds) for kind, seconds in sorted(time.by_kind.items(), key=lambda p: -p[1])]
    rows += [(f"of it {phase}", seconds) for phase, seconds in time.by_phase.items()]
    shown = [f"| {name} | {1000 * seconds:.0f} | {seconds / time.card:.0%} |" for name, seconds in rows]
    bound = "the card" if time.card >= time.host else "the host, which starts the kernels"
    speed = plan.typical / time.seconds
    lines = [
        f"| typical step ({plan.typical} utterances) | ms | |", "|---|---:|---:|", *shown,
        f"| the host: {time.kernels} kernels | {1000 * time.host:.0f} | |",
        "",
        f"{1000 * time.seconds:.0f} ms a step, set by {bound}; {speed:.1f} utterances/s; "
        f"{time.operations / 1e12:.2f} TFLOP, {time.moved / 1e9:.0f} GB, at most {time.reads} waits of the host.",
    ]  # fmt: skip
    if plan.hours is not None:
        lines.append(f"{plan.steps} steps: {plan.hours:.1f} hours, without validation.")
    return lines


def _padding(plan: Plan) -> list[str]:
    padding = plan.padding
    tokens = "" if padding.tokens_wasted is None else f", {padding.tokens_wasted:.1%} of the padded tokens"
    return [
        f"An epoch: {padding.utterances} utterances, {padding.seconds / 3600:.1f} hours, {padding.batches} "
        f"micro-batches; padding is {padding.seconds_wasted:.1%} of the padded audio{tokens}."
    ]


def _count(number: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)
