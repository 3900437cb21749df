"""Systems on the same utterances: figures with intervals, and how far each lies above a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from c2ser.scoring.bootstrap import Metric, difference, interval
from c2ser.scoring.metrics import scores
from c2ser.scoring.results import NOTHING, pipe_table

METRICS: dict[Metric, str] = {"ua": "UA", "wa": "WA", "f1_reference": "macro F1"}
"""The figures that are compared, and what they are called."""

NOTE = """{utterances} utterances. Every figure is the mean over the runs, ± their standard deviation; in brackets 95 %
intervals, from speakers drawn with replacement."""

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
        the runs); the same, without `std`, under `difference` for all but the baseline; `per_emotion` recall.

    Raises:
        ValueError: the baseline is none of the systems, or as `interval`.
    """
    if baseline is not None and baseline not in systems:
        raise ValueError(f"{baseline}: no such system; give one of {', '.join(systems)}")
    compared = {}
    for system, runs in systems.items():
        compared[system] = {"utterances": len(reference), "runs": len(runs), **_figures(reference, runs, speakers)}
        if baseline is not None and system != baseline:
            compared[system]["difference"] = {
                metric: asdict(difference(reference, runs, systems[baseline], speakers, metric)) for metric in METRICS
            }
    return compared


def _figures(
    reference: Mapping[str, str], runs: Sequence[Mapping[str, str]], speakers: Mapping[str, str]
) -> dict[str, Any]:
    rows = [scores(reference, labels) for labels in runs]
    figures: dict[str, Any] = {}
    for metric in METRICS:
        std = np.std([row[metric] for row in rows], ddof=1) if len(rows) > 1 else 0.0
        figures[metric] = {**asdict(interval(reference, runs, speakers, metric)), "std": float(std)}
    emotions = rows[0]["per_emotion"]
    return {**figures, "per_emotion": {e: float(np.mean([row["per_emotion"][e] for row in rows])) for e in emotions}}


def comparison_table(compared: Mapping[str, Mapping[str, Any]], baseline: str | None = None) -> str:
    """Return what `compare` returned as a Markdown table, a row for each system."""
    head = ["system", "runs", *(f"{name} %" for name in METRICS.values())]
    if baseline is not None:
        head += [f"{name} above {baseline}" for name in METRICS.values()]
    body = []
    for system, figures in compared.items():
        row = [system, str(figures["runs"]), *(_cell(figures[metric], figures["runs"]) for metric in METRICS)]
        body.append([*row, *(_gaps(figures) if baseline is not None else [])])
    note = NOTE.format(utterances=next(iter(compared.values()))["utterances"])
    return "\n".join([*pipe_table(head, body), "", note, *([ABOVE.format(baseline=baseline)] if baseline else [])])


def gap_rows(compared: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]] | None:
    """Return heading and rows of the differences alone, without the baseline; None where none was given.

    Args:
        compared: what `compare` returned.
    """
    baseline = next((system for system, figures in compared.items() if "difference" not in figures), "")
    rows = [[system, *_gaps(figures)] for system, figures in compared.items() if "difference" in figures]
    head = ["system", *(f"{name} above {baseline}" for name in METRICS.values())]
    return (head, rows) if rows else None


def _gaps(figures: Mapping[str, Any]) -> list[str]:
    gaps = figures.get("difference", {})
    return [_cell(gaps[metric], 1, "+") if metric in gaps else NOTHING for metric in METRICS]


def _cell(figure: Mapping[str, float], runs: int, sign: str = "") -> str:
    value, low, high = (f"{100 * figure[name]:{sign}.1f}" for name in ("value", "low", "high"))
    deviation = f" ± {100 * figure['std']:.1f}" if runs > 1 else ""
    return f"{value}{deviation} [{low}, {high}]"
