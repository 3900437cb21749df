"""The figures of a training over its steps: kept in checkpoints, shown in TensorBoard, drawn at the end."""

import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from c2ser.tables import write_bytes


class Record:
    """Losses and validation figures over the steps.

    Attributes:
        history: rows with "step" and "train/…" or "valid/…" figures.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._writer: SummaryWriter | None = None

    def open(self, folder: Path, step: int) -> None:
        """Show what follows in TensorBoard, and there nothing that a killed run showed after `step`."""
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def close(self) -> None:
        """Write what TensorBoard still lacks."""
        if self._writer:
            self._writer.close()

    def add(self, figures: Mapping[str, float]) -> None:
        """Take the figures of a step."""
        for name, value in figures.items():
            self._sums[name].append(value)

    def log(self, step: int) -> None:
        """Enter the means of the steps since the last time."""
        self.enter(step, "train", {name: sum(values) / len(values) for name, values in self._sums.items()})
        self._sums.clear()

    def enter(self, step: int, kind: str, figures: Mapping[str, float], texts: Mapping[str, str] = {}) -> None:
        """Enter figures, and show texts beside them."""
        self.history.append({"step": step, **{f"{kind}/{name}": value for name, value in figures.items()}})
        if self._writer:
            for name, value in figures.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)
            for name, text in texts.items():
                self._writer.add_text(name, text, step)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; what TensorBoard shows up to here survives a kill too."""
        if self._writer:
            self._writer.flush()
        return {"history": self.history, "sums": dict(self._sums)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.history, self._sums = state["history"], defaultdict(list, state["sums"])


def plot_curves(history: list[dict[str, float]], path: Path) -> None:
    """Draw every logged figure over the steps, one panel each, into a PNG.

    Args:
        history: rows with "step" and "train/…" or "valid/…" figures.
        path: the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in history:
        for name, value in row.items():
            if name != "step":
                kind, _, figure = name.partition("/")
                panels.setdefault(figure, {}).setdefault(kind, []).append((row["step"], value))
    if not panels:
        return
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    drawing, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (figure, lines) in zip(axes.flat, panels.items(), strict=False):
        for kind, points in sorted(lines.items()):
            axis.plot(*zip(*points, strict=True), label=kind, marker="." if len(points) < 30 else None)
        axis.set_title(figure.replace("_", " "))
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend()
    drawing.tight_layout()
    content = io.BytesIO()
    drawing.savefig(content, dpi=120)
    pyplot.close(drawing)
    write_bytes(path, content.getvalue())
