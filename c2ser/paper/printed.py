"""What the paper prints, from `paper.yaml`: Tables II to IX, what its text says of Figures 4 to 7, and what is wrong.

An address names a place in the tables: `II` a table, `II/iemocap` a row, `VI/*/esd` the head of columns,
`II/iemocap/hours` a cell, `VI/cascade/esd` the three cells of a set and `VI/cascade/esd/ua` one of them; `F5` a figure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jsonargparse

METRICS = ("ua", "wa", "f1")
"""The order of the printed figures of a set."""


@dataclass
class CorpusRow:
    """A corpus as Table II or IV describes it; what is not printed is empty.

    Attributes:
        name: as printed.
        source: where its speech is from.
        emotions: its emotions.
        language: its language.
        utterances: how many.
        hours: how long.
        tested: how many utterances Table VI tests on.
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
        caption: in our words.
        rows: by the name of the corpus' recipe.
        total: the last row, if there is one.
    """

    caption: str
    rows: dict[str, CorpusRow]
    total: CorpusRow | None = None


@dataclass
class DurationRow:
    """A row of Table III.

    Attributes:
        samples: utterances by language.
        durations: HH:MM:SS by language.
    """

    samples: dict[str, int]
    durations: dict[str, str]


@dataclass
class DurationTable:
    """Table III.

    Attributes:
        caption: in our words.
        data: the data directory that ours are counted in.
        rows: by emotion.
        total: the last row.
    """

    caption: str
    data: str
    rows: dict[str, DurationRow]
    total: DurationRow


@dataclass
class ResultRow:
    """A system in one of the Tables V to IX.

    Attributes:
        name: as printed.
        exp: folders that may hold our results, below the experiments' folder or where the table's places say.
        paper: the printed UA, WA and F1 in percent, by set.
        group: what stands before it, in Table VII.
        baseline: whether another system, of which the printed figure stands alone where we have none.
    """

    name: str
    exp: list[str]
    paper: dict[str, list[float]]
    group: str = ""
    baseline: bool = False


@dataclass
class ResultTable:
    """One of the Tables V to IX.

    Attributes:
        caption: in our words.
        places: folders of scores.json below the experiments' folder, with {row} and {set}; the first that is there
            counts.
        sets: headings by set, block by block.
        rows: by a name of ours.
        head: of the first column.
        best: how many places are marked: 2 for the best and the second best, 1 for the best alone, 0.
        f1: which F1 the printed one is.
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
    """One of the Figures 4 to 7, of which only the text gives numbers.

    Attributes:
        caption: in our words.
        text: what the paper's text says of it, in our words.
        table: where the figure's systems stand.
        set: what they are tested on.
        rows: which systems.
        data: the data directory with reference and speakers.
        said: lower and upper end in percent that the text gives, by emotion, by system.
    """

    caption: str
    text: str
    table: str = ""
    set: str = ""
    rows: list[str] = field(default_factory=list)
    data: str = ""
    said: dict[str, dict[str, list[float]]] = field(default_factory=dict)


@dataclass
class Note:
    """What is wrong or unlike.

    Attributes:
        at: addresses.
        text: what and why.
    """

    at: list[str]
    text: str


@dataclass
class Paper:
    """All of it.

    Attributes:
        training: Table II.
        emo_emilia: Table III.
        evaluation: Table IV.
        results: Tables V to IX by their number.
        figures: Figures 4 to 7 by their number.
        notes: what is wrong or unlike.
    """

    training: CorpusTable
    emo_emilia: DurationTable
    evaluation: CorpusTable
    results: dict[str, ResultTable]
    figures: dict[str, Figure]
    notes: list[Note] = field(default_factory=list)


def read_paper(path: Path) -> Paper:
    """Read `paper.yaml`.

    Raises:
        ValueError: a key is not known or missing, a value is of another type, a set is no row of Table IV, a system
            has no three figures of a set, or a note is about no place in the tables.
    """
    reader = jsonargparse.ArgumentParser(exit_on_error=False)
    reader.add_class_arguments(Paper)
    try:
        values = reader.parse_path(path)
    except (jsonargparse.ArgumentError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}; correct it") from None
    paper = Paper(**vars(reader.instantiate(values)))
    for number, table in paper.results.items():
        _check_results(f"{path}: Table {number}", table, paper)
    for number, figure in paper.figures.items():
        _check_figure(f"{path}: Figure {number}", figure, paper)
    known = set(addresses(paper))
    unknown = next((at for note in paper.notes for at in note.at if at not in known), None)
    if unknown is not None:
        raise ValueError(f"{path}: a note is about {unknown}, which is no place in the tables; correct its `at`")
    return paper


def _check_results(place: str, table: ResultTable, paper: Paper) -> None:
    sets = [name for block in table.sets for name in block]
    foreign = next((name for name in sets if name not in paper.evaluation.rows), None)
    if foreign is not None:
        raise ValueError(f"{place}: unknown corpus {foreign}; add it to Table IV, or take it out here")
    for key, row in table.rows.items():
        bad = next((name for name in sets if not _three_figures(row.paper.get(name, []))), None)
        if bad is not None:
            raise ValueError(f"{place}, {key}: {bad} needs UA, WA and F1, each from 0 to 100; complete it")


def _three_figures(figures: list[float]) -> bool:
    return len(figures) == len(METRICS) and all(0 <= figure <= 100 for figure in figures)


def _check_figure(place: str, figure: Figure, paper: Paper) -> None:
    if not figure.rows:
        return
    table = paper.results.get(figure.table)
    if table is None or not {*figure.rows, *figure.said} <= {*table.rows}:
        raise ValueError(f"{place}: its rows are not all in Table {figure.table}; correct `table` or `rows`")
    if not any(figure.set in block for block in table.sets):
        raise ValueError(f"{place}: unknown corpus {figure.set} in Table {figure.table}; correct `set`")


def addresses(paper: Paper) -> Iterator[str]:
    """Yield every address that a note may have."""
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
