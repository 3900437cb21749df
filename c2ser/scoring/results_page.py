"""Results for people: one Markdown page with a headline, the tables of all models and their pictures."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import Any

from c2ser.emotions import ordered
from c2ser.scoring.gallery import Picture, picture_lines
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
    "any annotator %": ("votes.any_annotator", 100, 1),
    "votes %": ("votes.vote_share", 100, 1),
    "majority: votes %": ("votes.majority_share", 100, 1),
    "KL": ("votes.kl", 1, 3),
    "JSD": ("votes.jsd", 1, 3),
    "RPS": ("votes.rps", 1, 3),
    "humans: votes %": ("votes.humans.vote_share", 100, 1),
    "humans: alpha": ("votes.humans.alpha", 1, 3),
}
"""Heading, and which figure stands under it: its place in scores.json, factor, decimals."""

NOTHING = "–"
"""What stands for a figure that is not there."""

LABEL_SCORE = "_label_score"
"""How the folder of a model ends whose label is the most probable emotion instead of what its answer says."""

LEGEND = """## How to read this page

- UA is the mean of the emotions' recalls, WA the share of right labels.
- Macro F1 is the mean over the emotions of the reference. F1 union also counts emotions that were only predicted.
- In brackets: 95 % intervals, from speakers drawn with replacement. With fewer than ten speakers they are too narrow.
- Unreadable answers name no single emotion, or are missing. They count as wrong.
- Tokens and ms: the mean length of an answer, and the mean time that it takes.
- A model whose name ends in `_label_score` does not answer in words: its label is the most probable emotion.
- Judge: what a language model reads in the same answers, and how far its UA lies above that of the parser. All other
  columns are the parser's.
- Names all: explicit answers that name a transcript and three levels. Levels: the share of all levels that are right.
  WER: word error rate of the transcript.
- Any annotator: labels that an annotator of the utterance chose. Votes: the mean share of the annotators who chose the
  label; majority: what it is of the class with most votes, which is the most that a model can reach. KL (nats), JSD
  (bits), RPS: how far the probabilities lie from the votes; less is better. Humans: how often another annotator chose
  the same, and Krippendorff's alpha.
- CCC: concordance of values on dimensions with the means of the annotators; 1 is perfect. Humans: Krippendorff's alpha
  (interval scale).
- Mean of folds: what EmoBox reports of a cross-validation."""


def find_results(exp: Path, model: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the content of every `<model>/decode_<set>/scores.json` below a folder, by (set, model).

    A model may lie one or two folders deeper, as `finetune/epoch_3` and, under a tag, `<tag>/finetune/epoch_3` do.

    Args:
        exp: the folder.
        model: this model alone; None for all.
    """
    results, places = {}, ("*", "*/*", "*/*/*") if model is None else (escape(model),)
    for path in sorted(path for place in places for path in exp.glob(f"{place}/decode_*/scores.json")):
        model = path.parent.parent.relative_to(exp).as_posix()
        results[path.parent.name.removeprefix("decode_"), model] = read_json(path)
    return results


