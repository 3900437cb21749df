"""Which pictures a page of results shows, with captions and with links that hold from where the page lies."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

TRAINING = "Training"
"""The heading of the pictures that belong to no set."""

OF_SET = {
    "comparison_{set}/per_emotion.png": "How much of each emotion the models recognise. The dotted line is chance.",
    "{model}/decode_{set}/confusion.png": "{model}: what was predicted (columns) for each true emotion (rows), "
    "as counts and in percent of the row.",
    "{model}/decode_{set}/durations.png": "{model}: accuracy of short and long utterances.",
    "stability_{set}/reliability.png": "Calibration: how often a label is right whose probability the model calls "
    "that high. On the diagonal, confidence can be believed.",
    "stability_{set}/flips.png": "How many labels change when the recording or the instruction changes a little. "
    "Lower is more stable.",
    "{probe}/decode_{set}/per_emotion.png": "{probe}: how much of each emotion a small classifier recognises from the "
    "embeddings alone. The dotted line is chance.",
    "{probe}/decode_{set}/embeddings.png": "{probe}: the embeddings of the utterances. Points of one emotion that lie "
    "together show that the encoder tells it apart.",
}
"""Pictures of a set, by their place in the folder of results, with their captions."""

CURVES = "{model}: losses and validation figures over the training steps. The dashed line is the step that was kept."
"""The caption of a training's curves."""


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows.

    Attributes:
        name: stands for it where it cannot be seen.
        link: its place, relative to the page, quoted as an address.
        caption: a sentence in plain English.
    """

    name: str
    link: str
    caption: str


def find_pictures(exp: Path, results: Iterable[tuple[str, str]], folder: Path) -> dict[str, list[Picture]]:
    """Return the pictures that exist, by set, and last those of the trainings under `TRAINING`.

    Args:
        exp: folder of the results.
        results: set and model of each result; models that label by their label scores alone are not shown.
        folder: where the page will lie.
    """
    models: dict[str, list[str]] = {}
    for name, model in sorted(results):
        models.setdefault(name, []).extend([model] * (not model.endswith("_label_score")))
    probes = sorted(path.name for path in exp.glob("probe*") if path.is_dir())
    pictures = {}
    for name, members in models.items():
        places = [place for pattern in OF_SET for place in _places(pattern, name, members, probes)]
        pictures[name] = [_picture(exp / place, caption, folder) for place, caption in places if (exp / place).exists()]
    curves = sorted(exp.glob("*/curves.png"))
    pictures[TRAINING] = [_picture(path, CURVES.format(model=path.parent.name), folder) for path in curves]
    return pictures


def _places(pattern: str, name: str, models: Sequence[str], probes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what a pattern stands for, with the caption: once for each model, or for each probe."""
    owner = next((kind for kind in ("model", "probe") if f"{{{kind}}}" in pattern), "")
    for member in {"model": models, "probe": probes}.get(owner, [""]):
        values = {"set": name, owner or "model": member}
        yield pattern.format(**values), OF_SET[pattern].format(**values)


def _picture(path: Path, caption: str, folder: Path) -> Picture:
    return Picture(path.stem, quote(Path(os.path.relpath(path, folder)).as_posix()), caption)


def picture_lines(pictures: Iterable[Picture]) -> list[str]:
    """Return Markdown that shows pictures, each under its caption."""
    return [line for picture in pictures for line in (picture.caption, "", f"![{picture.name}]({picture.link})", "")]
