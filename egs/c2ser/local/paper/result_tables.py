"""Tables V to IX: the results of the systems."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2ser.scoring.results_page import pipe_table
from c2ser.tables import read_json
from paper.reference import METRICS, PaperTables, ResultRow, ResultTable
from paper.table_cells import BLANK, Footnotes, figure_cell, ranks

HEADINGS = {metric: f"{metric.upper()} (%) ↑".replace(" ", BLANK) for metric in METRICS}
"""Headings of the metrics, as in the paper."""

NEEDED = ("ua", "wa", "f1_reference", "f1_union")
"""Values that every scores.json must have."""


@dataclass(frozen=True)
class SystemResult:
    """Our results of one system on one set.

    Attributes:
        folder: the folder of scores.json and of the predicted labels.
        figures: the content of scores.json.
    """

    folder: Path
    figures: dict[str, Any]

    def older_than_model(self) -> bool:
        """Return whether the model in the parent folder has newer weights than these results."""
        scored = (self.folder / "scores.json").stat().st_mtime
        return any(path.stat().st_mtime > scored for path in self.folder.parent.glob("*.safetensors"))


Results = dict[tuple[str, str], SystemResult]
"""Our results of a table, by row and set."""


def find_table(exp: Path, table: ResultTable) -> Results:
    """Return our results of a table.

    Raises:
        ValueError: as `read_scores`.
    """
    sets = [name for block in table.sets for name in block]
    results = {(key, name): _find(exp, table, row, name) for key, row in table.rows.items() for name in sets}
    return {address: result for address, result in results.items() if result}


def _find(exp: Path, table: ResultTable, row: ResultRow, name: str) -> SystemResult | None:
    for place in table.places:
        for folder in row.exp:
            path = exp / place.replace("{row}", folder).replace("{set}", name)
            if (path / "scores.json").exists():
                return SystemResult(path, judge_first(read_scores(path / "scores.json")))
    return None


def judge_first(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures led by the judge's where a judge read the answers, as in the paper; the parser's are in `parser`.

    The recalls of the emotions stay the parser's.
    """
    judged = figures.get("judge")
    if judged is None:
        return figures
    kept = {name: ends for name, ends in figures.get("intervals", {}).items() if name not in NEEDED}
    return {
        **figures,
        **{name: judged[name] for name in NEEDED},
        "parser": {name: figures[name] for name in NEEDED},
        "intervals": {**kept, **judged.get("intervals", {})},
    }


def read_scores(path: Path) -> dict[str, Any]:
    """Read a scores.json.

    Raises:
        ValueError: it is not JSON, or a value, the recall of an emotion or an interval is missing or not a fraction.
    """
    figures = read_json(path)
    if not isinstance(figures, dict):
        raise ValueError(f"{path}: no figures in it; score again")
    for row in (figures, *(figures[part] for part in ("mean", "judge") if part in figures)):
        bad = next((name for name in NEEDED if not _is_fraction(_entry(row, name))), None)
        if bad is not None:
            raise ValueError(f"{path}: {bad} is missing or no fraction; score again")
    recalls, ends = _entry(figures, "per_emotion"), figures.get("intervals", {})
    if not isinstance(recalls, dict) or not recalls or not all(map(_is_fraction, recalls.values())):
        raise ValueError(f"{path}: per_emotion is missing or holds what is no fraction; score again")
    if not isinstance(ends, dict) or not all(_is_interval(pair) for pair in ends.values()):
        raise ValueError(f"{path}: an interval is not two fractions; score again")
    return figures


def _entry(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else None


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_interval(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(map(_is_fraction, pair)) and pair[0] <= pair[1]


def results_table(number: str, paper: PaperTables, results: Results) -> list[str]:
    """Return the lines of one of the Tables V to IX.

    Args:
        number: the number of the table.
        paper: the reference values of the paper.
        results: what `find_table` returned for this table.
    """
    notes, table = Footnotes(paper.notes), paper.results[number]
    lines = [f"## Table {number}. {table.caption}{notes.marks(number)}", ""]
    for block in table.sets:
        lines += [*_block(number, table, block, results, notes), ""]
    return [*lines, *notes.lines(), ""]


def _block(number: str, table: ResultTable, block: Mapping[str, str], results: Results, notes: Footnotes) -> list[str]:
    groups = any(row.group for row in table.rows.values())
    head, body = [*(["CoT phase"] if groups else []), table.head], []
    for name, heading in block.items():
        first, *rest = (HEADINGS[metric] for metric in METRICS)
        set_heading = f"{heading}{notes.marks(f'{number}/*/{name}')}<br>" if heading else ""
        head += [set_heading + first, *rest]
    best = {(name, metric): _best(table, name, metric, results) for name in block for metric in METRICS}
    for key, row in table.rows.items():
        cells = [*([row.group] if groups else []), f"{row.name}{notes.marks(f'{number}/{key}')}"]
        for name in block:
            result = results.get((key, name))
            for metric, printed in zip(METRICS, row.paper.get(name, [None] * 3), strict=True):
                addresses = [f"{number}/{key}/{name}/{metric}", f"{number}/{key}/{name}"]
                cells.append(figure_cell(
                    result.figures if result else None, _figure(table, metric), printed, row.baseline,
                    best[name, metric].get(key), notes.marks(*addresses),
                ))  # fmt: skip
        body.append(cells)
    return pipe_table(head, body, words=1 + groups)


def _best(table: ResultTable, name: str, metric: str, results: Results) -> dict[str, int]:
    figure = _figure(table, metric)
    values = {key: result.figures[figure] for (key, set_name), result in results.items() if set_name == name}
    return ranks(values, table.best)


def _figure(table: ResultTable, metric: str) -> str:
    return table.f1 if metric == "f1" else metric
