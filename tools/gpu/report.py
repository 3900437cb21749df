"""Make the table of docs/benchmarks.md from what tools/gpu/check.sh left, whole or not.

python tools/gpu/report.py --results exp/gpu_check
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from c2ser.cli import run
from c2ser.tables import read_json

CASES = {
    "e2v_extract": ("≥ 12,000 times real time", "audio_s", "times real time"),
    "e2v_pretrain_step": ("≥ 1,750 audio seconds per second", "audio_s", "audio seconds per second"),
    "penn_pitch": ("≥ 8,000 times real time", "audio_s", "times real time"),
    "whisper_encoder": ("≥ 4.5 times as fast", "", ""),
    "train_step": ("≥ 75 utterances per second", "utterances", "utterances per second"),
    "decode_latency_implicit": ("≤ 35 ms", "", "ms"),
    "decode_latency_explicit": ("≤ 250 ms", "", "ms"),
    "decode_latency_labels": ("≤ 8 ms", "", "ms"),
    "decode_throughput": ("≥ 190 utterances per second", "utterances", "utterances per second"),
}
"""The goal of each case, what of its work is counted, and the unit of what is measured."""


def table(results: Path) -> str:
    """Return the table of a folder of results; a case without a report is "not run", or says how it ended.

    Args:
        results: the folder.
    """
    ended = _parts(results / "parts.tsv")
    lines = ["| case | goal | measured | against the peer | commit, date, machine |", "|---|---|---|---|---|"]
    for name, (goal, work, unit) in CASES.items():
        alone, beside = (_report(results / kind / f"{name}.json") for kind in ("alone", "peer"))
        report = beside or alone
        if report is None:
            lines.append(f"| `{name}` | {goal} | {_ending(ended.get(f'{name}.alone'))} | | |")
            continue
        ratio = report.get("ratio_to_peer")
        against = f"{ratio['median']:.2f} times as fast" if ratio else f"none: {_ending(ended.get(f'{name}.peer'))}"
        lines.append(f"| `{name}` | {goal} | {_measured(report, work, unit)} | {against} | {_where(report)} |")
    return "\n".join(lines)


def _measured(report: Mapping[str, Any], work: str, unit: str) -> str:
    if not report["equivalence"]["holds"]:
        return "void: outputs differ"
    seconds = report["ours"]["median_s"]
    if unit == "ms":
        return f"{1000 * seconds:.1f} ms"
    return f"{report['workload'][work] / seconds:,.0f} {unit}" if work else f"{seconds:.3f} s"


def _where(report: Mapping[str, Any]) -> str:
    machine = report["machine"]["gpu_name"] or "a rehearsal on a processor, no figure"
    return f"{report['commit']}, {report['date']}, {machine}"


def _report(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _parts(path: Path) -> dict[str, int]:
    """Return the status with which each part ended."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return {name: int(status) for name, status, _ in rows}


def _ending(status: int | None) -> str:
    if status is None:
        return "not run"
    return {0: "no report", 124: "out of time"}.get(status, f"failed with status {status}")


def main(results: Path) -> None:
    """Print the table.

    Args:
        results: the folder that tools/gpu/check.sh wrote.

    Raises:
        ValueError: there is no such folder.
    """
    if not results.is_dir():
        raise ValueError(f"{results}: no folder; give the one that tools/gpu/check.sh wrote")
    print(table(results))


if __name__ == "__main__":
    run(main)
