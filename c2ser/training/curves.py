"""A picture of a training: its losses and its validation figures over the steps."""

from pathlib import Path

from c2ser.log import get_logger

logger = get_logger(__name__)


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
    drawing.savefig(path, dpi=120)
    pyplot.close(drawing)
