"""Systems on the same utterances: figures with intervals, and how far each lies above a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from c2ser.scoring.bootstrap import Metric, difference, interval, several_speakers
from c2ser.scoring.metrics import scores
from c2ser.scoring.results_page import NOTHING, pipe_table

METRICS: dict[Metric, str] = {"ua": "UA", "wa": "WA", "f1_reference": "macro F1"}
"""The figures that are compared, and what they are called."""

NOTE = """{utterances} utterances. Every figure is the mean over the runs, ± their standard deviation; in brackets 95 %
intervals, from speakers drawn with replacement."""

ALONE = """There are no intervals: all utterances are of one speaker, and other speakers could give any figure."""

ABOVE = """Above {baseline}: the difference on the same utterances, its interval from the same drawn speakers. What
other runs would change is not in the intervals; see ±."""


def compare(
    reference: Mapping[str, str],
    speakers: Mapping[str, str],
    systems: Mapping[str, Sequence[Mapping[str, str]]],
    baseline: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Compare systems.

    Args:
        reference: true emotion by utterance; a missing label is wrong.
        speakers: speaker by utterance.
        systems: by name, the labels of its runs (seeds of the encoder or of the probe).
        baseline: the system that the others are compared with.

    Returns:
        by system `utterances`, `runs`, and for each figure `value`, `low`, `high` and `std` (standard deviation over
        the runs); the same, without `std`, under `difference` for all but the baseline; `per_emotion` recall. Of one
        speaker alone there are no intervals: `low` and `high` are missing.

    Raises:
        ValueError: the baseline is none of the systems, or as `interval`.
    """
    if baseline is not None and baseline not in systems:
        raise ValueError(f"{baseline}: no such system; give one of {', '.join(systems)}")
    compared = {}
    for system, runs in systems.items():
        compared[system] = {"utterances": len(reference), "runs": len(runs), **_figures(reference, runs, speakers)}
        if baseline is not None and system != baseline:
            compared[system]["difference"] = _gaps(reference, runs, systems[baseline], speakers)
    return compared


def _figures(
    reference: Mapping[str, str], runs: Sequence[Mapping[str, str]], speakers: Mapping[str, str]
) -> dict[str, Any]:
    rows = [scores(reference, labels) for labels in runs]
    figures: dict[str, Any] = {}
    for metric in METRICS:
        values = [row[metric] for row in rows]
        found = {"value": float(np.mean(values))}
        if several_speakers(reference, speakers):
            found = asdict(interval(reference, runs, speakers, metric))
        figures[metric] = {**found, "std": float(np.std(values, ddof=1)) if len(rows) > 1 else 0.0}
    emotions = rows[0]["per_emotion"]
    return {**figures, "per_emotion": {e: float(np.mean([row["per_emotion"][e] for row in rows])) for e in emotions}}


def _gaps(
    reference: Mapping[str, str],
    runs: Sequence[Mapping[str, str]],
    baseline: Sequence[Mapping[str, str]],
    speakers: Mapping[str, str],
) -> dict[str, dict[str, float]]:
    """Return by how much each figure lies above the baseline's."""
    if several_speakers(reference, speakers):
        return {metric: asdict(difference(reference, runs, baseline, speakers, metric)) for metric in METRICS}
    above, below = ([scores(reference, labels) for labels in system] for system in (runs, baseline))
    return {m: {"value": float(np.mean([r[m] for r in above]) - np.mean([r[m] for r in below]))} for m in METRICS}


def comparison_table(compared: Mapping[str, Mapping[str, Any]], baseline: str | None = None) -> str:
    """Return what `compare` returned as a Markdown table, a row for each system."""
    head = ["system", "runs", *(f"{name} %" for name in METRICS.values())]
    if baseline is not None:
        head += [f"{name} above {baseline}" for name in METRICS.values()]
    body = []
    for system, figures in compared.items():
        row = [system, str(figures["runs"]), *(_cell(figures[metric], figures["runs"]) for metric in METRICS)]
        body.append([*row, *(_gap_cells(figures) if baseline is not None else [])])
    first = next(iter(compared.values()))
    note = NOTE.format(utterances=first["utterances"]) if "low" in first["ua"] else ALONE
    return "\n".join([*pipe_table(head, body), "", note, *([ABOVE.format(baseline=baseline)] if baseline else [])])


def gap_rows(compared: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]] | None:
    """Return heading and rows of the differences alone, without the baseline; None where none was given.

    Args:
        compared: what `compare` returned.
    """
    baseline = next((system for system, figures in compared.items() if "difference" not in figures), "")
    rows = [[system, *_gap_cells(figures)] for system, figures in compared.items() if "difference" in figures]
    head = ["system", *(f"{name} above {baseline}" for name in METRICS.values())]
    return (head, rows) if rows else None


def _gap_cells(figures: Mapping[str, Any]) -> list[str]:
    gaps = figures.get("difference", {})
    return [_cell(gaps[metric], 1, "+") if metric in gaps else NOTHING for metric in METRICS]


def _cell(figure: Mapping[str, float], runs: int, sign: str = "") -> str:
    value, *ends = (f"{100 * figure[name]:{sign}.1f}" for name in ("value", "low", "high") if name in figure)
    deviation = f" ± {100 * figure['std']:.1f}" if runs > 1 else ""
    return f"{value}{deviation} [{', '.join(ends)}]" if ends else f"{value}{deviation}"
