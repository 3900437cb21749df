"""The page of results: Tables II to IX and Figures 4 to 7 in the paper's form, ours beside the paper's."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from c2ser.paper.cells import NOTHING, UNLIKE
from c2ser.paper.corpora import (
    durations_table,
    evaluation_parts,
    evaluation_table,
    few_speakers,
    kept_table,
    training_table,
)
from c2ser.paper.data import Part, read_part, training_parts
from c2ser.paper.figures import accuracies_section, shares_section
from c2ser.paper.printed import Paper, ResultTable
from c2ser.paper.results import Results, find_table, results_table

LEGEND = f"""In a cell stands ours / the paper's. A word alone is both; a number alone is the paper's, of another system
that was not run here. {NOTHING}: nothing was run, or nothing is printed. {UNLIKE} stands before a figure of the paper
that lies outside our interval or, where things are counted, is another one. In square brackets: 95 % intervals of ours,
from speakers drawn with replacement; what another training would change is not in them. **Best** and <u>second
best</u> compare ours with ours.

F1 is macro F1 over the emotions of reference and answers, as the paper computes it; where that over the
reference's emotions alone is another figure, it follows in round brackets (reference). In Table V the folds are pooled;
where their mean, which is what the paper prints, is another figure, it follows too (folds). Small numbers lead to the
notes below each table: what is wrong in the paper, or not like ours."""

CROSS_VALIDATED = "V"
"""The table whose systems are tested on whole corpora, fold by fold."""

KEPT = """What stage 0 counted of each training corpus and what it left out: another label than the seven emotions, over
20 s, unusable (unreadable, or known to be broken)."""


@dataclass
class Ours:
    """What there is of ours.

    Attributes:
        training: of each training corpus, by set.
        raw: whole corpora with their own classes, for Table V.
        tested: test sets of seven emotions.
        emo_emilia: the set of Table III.
        results: of the Tables V to IX.
    """

    training: dict[str, dict[str, Part]]
    raw: dict[str, Part]
    tested: dict[str, Part]
    emo_emilia: Part | None
    results: dict[str, Results]


def read_ours(data: Path, exp: Path, paper: Paper) -> Ours:
    """Read what lies in the data directories and below the experiments' folder.

    Raises:
        ValueError: there is nothing at all, or what there is cannot be read.
    """
    corpora = list(paper.evaluation.rows)
    ours = Ours(
        training_parts(data, paper.training.rows),
        evaluation_parts(data, corpora, "raw"),
        evaluation_parts(data, corpora, "test"),
        read_part(data / paper.emo_emilia.data),
        {number: find_table(exp, table) for number, table in paper.results.items()},
    )
    if not (ours.training or ours.raw or ours.tested or any(ours.results.values())):
        raise ValueError(f"{data}, {exp}: no corpus of the paper and no result there; run stage 0 first")
    return ours


def write_page(data: Path, exp: Path, paper: Paper, folder: Path, made: str) -> str:
    """Draw the pictures and return the page as Markdown.

    Args:
        data: folder of the data directories.
        exp: folder of what was trained and scored.
        paper: what is printed.
        folder: where the pictures go, beside the page.
        made: which code made the page where.

    Raises:
        ValueError: as `read_ours`, or labels are of other utterances than their data directory has.
    """
    ours = read_ours(data, exp, paper)
    lines = ["# C²SER: the paper's tables and figures", "", f"{made} {_dates(ours)}", "", LEGEND, ""]
    lines += training_table(paper, ours.training)
    if ours.training:
        for number in ("4", "5"):
            lines += shares_section(number, paper, ours.training, folder)
    lines += durations_table(paper, ours.emo_emilia) + evaluation_table(paper, ours.raw, ours.tested)
    drawn = {figure.table: number for number, figure in paper.figures.items() if figure.table}
    for number in paper.results:
        lines += results_table(number, paper, ours.results[number])
        lines += _doubts(number, paper, ours)
        if number in drawn:
            lines += accuracies_section(drawn[number], paper, ours.results[number], data, folder)
    if ours.training:
        lines += ["## Training corpora", "", KEPT, "", *kept_table(paper, ours.training), ""]
    page = "\n".join([*lines, "## Not run", "", *not_run(paper, ours)])
    return re.sub("\n{3,}", "\n\n", page)


def _dates(ours: Ours) -> str:
    found = [one.folder / "scores.json" for results in ours.results.values() for one in results.values()]
    days = sorted(time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime)) for path in found)
    if not days:
        return "No system has been scored."
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return f"The systems were scored on {span}; which commit trained them is not recorded."


def _doubts(number: str, paper: Paper, ours: Ours) -> Iterator[str]:
    """Yield lines on intervals that are too narrow, and on sets and models that have changed since they were scored."""
    results, corpora = ours.results[number], paper.evaluation.rows
    parts = ours.raw if number == CROSS_VALIDATED else ours.tested
    scored = {name for _, name in results}
    few = few_speakers({name: part for name, part in parts.items() if name in scored})
    if few:
        names = ", ".join(f"{corpora[name].name} ({speakers})" for name, speakers in few.items())
        yield from (f"Intervals of so few speakers are too narrow, and {UNLIKE} comes too easily: {names}.", "")
    for (row, name), one in results.items() if number != CROSS_VALIDATED else ():
        before, there = one.figures.get("utterances"), parts.get(name)
        system = f"{paper.results[number].rows[row].name} on {corpora[name].name}"
        if there and before != there.utterances:
            yield from (f"{system}: scored on {before} utterances, but there are {there.utterances}; score again.", "")
        if one.older_than_model():
            yield from (f"{system}: its model has been trained again since; score again.", "")


def not_run(paper: Paper, ours: Ours) -> list[str]:
    """Return a list of what is absent: corpora, systems, figures."""
    lines = []
    for what, rows, parts in (
        ("Training corpora that are absent", paper.training.rows, ours.training),
        ("Corpora without their own classes, for Table V", paper.evaluation.rows, ours.raw),
        ("Test sets that are absent", paper.evaluation.rows, ours.tested),
    ):
        absent = [row.name for key, row in rows.items() if key not in parts]
        if absent:
            lines.append(f"- {what}: {', '.join(absent)}.")
    for number, table in paper.results.items():
        systems = _systems_not_run(table, ours.results[number], paper)
        if systems:
            lines.append(f"- Table {number}: {'; '.join(systems)}.")
    drawn = {"4": ours.training, "5": ours.training}
    for number, figure in paper.figures.items():
        there = drawn.get(number) or any((key, figure.set) in ours.results.get(figure.table, {}) for key in figure.rows)
        if not there:
            lines.append(f"- Figure {number}: nothing to draw.")
    return lines or ["Everything was run."]


def _systems_not_run(table: ResultTable, results: Results, paper: Paper) -> list[str]:
    """Return the systems that lack figures: those without any, then those that lack some, with the corpora."""
    sets, without, some = [name for block in table.sets for name in block], [], []
    for key, row in table.rows.items():
        lacking = [paper.evaluation.rows[name].name for name in sets if (key, name) not in results]
        if len(lacking) == len(sets):
            without.append(row.name)
        elif lacking:
            some.append(f"{row.name} on {', '.join(lacking)}")
    return [*([", ".join(without)] if without else []), *some]
