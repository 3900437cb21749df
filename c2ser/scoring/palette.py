"""The look that all pictures share: colours that colour-blind people can tell apart, markers, and how to save."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2ser.emotions import UNPARSED, ordered
from c2ser.tables import write_bytes

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, YELLOW, GREY, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#999999", "#000000"
"""The palette of Okabe and Ito (2008), with the grey that is used beside it."""

SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)
"""The colours of systems, curves and parts of a whole, in this order; then they begin again."""

CHANCE: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "linestyle": ":"}
"""How the line of the chance level looks."""

KEPT: dict[str, Any] = {"color": VERMILLION, "linewidth": 1.2, "linestyle": "--"}
"""How the line of the kept step looks."""

UNREADABLE = "unreadable"
"""What people read for answers that name no single emotion, and for missing ones; tables say `unparsed`."""


@dataclass(frozen=True)
class Look:
    """How the points of a class are drawn.

    Attributes:
        colour: hexadecimal RGB.
        marker: matplotlib's sign for a shape.
    """

    colour: str
    marker: str


LOOKS = {
    "anger": Look(VERMILLION, "^"),
    "happiness": Look(ORANGE, "o"),
    "neutral": Look(GREY, "s"),
    "sadness": Look(BLUE, "v"),
    "surprise": Look(PURPLE, "*"),
    "disgust": Look(GREEN, "D"),
    "fear": Look(SKY, "X"),
}
"""The look of each of the seven emotions."""

MORE_MARKERS = ("P", "<", "p", ">", "h", "d", "8", "H")
"""The markers of a corpus' own classes, in their order; then they begin again."""

MORE_COLOURS = (YELLOW, BLACK, *SERIES[:-2])
"""The colours of a corpus' own classes, in their order; then they begin again."""


def class_looks(classes: Iterable[str]) -> dict[str, Look]:
    """Return the look of each class, in the order of tables.

    Up to eight classes beyond the seven emotions have a marker that no other class has; colours repeat earlier.
    """
    more = map(Look, cycle(MORE_COLOURS), cycle(MORE_MARKERS))
    return {name: LOOKS.get(name) or next(more) for name in ordered(classes)}


def class_title(label: str) -> str:
    """Return what people read for a label."""
    return UNREADABLE if label == UNPARSED else label


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty picture of that size in inches, and its axes without a frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def add_legend(axis: Axes, **options: Any) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, **options)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture as PNG, cut to what is drawn; the file is never there in part."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, bbox_inches="tight")
    write_bytes(path, content.getvalue())
