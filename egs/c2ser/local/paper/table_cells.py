"""Cells of the tables: our value and the paper's value, marks for the best values, numbered footnotes."""

from collections.abc import Mapping, Sequence
from typing import Any

from paper.reference import Note

NOTHING = "–"
"""Shown where nothing was run, or where the paper prints nothing."""

UNLIKE = "≠"
"""Shown before a value of the paper that clearly differs from ours."""

BLANK = "\u00a0"
"""The space inside a cell; no line break can come at it."""

SHAPES = ("**{}**", "<u>{}</u>")
"""Marks of the best value and of the second best."""


class Footnotes:
    """The notes of one table, numbered in the order in which the table refers to them.

    Args:
        notes: the notes of all tables.
    """

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = notes
        self.used: list[Note] = []

    def marks(self, *addresses: str) -> str:
        """Return the numbers of the notes about any of these addresses, as a superscript; "" if there is no note."""
        matching = [note for note in self.notes if set(addresses) & set(note.at)]
        self.used += [note for note in matching if note not in self.used]
        numbers = sorted(self.used.index(note) + 1 for note in matching)
        return f"<sup>{','.join(map(str, numbers))}</sup>" if numbers else ""

    def lines(self) -> list[str]:
        """Return the notes that the table refers to, as a numbered list."""
        return [f"{number}. {note.text}" for number, note in enumerate(self.used, start=1)]


def side_by_side(ours: str | None, printed: str | None, unlike: bool = False, marks: str = "") -> str:
    """Return a cell with our value, a slash and the paper's value.

    Equal texts without digits are shown once. Lists are shown on two lines.

    Args:
        ours: our value; None if nothing was run.
        printed: the paper's value; None if it prints none.
        unlike: whether the two values clearly differ.
        marks: numbers of footnotes.
    """
    if ours == printed and ours is not None and not any(sign.isdigit() for sign in ours):
        return f"{ours}{marks}"
    sign = f"{UNLIKE}{BLANK}" if unlike else ""
    listed = ours is not None and any(", " in (text or "") for text in (ours, printed))
    return f"{ours or NOTHING}{'<br>' if listed else BLANK}/{BLANK}{sign}{printed or NOTHING}{marks}"


def count_cell(ours: int | None, printed: int | None, marks: str = "") -> str:
    """Return a cell with numbers of utterances; two different numbers are marked as different."""
    shown, reference = (None if number is None else f"{number:,}" for number in (ours, printed))
    return side_by_side(shown, reference, None not in (ours, printed) and ours != printed, marks)


def hours_cell(ours: float | None, printed: float | None, marks: str = "") -> str:
    """Return a cell with hours; they are compared after rounding to the decimals that the paper prints."""
    if printed is None:
        return side_by_side(None if ours is None else f"{ours:.2f}", None, marks=marks)
    places = len(str(printed).partition(".")[2])
    unlike = ours is not None and round(ours, places) != printed
    return side_by_side(None if ours is None else f"{ours:.2f}", str(printed), unlike, marks)


def figure_cell(
    figures: Mapping[str, Any] | None, metric: str, printed: float | None, alone: bool, rank: int | None, marks: str
) -> str:
    """Return a cell of a table of results, in percent; intervals and other figures of ours follow on lines below.

    Args:
        figures: what `read_scores` returned; None if nothing was run.
        metric: the name of the value in it.
        printed: the paper's value, in percent; None of a system that the paper has not.
        alone: if nothing was run, show the paper's value without a slash.
        rank: 0 for the best value, 1 for the second best, None for all others.
        marks: numbers of footnotes.
    """
    if figures is None and printed is None:
        return f"{NOTHING}{marks}"
    if figures is None:
        return f"{printed:.2f}{marks}" if alone else side_by_side(None, f"{printed:.2f}", marks=marks)
    value = percent(figures[metric])
    ours, ends = value if rank is None else SHAPES[rank].format(value), figures.get("intervals", {}).get(metric)
    unlike = bool(ends) and printed is not None and outside(printed, ends)
    lines = [f"{ours}{marks}" if printed is None else side_by_side(ours, f"{printed:.2f}", unlike, marks)]
    if ends:
        lines.append(f"[{percent(ends[0])}, {percent(ends[1])}]")
    lines += _other_figures(figures, metric, value)
    return "<br>".join(line.replace(" ", BLANK) for line in lines)


def _other_figures(figures: Mapping[str, Any], metric: str, value: str) -> list[str]:
    """Return the parser's value under a judge's, and the mean over folds and the other kind of F1 if they differ."""
    extra = [f"(parser {percent(figures['parser'][metric])})"] if "parser" in figures else []
    mean = figures.get("mean", {}).get(metric)
    if mean is not None and percent(mean) != value:
        extra.append(f"(folds {percent(mean)})")
    other = {"f1_union": "f1_reference", "f1_reference": "f1_union"}.get(metric)
    if other and percent(figures[other]) != value:
        extra.append(f"({other.removeprefix('f1_')} {percent(figures[other])})")
    return extra


def outside(printed: float, ends: Sequence[float]) -> bool:
    """Return whether a printed value (percent, two decimals) lies outside an interval of fractions."""
    return not 100 * ends[0] - 0.005 <= printed <= 100 * ends[1] + 0.005


def percent(fraction: float) -> str:
    """Return a fraction as percent with one decimal."""
    return f"{100 * fraction:.1f}"


def ranks(values: Mapping[str, float], places: int) -> dict[str, int]:
    """Return who is best (0) and who is second best (1); nothing if all values are equal.

    Args:
        values: fractions by name; two values that look equal on the page count as equal.
        places: how many ranks are wanted: 2, 1 or 0.
    """
    shown = {name: round(100 * value, 1) for name, value in values.items()}
    order = sorted(set(shown.values()), reverse=True)
    if len(order) < 2:
        return {}
    return {name: order.index(value) for name, value in shown.items() if value in order[:places]}
