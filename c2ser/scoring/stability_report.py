"""The stability report for people: a Markdown table and pictures."""

import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from c2ser.emotions import ATTRIBUTES
from c2ser.scoring.palette import SERIES, add_legend, new_figure, save_figure
from c2ser.scoring.pictures import reach
from c2ser.scoring.results_page import NOTHING, cell, pipe_table

ROWS = {
    "UA %": ("ua", 100, 1),
    "macro F1 %, over the reference's emotions": ("f1_reference", 100, 1),
    "macro F1 %, over predicted emotions too": ("f1_union", 100, 1),
    "unreadable answers %": ("answers.unreadable", 100, 1),
    "… missing": ("answers.missing", 100, 1),
    "… empty": ("answers.empty", 100, 1),
    "… several emotions": ("answers.several", 100, 1),
    "… emotions only denied": ("answers.denied", 100, 1),
    "… only emotions beyond the classes": ("answers.foreign", 100, 1),
    "… refusals": ("answers.refusal", 100, 1),
    "… no emotion": ("answers.nothing", 100, 1),
    "answers with an emotion that this set lacks %": ("answers.out_of_set", 100, 1),
    "judge minus parser, UA points": ("judge.gap_ua", 100, 1),
    "judge and parser, kappa": ("judge.kappa", 1, 3),
    "quotes a transcript %": ("transcripts.quoted", 100, 1),
    "WER % of it": ("transcripts.wer", 100, 1),
    "CER % of it": ("transcripts.cer", 100, 1),
    **{f"{name} stated %": (f"levels.{name}.stated", 100, 1) for name in ATTRIBUTES},
    **{f"{name} stated rightly %, balanced": (f"levels.{name}.balanced_accuracy", 100, 1) for name in ATTRIBUTES},
    **{f"{name} contradicted %": (f"levels.{name}.contradicted", 100, 1) for name in ATTRIBUTES},
    "rationales that name an emotion": ("rationales.compared", 1, 0),
    "… and agree with the conclusion %": ("rationales.agreement", 100, 1),
    "same text: accuracy %": ("same_text.accuracy", 100, 1),
    "same text: chance %": ("same_text.chance", 100, 1),
    "same text: skill": ("same_text.skill", 1, 3),
    "paraphrases of the instruction": ("wordings.number", 1, 0),
    "… labels that one flips %, mean": ("wordings.flips", 100, 1),
    "… UA % of the worst wording": ("wordings.worst_ua", 100, 1),
    "ECE": ("calibration.ece", 1, 3),
    "Brier score": ("calibration.brier", 1, 3),
    "NLL, nats": ("calibration.nll", 1, 3),
    "AURC": ("calibration.aurc", 1, 3),
    "coverage % at 90 % accuracy": ("calibration.coverage_at_90", 100, 1),
}
"""What stands in a row: heading, and the place of the figure, factor, decimals."""

NOTE = """docs/metrics.md defines each figure. In brackets: 95 % intervals, from speakers drawn with replacement. What
was not measured is left out, or – for one model."""


def report_page(report: Mapping[str, Any]) -> str:
    """Return a stability report as Markdown, a column for each model; rows that no model has are left out."""
    title = f"# Stability on {report['set']}, {report['utterances']} utterances"
    agreed = [sentence, ""] if (sentence := agreement_sentence(report)) else []
    return "\n".join([title, "", *pipe_table(*stability_rows(report)), "", *agreed, NOTE])


def stability_rows(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the table of a stability report, a column for each model."""
    models = report["models"]
    rows = [[heading, *(cell(figures, *rule) for figures in models.values())] for heading, rule in ROWS.items()]
    for part, heading, figure in GROUPS:
        rows += _group_rows(models, part, heading, figure)
    return ["", *models], [row for row in rows if any(shown != NOTHING for shown in row[1:])]


def agreement_sentence(report: Mapping[str, Any]) -> str:
    """Return how often explicit and implicit labels are the same; "" where there are not both."""
    if "explicit_implicit" not in report:
        return ""
    both = report["explicit_implicit"]
    return (f"Explicit and implicit labels are the same for {cell(both, 'agreement', 100, 1)} % of "
            f"{both['utterances']} utterances, kappa {cell(both, 'kappa', 1, 3)}.")  # fmt: skip


GROUPS = (
    ("languages", "UA % of {}", "ua"),
    ("durations", "UA % of {}", "ua"),
    ("variants", "labels that {} flips %", "flips"),
    ("variants", "UA % with {}", "ua"),
    ("variants", "UA points gained by {}", "ua_change"),
)
"""Rows for each member of a group: its place, the heading, the figure, a fraction."""


def _group_rows(models: Mapping[str, Mapping[str, Any]], part: str, heading: str, figure: str) -> Iterator[list[str]]:
    for name in dict.fromkeys(name for figures in models.values() for name in figures.get(part, {})):
        rows = [figures.get(part, {}).get(name, {}) for figures in models.values()]
        yield [heading.format(name), *(cell(row, figure, 100, 1) for row in rows)]


CHANGES = "change (noise: signal-to-noise ratio in dB, gain in dB, speed: factor, wording: paraphrase)"
"""What the names of variants mean."""


def plot_flips(report: Mapping[str, Any], path: Path) -> bool:
    """Draw how many labels each variant flips, with intervals, as groups of bars.

    Args:
        report: what `c2ser.scoring.stability.measure_stability` returned.
        path: the PNG.

    Returns:
        whether there was anything to draw.
    """
    models = {model: figures["variants"] for model, figures in report["models"].items() if "variants" in figures}
    names = sorted({name for variants in models.values() for name in variants}, key=natural_order)
    if not names:
        return False
    width = 0.8 / len(models)
    figure, axis = new_figure(max(5.0, 1.5 + 0.9 * len(names)), 3.8)
    for number, ((model, variants), colour) in enumerate(zip(models.items(), cycle(SERIES), strict=False)):
        drawn = {place: variants[name] for place, name in enumerate(names) if name in variants}
        middles = [place + (number - (len(models) - 1) / 2) * width for place in drawn]
        heights = np.array([100 * row["flips"] for row in drawn.values()])
        axis.bar(middles, heights, width * 0.92, label=model, color=colour)
        axis.errorbar(middles, heights, yerr=reach(drawn.values(), "flips"), fmt="none", ecolor="black", capsize=2)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axis.set_xlabel(CHANGES, fontsize=9)
    axis.set_ylabel("labels that change, %")
    axis.set_ylim(0, max(10.0, axis.get_ylim()[1]))
    axis.set_title(f"Labels that change on {report['set']}, with 95 % intervals", fontsize=11)
    add_legend(axis)
    save_figure(figure, path)
    return True


def natural_order(name: str) -> tuple[str, float]:
    """Return what sorts the names of variants: by word, then by number."""
    match = re.fullmatch(r"([a-z]+)(.*)", name)
    return (match[1], float(match[2])) if match else (name, 0.0)
