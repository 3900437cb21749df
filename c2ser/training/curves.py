"""The figures of a training over its steps: kept in checkpoints, shown in TensorBoard, drawn at the end."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2ser.log import get_logger
from c2ser.scoring.palette import BLUE, CHANCE, KEPT, ORANGE, save_figure

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from torch.utils.tensorboard import SummaryWriter

logger = get_logger(__name__)


class Record:
    """Losses and validation figures over the steps.

    Attributes:
        history: rows with "step" and "train/…" or "valid/…" figures.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._writer: SummaryWriter | None = None
        self._hook = threading.excepthook

    def __bool__(self) -> bool:
        """Whether there were figures since the last entry."""
        return bool(self._sums)

    def open(self, folder: Path, step: int) -> None:
        """Show what follows in TensorBoard, and there nothing that a killed run showed after `step`."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and those who only draw do without it

        self._hook, threading.excepthook = threading.excepthook, _pass_over_system_errors
        try:
            self._writer = SummaryWriter(str(folder), purge_step=step + 1)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Write what TensorBoard still lacks."""
        self._show(lambda writer: writer.close())
        threading.excepthook = self._hook

    def _show(self, show: Callable[[SummaryWriter], object]) -> None:
        if self._writer:
            try:
                show(self._writer)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Train on without TensorBoard, which shows what checkpoints keep too."""
        self._writer = None
        logger.warning("TensorBoard's file cannot be written (%s); going on without it", error.strerror or error)

    def add(self, figures: Mapping[str, float]) -> None:
        """Take the figures of a step."""
        for name, value in figures.items():
            self._sums[name].append(value)

    def log(self, step: int) -> dict[str, float]:
        """Enter the means of the steps since the last time, and return them."""
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self.enter(step, "train", means)
        self._sums.clear()
        return means

    def enter(self, step: int, kind: str, figures: Mapping[str, float], texts: Mapping[str, str] = {}) -> None:
        """Enter figures, and show texts beside them."""
        self.history.append({"step": step, **{f"{kind}/{name}": value for name, value in figures.items()}})

        def show(writer: SummaryWriter) -> None:
            """Give TensorBoard the figures and texts."""
            for name, value in figures.items():
                writer.add_scalar(f"{kind}/{name}", value, step)
            for name, text in texts.items():
                writer.add_text(name, text, step)

        self._show(show)

    def validations_after(self, step: int) -> int:
        """Return how many validations there were after a step."""
        return sum(row["step"] > step and any(name.startswith("valid/") for name in row) for row in self.history)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; what TensorBoard shows up to here survives a kill too."""
        self._show(lambda writer: writer.flush())
        return {"history": self.history, "sums": dict(self._sums)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.history, self._sums = state["history"], defaultdict(list, state["sums"])


def _pass_over_system_errors(failure: threading.ExceptHookArgs) -> None:
    """Show a thread's traceback, except where it could not write: TensorBoard's tells who writes next."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)


Points = list[tuple[float, float]]
"""Steps and values of a curve."""

CURVES = {"train": ("training", BLUE, "o"), "valid": ("validation", ORANGE, "s")}
"""What the curves of each kind are called, their colour and the marker of their points."""

NAMES = {
    "ua": "UA, %",
    "frame": "frame loss",
    "utterance": "utterance loss",
    "category": "category loss",
    "class": "classifier loss",
    "explicit": "explicit answers, %",
    "score": "score, decides which step is kept",
}
"""What the axis of a figure is called, where its name says too little."""

COLUMNS = 3
"""Panels side by side, at most."""


def plot_curves(
    history: Sequence[Mapping[str, float]], path: Path, kept: int | None = None, chance: float | None = None
) -> None:
    """Draw the logged figures over the steps, one panel each as `curve_panels` gives them, into a PNG.

    Args:
        history: rows with "step" and "train/…" or "valid/…" figures.
        path: the PNG.
        kept: the step whose weights are kept.
        chance: UA of guessing, a fraction.
    """
    from matplotlib.figure import Figure

    panels = curve_panels(history)
    if not panels:
        return
    rows = -(-len(panels) // COLUMNS)
    widths = [len(panels) // rows + (row < len(panels) % rows) for row in range(rows)]
    figure = Figure(figsize=(4.2 * max(widths), 0.6 + 2.7 * rows), layout="constrained")
    places = [(row, column, width) for row, width in enumerate(widths) for column in range(width)]
    grid = figure.add_gridspec(rows, 6)  # rows of one, two and three panels fill it
    for (name, curves), (row, column, width) in zip(panels.items(), places, strict=True):
        axis = figure.add_subplot(grid[row, 6 // width * column : 6 // width * (column + 1)])
        _draw_panel(axis, name, curves)
        if name == "ua" and chance:
            axis.axhline(100 * chance, label="chance", **CHANCE)
        if kept:
            axis.axvline(kept, label=f"kept: step {kept}", **KEPT)
    pairs = [pair for axis in figure.axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {label: line for line, label in sorted(pairs, key=lambda pair: pair[1], reverse=True)}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles), frameon=False)
    save_figure(figure, path)


def _draw_panel(axis: Axes, name: str, curves: Mapping[str, Points]) -> None:
    label = curve_title(name)
    factor = 100 if label.endswith("%") else 1
    for kind, points in curves.items():
        steps, values = zip(*points, strict=True)
        title, colour, marker = CURVES[kind]
        scaled, shape = [factor * value for value in values], marker if len(points) < 30 else None
        axis.plot(steps, scaled, label=title, color=colour, marker=shape, markersize=3.5)
    if name == "ua":
        axis.set_ylim(0, 103)
    axis.set_xlabel("step")
    axis.set_ylabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)


def curve_title(name: str) -> str:
    """Return what the axis of a figure is called; a fraction whose title ends in "%" is shown in percent."""
    return NAMES.get(name, name.replace("_", " "))


def curve_panels(history: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Points]]:
    """Return the curves of each panel, by figure, then by kind, "train" or "valid".

    Left out are figures that another panel shows too, and settings that never change.

    Args:
        history: rows with "step" and "train/…" or "valid/…" figures.
    """
    panels: dict[str, dict[str, Points]] = {}
    for row in history:
        for name, value in row.items():
            if name != "step":
                kind, _, figure = name.partition("/")
                panels.setdefault(figure, {}).setdefault(kind, []).append((row["step"], value))
    shown: list[str] = []
    for name in sorted(panels, key=lambda name: (-len(panels[name]), name == "score")):  # the fullest first
        values = [value for _, value in panels[name].get("train", [])]
        constant = set(panels[name]) == {"train"} and len(values) > 1 and len(set(values)) == 1
        if not constant and not any(_is_in(panels[name], panels[other]) for other in shown):
            shown.append(name)
    return {name: curves for name, curves in panels.items() if name in shown}


def _is_in(curves: Mapping[str, Points], panel: Mapping[str, Points]) -> bool:
    """Return whether a panel shows all these curves, or their negatives."""
    return any(
        all([(step, sign * value) for step, value in points] == panel.get(kind) for kind, points in curves.items())
        for sign in (1, -1)
    )
