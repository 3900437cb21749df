"""Cells of the paper's tables: ours beside the paper's, best ones marked, footnotes numbered as they occur."""

from collections.abc import Mapping, Sequence
from typing import Any

from c2ser.paper.printed import Note

NOTHING = "–"
"""Stands where nothing was run or nothing is printed."""

UNLIKE = "≠"
"""Stands before a figure of the paper that ours is sure not to be."""

BLANK = "\u00a0"
"""Stands where a cell must not be broken."""

SHAPES = ("**{}**", "<u>{}</u>")
"""How the best and the second best are marked."""


class Footnotes:
    """The notes of one table, numbered in the order in which their places are written.

    Args:
        notes: of all tables.
    """

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = notes
        self.used: list[Note] = []

    def marks(self, *addresses: str) -> str:
        """Return the numbers of the notes about any of these places, as a superscript; "" where there is none."""
        found = [note for note in self.notes if set(addresses) & set(note.at)]
        self.used += [note for note in found if note not in self.used]
        numbers = sorted(self.used.index(note) + 1 for note in found)
        return f"<sup>{','.join(map(str, numbers))}</sup>" if numbers else ""

    def lines(self) -> list[str]:
        """Return the notes that were referred to, as a numbered list."""
        return [f"{number}. {note.text}" for number, note in enumerate(self.used, start=1)]


def beside(ours: str | None, printed: str | None, unlike: bool = False, marks: str = "") -> str:
    """Return a cell with ours and the paper's: the same words but once, lists one above the other.

    Args:
        ours: None where nothing was run.
        printed: None where nothing is printed.
        unlike: whether ours is sure not to be the paper's.
        marks: of footnotes.
    """
    if ours == printed and ours is not None and not any(sign.isdigit() for sign in ours):
        return f"{ours}{marks}"
    sign = f"{UNLIKE}{BLANK}" if unlike else ""
    listed = ours is not None and any(", " in (text or "") for text in (ours, printed))
    return f"{ours or NOTHING}{'<br>' if listed else BLANK}/{BLANK}{sign}{printed or NOTHING}{marks}"


def count_cell(ours: int | None, printed: int | None, marks: str = "") -> str:
    """Return a cell with numbers of utterances; any difference is one."""
    shown = [None if number is None else f"{number:,}" for number in (ours, printed)]
    return beside(*shown, None not in (ours, printed) and ours != printed, marks)


def hours_cell(ours: float | None, printed: float | None, marks: str = "") -> str:
    """Return a cell with hours; they differ where they do in the places that are printed."""
    if printed is None:
        return beside(None if ours is None else f"{ours:.2f}", None, marks=marks)
    places = len(str(printed).partition(".")[2])
    unlike = ours is not None and round(ours, places) != printed
    return beside(None if ours is None else f"{ours:.2f}", str(printed), unlike, marks)


def figure_cell(
    figures: Mapping[str, Any] | None, metric: str, printed: float, alone: bool, rank: int | None, marks: str
) -> str:
    """Return a cell of a table of results, in percent; what belongs to ours stands in lines of its own below.

    Args:
        figures: what `read_scores` returned, or None.
        metric: its name there.
        printed: the paper's, in percent.
        alone: whether the paper's stands alone where we have none.
        rank: 0 for the best, 1 for the second best, None for the others.
        marks: of footnotes.
    """
    if figures is None:
        return f"{printed:.2f}{marks}" if alone else beside(None, f"{printed:.2f}", marks=marks)
    value = percent(figures[metric])
    ours, ends = value if rank is None else SHAPES[rank].format(value), figures.get("intervals", {}).get(metric)
    lines = [beside(ours, f"{printed:.2f}", bool(ends) and outside(printed, ends), marks)]
    if ends:
        lines.append(f"[{percent(ends[0])}, {percent(ends[1])}]")
    lines += _other_figures(figures, metric, value)
    return "<br>".join(line.replace(" ", BLANK) for line in lines)


def _other_figures(figures: Mapping[str, Any], metric: str, value: str) -> list[str]:
    """Return the mean over folds and the other F1, where they are other figures."""
    others = []
    mean = figures.get("mean", {}).get(metric)
    if mean is not None and percent(mean) != value:
        others.append(f"(folds {percent(mean)})")
    other = {"f1_union": "f1_reference", "f1_reference": "f1_union"}.get(metric)
    if other and percent(figures[other]) != value:
        others.append(f"({other.removeprefix('f1_')} {percent(figures[other])})")
    return others


def outside(printed: float, ends: Sequence[float]) -> bool:
    """Return whether a printed figure, in percent with two places, lies outside an interval of fractions."""
    return not 100 * ends[0] - 0.005 <= printed <= 100 * ends[1] + 0.005


def percent(fraction: float) -> str:
    """Return a fraction as percent with one place."""
    return f"{100 * fraction:.1f}"


def ranks(values: Mapping[str, float], places: int) -> dict[str, int]:
    """Return who is best (0) and second best (1), up to so many places; nothing where all are equal.

    Args:
        values: figures by name, as fractions; equal in the places shown is equal.
        places: how many are wanted.
    """
    shown = {name: round(100 * value, 1) for name, value in values.items()}
    order = sorted(set(shown.values()), reverse=True)
    if len(order) < 2:
        return {}
    return {name: order.index(value) for name, value in shown.items() if value in order[:places]}
