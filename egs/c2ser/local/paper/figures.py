"""Figures 4 to 7: the composition of the training data, and the recall of each emotion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2ser.emotions import ordered
from c2ser.scoring.bootstrap import recall_intervals
from c2ser.scoring.pictures import plot_accuracies, plot_shares
from c2ser.tables import read_table
from paper.corpus_tables import LANGUAGES
from paper.data_parts import Part, by_class, merge_parts, read_part
from paper.reference import Figure, PaperTables
from paper.result_tables import Results, SystemResult
from paper.table_cells import Footnotes, percent

SHARES = {"4": "emotions", "5": "languages"}
"""The classes that a figure of the training data shows."""

BARS = "The paper draws pie charts; these are bars, because slices of 2 % are hard to compare."


def shares_section(number: str, paper: PaperTables, parts: Mapping[str, Mapping[str, Part]], folder: Path) -> list[str]:
    """Draw Figure 4 or 5, and return its lines of the page.

    Args:
        number: "4" or "5".
        paper: the reference values of the paper.
        parts: at least one training corpus, as returned by `training_parts`.
        folder: the folder of the PNG.
    """
    figure, names = paper.figures[number], {key: row.name for key, row in paper.training.rows.items()}
    counts = by_class({names[key]: merge_parts(sets.values()) for key, sets in parts.items()}, SHARES[number])
    order = ordered(counts) if number == "4" else sorted(counts, key=lambda code: -sum(counts[code].values()))
    shown = {LANGUAGES.get(kind, kind) if number == "5" else kind: counts[kind] for kind in order}
    path = folder / f"figure_{number}.png"
    plot_shares(shown, figure.caption, path)
    totals = {kind: sum(row.values()) for kind, row in shown.items()}
    shares = (f"{kind} {percent(total / sum(totals.values()))} % ({total:,})" for kind, total in totals.items())
    return _section(number, paper, path, f"Ours: {', '.join(shares)}. {BARS}")


def accuracies_section(number: str, paper: PaperTables, results: Results, data: Path, folder: Path) -> list[str]:
    """Draw Figure 6 or 7, and return its lines of the page; no lines if none of its systems was run.

    Args:
        number: "6" or "7".
        paper: the reference values of the paper.
        results: our results of the table that contains the figure's systems.
        data: the folder of the data directories.
        folder: the folder of the PNG.

    Raises:
        ValueError: the labels belong to other utterances than those of the data directory.
    """
    figure = paper.figures[number]
    names = {key: paper.results[figure.table].rows[key].name for key in figure.rows}
    systems = {key: results[key, figure.set] for key in figure.rows if (key, figure.set) in results}
    if not systems:
        return []
    part = read_part(data / figure.data)
    ends = {key: _ends(system, part) for key, system in systems.items()}
    path = folder / f"figure_{number}.png"
    plot_accuracies(
        {names[key]: system.figures["per_emotion"] for key, system in systems.items()},
        figure.caption,
        path,
        {names[key]: rows for key, rows in ends.items()},
        {names[key]: figure.stated_range[key] for key in systems if key in figure.stated_range},
    )
    recalls = [f"{names[key]}: {_recalls(system, ends[key])}." for key, system in systems.items()]
    lines = _section(number, paper, path, f"Ours, in percent, with 95 % intervals. {' '.join(recalls)}")
    return [*lines, *_unlike(figure, names, systems)]


def _ends(system: SystemResult, part: Part | None) -> dict[str, list[float]]:
    """Return the intervals of the recalls; nothing without labels, without a reference or with a single speaker."""
    labels = system.folder / "utt2emo"
    if part is None or not labels.exists() or len({*part.speakers.values()}) < 2:
        return {}
    intervals = recall_intervals(part.emotions, read_table(labels), part.speakers)
    return {emotion: [interval.low, interval.high] for emotion, interval in intervals.items()}


def _recalls(system: SystemResult, ends: Mapping[str, list[float]]) -> str:
    recalls = []
    for emotion, recall in system.figures["per_emotion"].items():
        interval = f" [{percent(ends[emotion][0])}, {percent(ends[emotion][1])}]" if emotion in ends else ""
        recalls.append(f"{emotion} {percent(recall)}{interval}")
    return ", ".join(recalls)


def _unlike(figure: Figure, names: Mapping[str, str], systems: Mapping[str, SystemResult]) -> list[str]:
    """Return a sentence for each system whose recalls lie outside the ranges that the paper's text states."""
    lines = []
    for key in (key for key in figure.stated_range if key in systems):
        recalls: Mapping[str, Any] = systems[key].figures["per_emotion"]
        ranges = figure.stated_range[key].items()
        outside = [emotion for emotion, (low, high) in ranges if not low <= 100 * recalls.get(emotion, 0.0) <= high]
        if outside:
            lines += [f"Unlike the paper's text, of {names[key]}: {', '.join(outside)}.", ""]
    return lines


def _section(number: str, paper: PaperTables, path: Path, description: str) -> list[str]:
    notes, figure = Footnotes(paper.notes), paper.figures[number]
    picture = f"![Figure {number}]({path.parent.name}/{path.name})"
    head = f"## Figure {number}. {figure.caption}{notes.marks(f'F{number}')}"
    return [head, "", picture, "", description, "", f"The paper's text: {figure.text}.", "", *notes.lines(), ""]
