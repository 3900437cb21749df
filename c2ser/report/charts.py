"""Charts as the page draws them: lines and points at their places in a picture of 360 × 240 units; ready pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2ser.label_sets import SEVEN
from c2ser.scoring.results_page import cell
from c2ser.training.curves import CURVES, Points, curve_title

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 346, 12, 196
"""The frame in which values are drawn."""


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes:
        kind: what it shows, which decides its look.
        points: "x,y" of its corners with blanks between.
    """

    kind: str
    points: str


@dataclass(frozen=True)
class Dot:
    """A point.

    Attributes:
        kind: what it shows, which decides its look.
        x: its place.
        y: its place, from above.
        text: what it says where a mouse rests on it.
    """

    kind: str
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A picture with two axes.

    Attributes:
        title: stands above it.
        x_label: what is drawn from left to right.
        y_label: what is drawn from below; "" where the title says it.
        x_ticks: place and text of each mark.
        y_ticks: the same.
        lines: below the points.
        dots: the points.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line]
    dots: list[Dot]


@dataclass(frozen=True)
class Bar:
    """A figure on a scale from 0 to 100.

    Attributes:
        name: what it is a figure of.
        count: number of utterances, or None.
        text: the figure with its interval, in percent.
        value: the figure, in percent.
        low: lower end of its interval; the figure itself where there is none.
        high: upper end.
    """

    name: str
    count: int | None
    text: str
    value: float
    low: float
    high: float


def data_address(path: Path) -> str:
    """Return an address that holds a PNG itself."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def bars(rows: Mapping[str, Mapping[str, Any]], figure: str = "ua") -> list[Bar]:
    """Return a figure of each row, with its interval.

    Args:
        rows: figures by name.
        figure: a fraction, such as "ua".
    """
    made = []
    for name, row in rows.items():
        value = 100 * row[figure]
        low, high = (100 * end for end in row.get("intervals", {}).get(figure, [row[figure]] * 2))
        made.append(Bar(name, row.get("utterances"), cell(row, figure, 100, 1), value, low, high))
    return made


def _ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator  # slow to import

    return [float(value) for value in MaxNLocator(5).tick_values(low, high)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _place(value: float, ticks: Sequence[float], start: float, end: float) -> float:
    return round(start + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (end - start), 1)


def _across(value: float, ticks: Sequence[float]) -> float:
    return _place(value, ticks, LEFT, RIGHT)


def _up(value: float, ticks: Sequence[float]) -> float:
    return _place(value, ticks, BOTTOM, TOP)


def reliability_chart(model: str, calibration: Mapping[str, Any]) -> Chart:
    """Return accuracy over confidence of groups of utterances.

    Args:
        model: the title.
        calibration: what `c2ser.scoring.calibration.calibration` returned.
    """
    ticks = [0.0, 25.0, 50.0, 75.0, 100.0]
    places, errors, dots = [], [], []
    for group in calibration["bins"]:
        x, y = _across(100 * group["confidence"], ticks), _up(100 * group["accuracy"], ticks)
        ideal = _up(100 * group["confidence"], ticks)
        text = f"confidence {100 * group['confidence']:.1f} %, accuracy {100 * group['accuracy']:.1f} %"
        places.append(f"{x},{y}")
        errors.append(Line("error", f"{x},{ideal} {x},{y}"))
        dots.append(Dot("group", x, y, f"{text}, {group['utterances']} utterances"))
    chance = _up(100 / calibration.get("classes", len(SEVEN)), ticks)
    lines = [Line("ideal", f"{LEFT},{BOTTOM} {RIGHT},{TOP}"), Line("chance", f"{LEFT},{chance} {RIGHT},{chance}")]
    marks = [(_across(tick, ticks), _number(tick)) for tick in ticks]
    ups = [(_up(tick, ticks), _number(tick)) for tick in ticks]
    lines += [*errors, Line("group", " ".join(places))]
    return Chart(model, "confidence, %", "accuracy, %", marks, ups, lines, dots)


def curve_chart(figure: str, curves: Mapping[str, Points], kept: float | None = None) -> Chart:
    """Return the curves of a training's figure over its steps.

    Args:
        figure: its name, such as "loss".
        curves: steps and values by kind, "train" or "valid".
        kept: the step whose weights are kept.
    """
    title = curve_title(figure)
    factor = 100 if title.endswith("%") else 1
    scaled = {kind: [(step, factor * value) for step, value in points] for kind, points in curves.items()}
    steps = [step for points in scaled.values() for step, _ in points]
    values = [value for points in scaled.values() for _, value in points]
    across, up = _ticks(0, max(steps)), _ticks(min(values), max(values))
    lines, dots = [], []
    if kept:
        lines.append(Line("kept", f"{_across(kept, across)},{BOTTOM} {_across(kept, across)},{TOP}"))
    for kind, points in scaled.items():
        lines.append(Line(kind, " ".join(f"{_across(step, across)},{_up(value, up)}" for step, value in points)))
        shown = points if len(points) < 30 else []
        dots += [
            Dot(kind, _across(step, across), _up(value, up), f"step {_number(step)}, {CURVES[kind][0]}: {value:.4g}")
            for step, value in shown
        ]
    marks = [(_across(tick, across), _number(tick)) for tick in across]
    ups = [(_up(tick, up), _number(tick)) for tick in up]
    return Chart(title, "step", "", marks, ups, lines, dots)
