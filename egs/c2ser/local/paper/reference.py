"""The paper's reference values from `paper.yaml`: Tables II to IX, the text about Figures 4 to 7, and known errors.

An address names one place. `II` is a table, `II/iemocap` a row, `VI/*/esd` a heading of columns, `II/iemocap/hours` a
cell, `VI/cascade/esd` the three cells of a set, `VI/cascade/esd/ua` one of them, and `F5` a figure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jsonargparse

METRICS = ("ua", "wa", "f1")
"""The three values of a set, in the order of the paper."""


@dataclass
class CorpusRow:
    """A corpus in Table II or IV; a value that the table does not print is empty.

    Attributes:
        name: the name in the paper.
        source: the source of its speech.
        emotions: its emotions.
        language: its language.
        utterances: the number of utterances.
        hours: the duration.
        tested: the number of utterances that Table VI tests on.
    """

    name: str
    source: str = ""
    emotions: list[str] = field(default_factory=list)
    language: str = ""
    utterances: int | None = None
    hours: float | None = None
    tested: int | None = None


@dataclass
class CorpusTable:
    """Table II or IV.

    Attributes:
        caption: the caption, in our own words.
        rows: the rows by the name of the recipe of the corpus.
        total: the last row, if the table has sums.
    """

    caption: str
    rows: dict[str, CorpusRow]
    total: CorpusRow | None = None


@dataclass
class DurationRow:
    """A row of Table III.

    Attributes:
        samples: number of utterances by language.
        durations: duration as HH:MM:SS by language.
    """

    samples: dict[str, int]
    durations: dict[str, str]


@dataclass
class DurationTable:
    """Table III.

    Attributes:
        caption: the caption, in our own words.
        data: the data directory of our values.
        rows: the rows by emotion.
        total: the last row, with sums.
    """

    caption: str
    data: str
    rows: dict[str, DurationRow]
    total: DurationRow


@dataclass
class ResultRow:
    """A system in one of the Tables V to IX.

    Attributes:
        name: the name in the paper.
        exp: folders that may contain our results; they replace {row} in the table's `places`.
        paper: the printed UA, WA and F1 in percent, by set; empty for a system that the paper has not.
        group: the group of the system in Table VII.
        baseline: whether it is a system of others; if we did not run it, the page shows the printed value alone.
    """

    name: str
    exp: list[str]
    paper: dict[str, list[float]] = field(default_factory=dict)
    group: str = ""
    baseline: bool = False


@dataclass
class ResultTable:
    """One of the Tables V to IX.

    Attributes:
        caption: the caption, in our own words.
        places: possible folders of scores.json below the experiments' folder, with {row} and {set}; the first one that
            exists is used.
        sets: the headings by set, for each block of columns.
        rows: the rows by a short name of ours.
        head: the heading of the first column.
        best: how many ranks are marked: 2 for best and second best, 1 for the best alone, 0 for none.
        f1: which kind of F1 the printed one is.
    """

    caption: str
    places: list[str]
    sets: list[dict[str, str]]
    rows: dict[str, ResultRow]
    head: str = "Model"
    best: Literal[0, 1, 2] = 0
    f1: Literal["f1_union", "f1_reference"] = "f1_union"


@dataclass
class Figure:
    """One of the Figures 4 to 7; the paper gives numbers for it only in the text.

    Attributes:
        caption: the caption, in our own words.
        text: what the paper's text says about it, in our own words.
        table: the table that contains the figure's systems.
        set: the test set.
        rows: the systems.
        data: the data directory with the reference labels and the speakers.
        stated_range: lower and upper bound in percent that the text states, by system, then by emotion.
    """

    caption: str
    text: str
    table: str = ""
    set: str = ""
    rows: list[str] = field(default_factory=list)
    data: str = ""
    stated_range: dict[str, dict[str, list[float]]] = field(default_factory=dict)


@dataclass
class Note:
    """An error of the paper, or a difference to our work.

    Attributes:
        at: the addresses that it is about.
        text: what differs, and why.
    """

    at: list[str]
    text: str


@dataclass
class PaperTables:
    """All reference values of the paper.

    Attributes:
        training: Table II.
        emo_emilia: Table III.
        evaluation: Table IV.
        results: Tables V to IX by number.
        figures: Figures 4 to 7 by number.
        notes: errors and differences.
    """

    training: CorpusTable
    emo_emilia: DurationTable
    evaluation: CorpusTable
    results: dict[str, ResultTable]
    figures: dict[str, Figure]
    notes: list[Note] = field(default_factory=list)


def read_paper(path: Path) -> PaperTables:
    """Read `paper.yaml`.

    Raises:
        ValueError: a key is unknown or missing, a value has another type, a set is not in Table IV, a system does not
            have three values for a set, or a note has an unknown address.
    """
    reader = jsonargparse.ArgumentParser(exit_on_error=False)
    reader.add_class_arguments(PaperTables)
    try:
        values = reader.parse_path(path)
    except (jsonargparse.ArgumentError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}; correct it") from None
    paper = PaperTables(**vars(reader.instantiate(values)))
    for number, table in paper.results.items():
        _check_results(f"{path}: Table {number}", table, paper)
    for number, figure in paper.figures.items():
        _check_figure(f"{path}: Figure {number}", figure, paper)
    valid = set(addresses(paper))
    unknown = next((at for note in paper.notes for at in note.at if at not in valid), None)
    if unknown is not None:
        raise ValueError(f"{path}: a note is about {unknown}, which is no place in the tables; correct its `at`")
    return paper


def _check_results(place: str, table: ResultTable, paper: PaperTables) -> None:
    sets = [name for block in table.sets for name in block]
    foreign = next((name for name in sets if name not in paper.evaluation.rows), None)
    if foreign is not None:
        raise ValueError(f"{place}: unknown corpus {foreign}; add it to Table IV, or take it out here")
    for key, row in table.rows.items():
        if not row.paper:
            continue
        incomplete = next((name for name in sets if not _three_figures(row.paper.get(name, []))), None)
        if incomplete is not None:
            raise ValueError(f"{place}, {key}: {incomplete} needs UA, WA and F1, each from 0 to 100; complete it")


def _three_figures(figures: list[float]) -> bool:
    return len(figures) == len(METRICS) and all(0 <= figure <= 100 for figure in figures)


def _check_figure(place: str, figure: Figure, paper: PaperTables) -> None:
    if not figure.rows:
        return
    table = paper.results.get(figure.table)
    if table is None or not {*figure.rows, *figure.stated_range} <= {*table.rows}:
        raise ValueError(f"{place}: its rows are not all in Table {figure.table}; correct `table` or `rows`")
    if not any(figure.set in block for block in table.sets):
        raise ValueError(f"{place}: unknown corpus {figure.set} in Table {figure.table}; correct `set`")


def addresses(paper: PaperTables) -> Iterator[str]:
    """Yield every address that a note may use."""
    yield from (f"F{number}" for number in paper.figures)
    rows = [*paper.training.rows, *(["total"] if paper.training.total else [])]
    yield from _cells("II", rows, ("emotions", "utterances", "hours"))
    yield from _cells("III", [*paper.emo_emilia.rows, "total"], paper.emo_emilia.total.durations)
    yield from ["IV/*/tested", *_cells("IV", paper.evaluation.rows, ("emotions", "utterances"))]
    for number, table in paper.results.items():
        sets = [name for block in table.sets for name in block]
        yield from _cells(number, table.rows, [*sets, *(f"{name}/{metric}" for name in sets for metric in METRICS)])
        yield from (f"{number}/*/{name}" for block in table.sets for name, heading in block.items() if heading)


def _cells(number: str, rows: Iterable[str], columns: Iterable[str]) -> Iterator[str]:
    """Yield the addresses of a table, its rows and its cells."""
    yield number
    for row in rows:
        yield from (f"{number}/{row}", *(f"{number}/{row}/{column}" for column in columns))
