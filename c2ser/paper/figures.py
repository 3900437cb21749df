"""Figures 4 to 7: what the training data consists of, and how much of each emotion is recognised."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2ser.emotions import ordered
from c2ser.paper.cells import Footnotes, percent
from c2ser.paper.corpora import LANGUAGES
from c2ser.paper.data import Part, by_class, read_part, together
from c2ser.paper.printed import Figure, Paper
from c2ser.paper.results import Found, Results
from c2ser.scoring.bootstrap import recall_intervals
from c2ser.scoring.pictures import plot_accuracies, plot_shares
from c2ser.tables import read_table

SHARES = {"4": "emotions", "5": "languages"}
"""Which classes a figure of the training data counts."""

BARS = "The paper draws pies; these are bars, because slices of 2 % cannot be compared."


def shares_section(number: str, paper: Paper, parts: Mapping[str, Mapping[str, Part]], folder: Path) -> list[str]:
    """Draw Figure 4 or 5, and return the lines that show it.

    Args:
        number: "4" or "5".
        paper: what is printed.
        parts: training corpora, as `training_parts` returned them; there is at least one.
        folder: where the PNG goes.
    """
    figure, names = paper.figures[number], {key: row.name for key, row in paper.training.rows.items()}
    counts = by_class({names[key]: together(sets.values()) for key, sets in parts.items()}, SHARES[number])
    order = ordered(counts) if number == "4" else sorted(counts, key=lambda code: -sum(counts[code].values()))
    shown = {LANGUAGES.get(kind, kind) if number == "5" else kind: counts[kind] for kind in order}
    path = folder / f"figure_{number}.png"
    plot_shares(shown, figure.caption, path)
    totals = {kind: sum(row.values()) for kind, row in shown.items()}
    words = ", ".join(f"{kind} {percent(total / sum(totals.values()))} % ({total:,})" for kind, total in totals.items())
    return _section(number, paper, path, f"Ours: {words}. {BARS}")


def accuracies_section(number: str, paper: Paper, results: Results, data: Path, folder: Path) -> list[str]:
    """Draw Figure 6 or 7, and return the lines that show it; none where none of its systems was run.

    Args:
        number: "6" or "7".
        paper: what is printed.
        results: ours, of the table that the figure's systems stand in.
        data: folder of the data directories.
        folder: where the PNG goes.

    Raises:
        ValueError: labels are of other utterances than the data directory has.
    """
    figure = paper.figures[number]
    names = {key: paper.results[figure.table].rows[key].name for key in figure.rows}
    found = {key: results[key, figure.set] for key in figure.rows if (key, figure.set) in results}
    if not found:
        return []
    part = read_part(data / figure.data)
    ends = {key: _ends(one, part) for key, one in found.items()}
    path = folder / f"figure_{number}.png"
    plot_accuracies(
        {names[key]: one.figures["per_emotion"] for key, one in found.items()},
        figure.caption,
        path,
        {names[key]: rows for key, rows in ends.items()},
        {names[key]: figure.said[key] for key in found if key in figure.said},
    )
    words = [f"{names[key]}: {_recalls(one, ends[key])}." for key, one in found.items()]
    lines = _section(number, paper, path, f"Ours, in percent, with 95 % intervals. {' '.join(words)}")
    return [*lines, *_unlike(figure, names, found)]


def _ends(found: Found, part: Part | None) -> dict[str, list[float]]:
    """Return the intervals of recalls; nothing without labels, reference or a second speaker."""
    labels = found.folder / "utt2emo"
    if part is None or not labels.exists() or len({*part.speakers.values()}) < 2:
        return {}
    intervals = recall_intervals(part.emotions, read_table(labels), part.speakers)
    return {emotion: [one.low, one.high] for emotion, one in intervals.items()}


def _recalls(found: Found, ends: Mapping[str, list[float]]) -> str:
    words = []
    for emotion, recall in found.figures["per_emotion"].items():
        behind = f" [{percent(ends[emotion][0])}, {percent(ends[emotion][1])}]" if emotion in ends else ""
        words.append(f"{emotion} {percent(recall)}{behind}")
    return ", ".join(words)


def _unlike(figure: Figure, names: Mapping[str, str], found: Mapping[str, Found]) -> list[str]:
    """Return a sentence for each system that is not what the paper's text says of it."""
    lines = []
    for key in (key for key in figure.said if key in found):
        recalls: Mapping[str, Any] = found[key].figures["per_emotion"]
        other = [e for e, (low, high) in figure.said[key].items() if not low <= 100 * recalls.get(e, 0.0) <= high]
        if other:
            lines += [f"Unlike the paper's text, of {names[key]}: {', '.join(other)}.", ""]
    return lines


def _section(number: str, paper: Paper, path: Path, words: str) -> list[str]:
    notes, figure = Footnotes(paper.notes), paper.figures[number]
    picture = f"![Figure {number}]({path.parent.name}/{path.name})"
    head = f"## Figure {number}. {figure.caption}{notes.marks(f'F{number}')}"
    return [head, "", picture, "", words, "", f"The paper's text: {figure.text}.", "", *notes.lines(), ""]
