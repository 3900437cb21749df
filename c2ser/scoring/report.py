"""Results for people: a Markdown table of all models, and confusion matrices as pictures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from c2ser.emotions import UNPARSED, ordered
from c2ser.tables import read_json

COLUMNS = {
    "UA %": ("ua", 100, 1),
    "WA %": ("wa", 100, 1),
    "macro F1 %": ("f1_reference", 100, 1),
    "F1 union %": ("f1_union", 100, 1),
    "judge: UA %": ("judge.ua", 100, 1),
    "judge minus parser": ("judge.gap_ua", 100, 1),
    "unreadable": ("unreadable", 1, 0),
    "utterances": ("utterances", 1, 0),
    "tokens": ("tokens_mean", 1, 1),
    "ms": ("ms_mean", 1, 1),
    "names all %": ("names_all", 100, 1),
    "levels %": ("level_accuracy", 100, 1),
    "WER %": ("wer", 100, 1),
}
"""Heading, and which figure stands under it: its place in scores.json, factor, decimals."""

NOTHING = "–"
"""What stands for a figure that is not there."""

LEGEND = """UA: mean recall of the emotions. WA: accuracy. Macro F1: over the reference's emotions; union: over those
that were only answered too. Judge: what a language model reads in the same answers, and how far that lies above what
the parser reads, which is in all other columns. Unreadable: answers without a single emotion, or missing; they count as
wrong. Tokens and ms: mean length of an answer and the time it takes. Names all: explicit answers that name a transcript
and three levels; levels: how many of all levels are right; WER: of the transcript. In brackets: 95 % intervals, from
speakers drawn with replacement; too narrow where there are under ten speakers. Mean of folds: what EmoBox reports of a
cross-validation. Label score: the most probable of the seven emotions, another decision than the answer."""


def find_results(exp: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the content of every `<model>/decode_<set>/scores.json` below a folder, by (set, model).

    A model may lie one or two folders deeper, as `finetune/epoch_3` and, under a tag, `<tag>/finetune/epoch_3` do.
    """
    found = {}
    for path in sorted(path for deep in ("*", "*/*", "*/*/*") for path in exp.glob(f"{deep}/decode_*/scores.json")):
        model = path.parent.parent.relative_to(exp).as_posix()
        found[path.parent.name.removeprefix("decode_"), model] = read_json(path)
    return found


def markdown(results: Mapping[tuple[str, str], Mapping[str, Any]], title: str) -> str:
    """Return results as Markdown: one table for each set, a row for each model, columns without figures left out.

    Args:
        results: figures by (set, model).
        title: the heading.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("no scores.json found; run stages 8 and 9 for a model first")
    lines = [f"# {title}", ""]
    for name in sorted({set_name for set_name, _ in results}):
        rows = {model: figures for (set_name, model), figures in results.items() if set_name == name}
        classes = len(next(iter(rows.values()))["per_emotion"])
        chance = f"Chance with {classes} emotions: {100 / classes:.1f} % UA."
        lines += [f"## {name}", "", *_table(rows), "", chance, "", *_recalls(rows), *_languages(rows)]
    return "\n".join([*lines, LEGEND])


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return _figures_table({name: row for model in rows for name, row in _with_folds(model, rows[model])})


def _figures_table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    cells = {name: [cell(row, *rule) for rule in COLUMNS.values()] for name, row in rows.items()}
    used = [place for place in range(len(COLUMNS)) if any(row[place] != NOTHING for row in cells.values())]
    head = ["model", *([*COLUMNS][place] for place in used)]
    return pipe_table(head, [[name, *(row[place] for place in used)] for name, row in cells.items()])


def _with_folds(model: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield model, figures
    for fold, row in figures.get("folds", {}).items():
        yield f"{model}, fold {fold}", row
    if "mean" in figures:
        yield f"{model}, mean of folds", figures["mean"]


def _recalls(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    emotions = ordered(emotion for row in rows.values() for emotion in row["per_emotion"])
    body = [[model, *(cell(row["per_emotion"], e, 100, 1) for e in emotions)] for model, row in rows.items()]
    return ["Recall of each emotion, %:", "", *pipe_table(["model", *emotions], body), ""]


def _languages(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    spoken = {language for row in rows.values() for language in row.get("languages", {})}
    if len(spoken) < 2:
        return []
    parts = {f"{model}, {name}": part for model, row in rows.items() for name, part in row.get("languages", {}).items()}
    return ["By language:", "", *_figures_table(parts), ""]


def pipe_table(head: Sequence[str], body: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a Markdown table; so many columns at its left are words, the others numbers."""
    rule = [*["---"] * words, *["---:"] * (len(head) - words)]
    return ["| " + " | ".join(cells) + " |" for cells in [head, rule, *body]]


def clock(seconds: float) -> str:
    """Return a duration as HH:MM:SS."""
    whole = round(seconds)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


def cell(row: Mapping[str, Any], place: str, factor: float, decimals: int) -> str:
    """Return a figure for a table, its interval in brackets behind it, or a dash where there is none.

    Args:
        row: figures, and under `intervals` the ends of their intervals by the same name.
        place: where the figure stands, with dots between the keys that lead to it.
        factor: what it is multiplied by.
        decimals: how many are shown.
    """
    *way, name = place.split(".")
    for key in way:
        row = row.get(key, {})
    if name not in row:
        return NOTHING
    ends = row.get("intervals", {}).get(name)
    behind = f" [{ends[0] * factor:.{decimals}f}, {ends[1] * factor:.{decimals}f}]" if ends else ""
    return f"{row[name] * factor:.{decimals}f}{behind}"


def plot_confusion(figures: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw a confusion matrix as PNG: counts, coloured by the share of the true emotion.

    Args:
        figures: what `c2ser.scoring.metrics.scores` returned.
        title: stands above the picture.
        path: the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    confusion = figures["confusion"]
    rows, said = ordered(confusion), {label for row in confusion.values() for label in row}
    columns = ordered({*rows, *said} - {UNPARSED}) + [UNPARSED] * (UNPARSED in said)
    counts = np.array([[confusion[row].get(column, 0) for column in columns] for row in rows])
    shares = counts / counts.sum(axis=1, keepdims=True)
    drawing, axis = pyplot.subplots(figsize=(1.6 + 0.75 * len(columns), 1.6 + 0.6 * len(rows)))
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(counts.shape):
        axis.text(j, i, str(counts[i, j]), ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xlabel("answered")
    axis.set_ylabel("true")
    axis.set_title(f"{title}: UA {100 * figures['ua']:.1f} %, WA {100 * figures['wa']:.1f} %", fontsize=11)
    drawing.colorbar(image, label="share of the true emotion")
    drawing.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=120)
    pyplot.close(drawing)
