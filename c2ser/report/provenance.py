"""Where results come from: curves, commands and settings of the trainings, and the versions of what made the page."""

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import c2ser
from c2ser.cli import commit, processor
from c2ser.report.charts import Chart, curve_chart, data_address
from c2ser.tables import read_json
from c2ser.training.curves import curve_panels

PACKAGES = ("torch", "torchaudio", "transformers", "peft", "accelerate", "numpy", "scikit-learn", "soundfile", "penn")
"""The packages whose versions are shown."""


@dataclass(frozen=True)
class Training:
    """What is known of a training.

    Attributes:
        name: its folder below the results.
        charts: its losses and validation figures.
        picture: address of the picture with its curves, where the figures are no longer there; else "".
        kept: the step whose weights are kept, or None.
        command: the lines at the head of its log: the command, and when and where it began.
        settings: its config.yaml; "" where there is none.
    """

    name: str
    charts: list[Chart]
    picture: str
    kept: int | None
    command: str
    settings: str


def read_trainings(exp: Path, model: str | None = None) -> list[Training]:
    """Return the trainings below a folder, or a model's alone: those whose folders hold curves.png or config.yaml."""
    places = ("*", "*/*") if model is None else (escape(model),)
    found = {path.parent for place in places for path in exp.glob(f"{place}/c*") if path.name in MARKS}
    return [_read_training(exp, folder) for folder in sorted(found)]


MARKS = ("curves.png", "config.yaml")
"""Files that a training leaves in its folder."""


def _read_training(exp: Path, folder: Path) -> Training:
    state = _newest_state(folder)
    kept = (state.get("best") or {}).get("step")
    panels = curve_panels(state.get("history", []))
    charts = [curve_chart(name, curves, kept) for name, curves in panels.items()]
    drawn, settings, log = folder / "curves.png", folder / "config.yaml", folder / "train.log"
    return Training(
        name=folder.relative_to(exp).as_posix(),
        charts=charts,
        picture=data_address(drawn) if drawn.exists() and not charts else "",
        kept=kept,
        command=_head(log) if log.exists() else "",
        settings=settings.read_text("utf-8", errors="replace") if settings.exists() else "",
    )


def _newest_state(folder: Path) -> dict[str, Any]:
    """Return what the newest checkpoint knows of the steps; nothing where checkpoints were removed."""
    states = sorted(folder.glob("checkpoints/step_*/state.json"))
    return read_json(states[-1]) if states else {}


def _head(log: Path) -> str:
    """Return the lines with which a launcher began a log, without their marks."""
    lines = []
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.startswith("# "):
                break
            lines.append(line[2:].rstrip("\n"))
    return "\n".join(lines)


def versions() -> Mapping[str, str]:
    """Return what makes this page: date, commit, machine, and the versions of packages."""
    packages = {name: _version(name) for name in PACKAGES}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "C²SER toolkit": f"{c2ser.__version__}, commit {commit()}",
        "machine": f"{processor()}, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: version for name, version in packages.items() if version},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
