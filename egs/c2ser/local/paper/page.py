"""The page of results: Tables II to IX and Figures 4 to 7 in the paper's form, our values beside the paper's."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paper.corpus_tables import (
    durations_table,
    evaluation_parts,
    evaluation_table,
    few_speakers,
    kept_table,
    training_table,
)
from paper.data_parts import Part, read_part, training_parts
from paper.figures import accuracies_section, shares_section
from paper.reference import PaperTables, ResultTable
from paper.result_tables import Results, find_table, results_table
from paper.table_cells import NOTHING, UNLIKE

LEGEND = f"""Each cell shows our value / the paper's value. A word without a slash is the same in both. A number without
a slash is the paper's value of another system, which was not run here. {NOTHING} means that nothing was run, or that
the paper prints nothing. {UNLIKE} stands before a value of the paper that lies outside our interval, or before a count
that differs from ours. Square brackets hold 95 % intervals of our values, from a bootstrap over speakers; they do not
include the variation between trainings. **Best** and <u>second best</u> compare our values with each other.

As in the paper, the labels are those of a language model that reads the answers where one did (`--judge`); those of our
parser then follow in round brackets (parser). Otherwise they are the parser's, and those of classifiers are their own.
In Figures 6 and 7 they always are the parser's.

F1 is the macro F1 over all emotions in the reference and in the answers, as in the paper. If the macro F1 over the
emotions of the reference alone differs, it follows in round brackets (reference). In Table V all folds are pooled. The
paper prints the mean over folds; if it differs, it follows in round brackets (folds). Small numbers refer to the notes
below each table. The notes name errors of the paper, and differences between the paper and our work."""

CROSS_VALIDATED = "V"
"""The table of systems that are tested on whole corpora by cross-validation."""

KEPT = """Utterances of each training corpus after stage 0, and rejected utterances by reason: a label outside the seven
emotions, longer than 20 s, or unusable (unreadable, or known to be broken)."""


@dataclass
class Ours:
    """Our data and our results, as far as they exist.

    Attributes:
        training: training corpora, by corpus and set.
        raw: whole corpora with their own classes, for Table V.
        tested: test sets with seven emotions.
        emo_emilia: the set of Table III.
        results: results of the Tables V to IX.
    """

    training: dict[str, dict[str, Part]]
    raw: dict[str, Part]
    tested: dict[str, Part]
    emo_emilia: Part | None
    results: dict[str, Results]


def read_ours(data: Path, exp: Path, paper: PaperTables) -> Ours:
    """Read the data directories and the results in the experiments' folder.

    Raises:
        ValueError: there is neither data nor a result, or a file cannot be read.
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


def write_page(data: Path, exp: Path, paper: PaperTables, folder: Path, origin: str) -> str:
    """Draw the pictures and return the page as Markdown.

    Args:
        data: the folder of the data directories.
        exp: the folder of models and results.
        paper: the reference values of the paper.
        folder: the folder of the pictures, next to the page.
        origin: a sentence about the code and the machine that made the page.

    Raises:
        ValueError: see `read_ours`; or labels belong to other utterances than those of their data directory.
    """
    ours = read_ours(data, exp, paper)
    lines = ["# C²SER: the paper's tables and figures", "", f"{origin} {_dates(ours)}", "", LEGEND, ""]
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
    files = [result.folder / "scores.json" for results in ours.results.values() for result in results.values()]
    days = sorted(time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime)) for path in files)
    if not days:
        return "No system has been scored."
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return f"The systems were scored on {span}; which commit trained them is not recorded."


def _doubts(number: str, paper: PaperTables, ours: Ours) -> Iterator[str]:
    """Yield lines about intervals that are too narrow, and about sets and models that changed after scoring."""
    results, corpora = ours.results[number], paper.evaluation.rows
    parts = ours.raw if number == CROSS_VALIDATED else ours.tested
    scored = {name for _, name in results}
    few = few_speakers({name: part for name, part in parts.items() if name in scored})
    if few:
        names = ", ".join(f"{corpora[name].name} ({speakers})" for name, speakers in few.items())
        yield from (f"With so few speakers the intervals are too narrow, and {UNLIKE} appears too often: {names}.", "")
    for (row, name), result in results.items() if number != CROSS_VALIDATED else ():
        before, part = result.figures.get("utterances"), parts.get(name)
        system = f"{paper.results[number].rows[row].name} on {corpora[name].name}"
        if part and before != part.utterances:
            yield from (f"{system}: scored on {before} utterances, but there are {part.utterances}; score again.", "")
        if result.older_than_model():
            yield from (f"{system}: its model has been trained again since; score again.", "")


def not_run(paper: PaperTables, ours: Ours) -> list[str]:
    """Return a list of everything that is missing: corpora, systems, figures."""
    lines = []
    for heading, rows, parts in (
        ("Training corpora that are absent", paper.training.rows, ours.training),
        ("Corpora that are absent with their own classes, for Table V", paper.evaluation.rows, ours.raw),
        ("Test sets that are absent", paper.evaluation.rows, ours.tested),
    ):
        absent = [row.name for key, row in rows.items() if key not in parts]
        if absent:
            lines.append(f"- {heading}: {', '.join(absent)}.")
    for number, table in paper.results.items():
        systems = _systems_not_run(table, ours.results[number], paper)
        if systems:
            lines.append(f"- Table {number}: {'; '.join(systems)}.")
    drawn = {"4": ours.training, "5": ours.training}
    for number, figure in paper.figures.items():
        results = ours.results.get(figure.table, {})
        if not drawn.get(number) and not any((key, figure.set) in results for key in figure.rows):
            lines.append(f"- Figure {number}: nothing to draw.")
    return lines or ["Everything was run."]


def _systems_not_run(table: ResultTable, results: Results, paper: PaperTables) -> list[str]:
    """Return the paper's systems without any result, then those without results on some corpora, with these corpora."""
    sets, without, some = [name for block in table.sets for name in block], [], []
    for key, row in table.rows.items():
        if not row.paper:
            continue
        missing = [paper.evaluation.rows[name].name for name in sets if (key, name) not in results]
        if len(missing) == len(sets):
            without.append(row.name)
        elif missing:
            some.append(f"{row.name} on {', '.join(missing)}")
    return [*([", ".join(without)] if without else []), *some]