def find_prompts(exp: Path, results: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return what baselines were asked, as rows: baseline, the model in it, system turn, instruction, whole input.

    Args:
        exp: folder of the results.
        results: (set, model) of each; of a model that answered for several sets the first one is read.
    """
    rows: dict[str, list[str]] = {}
    for name, model in results:
        path = exp / model / f"decode_{name}" / "answer.json"
        if model not in rows and path.exists():
            asked = read_json(path)
            rows[model] = [
                model,
                *(str(asked.get(key) or NOTHING) for key in ("model", "system", "prompt", "template")),
            ]
    return list(rows.values())


PROMPT_HEAD = ["baseline", "model", "system", "instruction", "input"]
"""Heading of the table of `find_prompts`."""


def prompt_lines(prompts: Sequence[Sequence[str]]) -> list[str]:
    """Return the table of prompts as Markdown; what could end a cell or become markup is spelt out."""
    if not prompts:
        return []
    body = [[html.escape(cell).replace("|", "&#124;") for cell in row] for row in prompts]
    return ["## What the baselines were asked", "", *pipe_table(PROMPT_HEAD, body, len(PROMPT_HEAD)), ""]


def markdown(
    results: Mapping[tuple[str, str], Mapping[str, Any]],
    title: str,
    pictures: Mapping[str, Sequence[Picture]] | None = None,
    prompts: Sequence[Sequence[str]] = (),
) -> str:
    """Return results as Markdown: the best model of each set, a table for each set, a row for each model, pictures.

    Columns without figures are left out.

    Args:
        results: figures by (set, model).
        title: the heading.
        pictures: of each set, and under `c2ser.scoring.gallery.TRAINING` those of the trainings.
        prompts: what baselines were asked, as `find_prompts` returns it.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("no scores.json found; run stages 8 and 9 for a model first")
    sets, shown = by_set(results), dict(pictures or {})
    headlines = [headline(name, labelled) for name, rows in sets.items() if (labelled := with_labels(rows))]
    lines = [f"# {title}", "", *(headlines if len(sets) == 1 else [f"- {line}" for line in headlines]), ""]
    for name, rows in sets.items():
        lines += [f"## {name}", ""]
        if labelled := with_labels(rows):
            lines += [*_table(labelled), "", *_recalls(labelled), *_languages(labelled)]
        lines += _dimensions(rows)
        lines += picture_lines(shown.pop(name, []))
    for heading, rest in shown.items():
        lines += [f"## {heading}", "", *picture_lines(rest)] if rest else []
    lines += prompt_lines(prompts)
    return "\n".join([*lines, LEGEND])


def by_set(results: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return figures by set, then by model, from figures by (set, model); sets in the order of their names."""
    sets: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (name, model), figures in sorted(results.items(), key=lambda item: item[0][0]):
        sets.setdefault(name, {})[model] = figures
    return sets


def with_labels(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the figures of the models that chose classes; others gave values on dimensions."""
    return {model: figures for model, figures in rows.items() if "ua" in figures}


def best_model(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the model with the highest UA; of equal ones the first."""
    return max(rows, key=lambda model: rows[model]["ua"])


def headline(name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a sentence that says which model is best on a set, by UA, and what that is worth.

    Args:
        name: of the set.
        rows: figures by model; of equal ones the first is named.
    """
    best = best_model(rows)
    figures, classes = rows[best], len(rows[best]["per_emotion"])
    model, ends = best.removesuffix(LABEL_SCORE), figures.get("intervals", {}).get("ua")
    way = " by its most probable label" if model != best else ""
    interval = f" (95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f} %)" if ends else ""
    answers = f" Its answers in words reach {100 * rows[model]['ua']:.1f} %." if way and model in rows else ""
    speakers = f" of {figures['speakers']} speaker{'s' * (figures['speakers'] > 1)}" if "speakers" in figures else ""
    measured = f"measured on {figures['utterances']} utterances{speakers}"
    result = f"On **{name}** the best model is **{model}**{way}: UA {100 * figures['ua']:.1f} %{interval}, {measured}."
    return f"{result}{answers} Chance with {classes} emotions: {100 / classes:.1f} % UA."


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return _figures_table({name: row for model in rows for name, row in with_folds(model, rows[model])})


def _figures_table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return pipe_table(*figure_rows(rows))


def figure_rows(rows: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of a table of `COLUMNS`; columns without figures are left out.

    Args:
        rows: figures by what stands in front of them.
    """
    cells = {name: [cell(row, *rule) for rule in COLUMNS.values()] for name, row in rows.items()}
    used = [place for place in range(len(COLUMNS)) if any(row[place] != NOTHING for row in cells.values())]
    head = ["model", *([*COLUMNS][place] for place in used)]
    return head, [[name, *(row[place] for place in used)] for name, row in cells.items()]


def with_folds(model: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of a model by name: all its utterances, each fold of a cross-validation, and the folds' mean."""
    yield model, figures
    for fold, row in figures.get("folds", {}).items():
        yield f"{model}, fold {fold}", row
    if "mean" in figures:
        yield f"{model}, mean of folds", figures["mean"]


def _recalls(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    emotions = ordered(emotion for row in rows.values() for emotion in row["per_emotion"])
    body = [[model, *(cell(row["per_emotion"], e, 100, 1) for e in emotions)] for model, row in rows.items()]
    return ["Recall of each emotion, %:", "", *pipe_table(["model", *emotions], body), ""]


def _dimensions(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of the models that gave values on dimensions; none without them."""
    valued = {name: row for model in rows for name, row in with_folds(model, rows[model]) if "dimensions" in row}
    names = [*dict.fromkeys(name for row in valued.values() for name in row["dimensions"]["utterances"])]
    if not names:
        return []
    columns = {f"CCC {name}": f"dimensions.ccc.{name}" for name in [*names, "mean"]}
    columns |= {f"humans: {name}": f"dimensions.humans.{name}" for name in names}
    cells = {model: [cell(row, place, 1, 3) for place in columns.values()] for model, row in valued.items()}
    used = [place for place in range(len(columns)) if any(row[place] != NOTHING for row in cells.values())]
    head = ["model", *([*columns][place] for place in used), "utterances"]
    body = [[model, *(row[p] for p in used), str(valued[model]["utterances"])] for model, row in cells.items()]
    return ["Values on dimensions:", "", *pipe_table(head, body), ""]


def _languages(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    languages = {language for row in rows.values() for language in row.get("languages", {})}
    if len(languages) < 2:
        return []
    parts = {f"{model}, {name}": part for model, row in rows.items() for name, part in row.get("languages", {}).items()}
    return ["By language:", "", *_figures_table(parts), ""]


def pipe_table(head: Sequence[str], body: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a Markdown table; the first `words` columns hold words, the others numbers."""
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
