"""The reports of cases as one Markdown table."""

from collections.abc import Sequence
from typing import Any

HEADINGS = "case|work|ours s|peer s|times as fast|of the limit|memory MB ours / peer|differ by|remark".split("|")


def markdown(reports: Sequence[dict[str, Any]]) -> str:
    """Return a table with a line for each report of `harness.run_case`."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(_row(report) for report in reports)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _row(report: dict[str, Any]) -> list[str]:
    work = ", ".join(f"{value:g} {name}" for name, value in report["workload"].items())
    equal = report["equivalence"]
    difference = f"{equal['value']:.1e} ({equal['metric']}, at most {equal['tolerance']:.0e})"
    if not equal["holds"]:
        return [report["name"], work, "–", "–", "–", "–", "–", difference, "void: outputs differ"]
    ratio, ours, peer = report["ratio_to_peer"], report["ours"], report["peer"]
    if "figure" in report:
        counts = [f"{arm['counted']:.4f}" for arm in (ours, peer)]
        return [report["name"], work, *counts, f"{ratio['median']:.2f}", "–", "–", difference, report["figure"]]
    arms = [ours] if ratio is None else [ours, peer]
    memory = " / ".join(f"{arm['peak_memory_bytes'] / 1e6:.0f}" for arm in arms)
    remark = f"others used {100 * report['others']:.0f} % of the cores, {report['machine']['threads']} threads"
    return [
        report["name"],
        work,
        f"{ours['median_s']:.3f}",
        f"{peer['median_s']:.3f}" if ratio else "–",
        f"{ratio['median']:.2f} ({ratio['min']:.2f}–{ratio['max']:.2f})" if ratio else "–",
        f"{report['ratio_to_limit']:.2f}",
        memory,
        difference,
        f"contended, {remark}" if report["contended"] else remark,
    ]
