"""What stands on the page: the figures of scores.json and stability.json, as tables, bars, charts and matrices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2ser.corpus import Utterance, read_data_dir
from c2ser.emotions import UNPARSED, ordered
from c2ser.log import get_logger
from c2ser.report.charts import Bar, Chart, bars, data_address, reliability_chart
from c2ser.report.recordings import Cells, read_cells, same_counts
from c2ser.scoring.compare import gap_rows
from c2ser.scoring.palette import class_title
from c2ser.scoring.results_page import best_model, cell, figure_rows, headline, with_folds
from c2ser.scoring.stability_report import agreement_sentence, natural_order, stability_rows
from c2ser.tables import read_json, read_table

logger = get_logger(__name__)

PARTS = {"durations": "By duration", "languages": "By language", "by_speaker": "By speaker"}
"""Figures of parts of a set in scores.json, with their headings."""

Table = tuple[list[str], list[list[str]]]
"""Heading and rows."""


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a confusion matrix.

    Attributes:
        count: number of utterances.
        percent: of the utterances with this true emotion.
        right: whether label and true emotion are the same.
        key: stands for its recordings; "" where none are known.
    """

    count: int
    percent: float
    right: bool
    key: str


@dataclass(frozen=True)
class Model:
    """The figures of a model on a set.

    Attributes:
        name: its folder.
        figures: its scores.json.
        labels: the columns of its matrix.
        matrix: cells of a row by true emotion.
        parts: bars of durations, languages and speakers, by heading.
    """

    name: str
    figures: Mapping[str, Any]
    labels: list[str]
    matrix: dict[str, list[MatrixCell]]
    parts: dict[str, list[Bar]]


@dataclass
class TestSet:
    """The figures of all models on a set.

    Attributes:
        name: of the set.
        headline: which model is best, in pieces of which every second one is emphasised.
        best: that model.
        chance: UA of guessing, in percent.
        emotions: those of the reference.
        bars: the UA of each model.
        table: all figures of all models.
        gaps: how far systems lie above the baseline of the comparison, or None.
        recalls: recall by emotion, a fraction, by model.
        models: the best one first.
        reliability: a chart of each model that has probabilities.
        stability: the table of the stability report, or None.
        flips: labels that variants change, by model.
        agreement: of explicit and implicit labels, a sentence; "" where there are not both.
        pictures: address by probe of the picture of its embeddings.
        remarks: what could not be shown, and why.
    """

    name: str
    headline: list[str]
    best: str
    chance: float
    emotions: list[str]
    bars: list[Bar]
    table: Table
    gaps: Table | None
    recalls: dict[str, dict[str, float]]
    models: list[Model]
    reliability: list[Chart] = field(default_factory=list)
    stability: Table | None = None
    flips: dict[str, list[Bar]] = field(default_factory=dict)
    agreement: str = ""
    pictures: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@dataclass
class Heard:
    """The recordings of a set.

    Attributes:
        utterances: by id; empty where the data directory is not there.
        cells: the recordings of each cell, by key.
        remarks: what could not be read, and why.
    """

    utterances: dict[str, Utterance] = field(default_factory=dict)
    cells: dict[str, list[Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_set(exp: Path, folder: Path, name: str, rows: Mapping[str, Mapping[str, Any]]) -> tuple[TestSet, Heard]:
    """Return what the page shows of a set, and the recordings behind it.

    Args:
        exp: folder of the results.
        folder: data directory of the set.
        name: of the set.
        rows: figures by model, as in scores.json.
    """
    heard = Heard()
    cells = _read_all_cells(exp, folder, name, rows, heard)
    best, emotions = best_model(rows), ordered(emotion for row in rows.values() for emotion in row["per_emotion"])
    order = sorted(rows, key=lambda model: model != best)
    folded = {title: row for model in rows for title, row in with_folds(model, rows[model])}
    models = [_model(model, rows[model], cells.get(model, {}), f"{name}/{model}", heard) for model in order]
    shown = TestSet(
        name=name,
        headline=headline(name, rows).split("**"),
        best=best,
        chance=100 / len(rows[best]["per_emotion"]),
        emotions=emotions,
        bars=bars(rows),
        table=figure_rows(folded),
        gaps=_gaps(exp / f"comparison_{name}/comparison.json"),
        recalls={model: row["per_emotion"] for model, row in rows.items()},
        models=models,
        pictures={path.parts[-3]: data_address(path) for path in sorted(exp.glob(f"probe*/decode_{name}/embed*.png"))},
        remarks=heard.remarks,
    )
    _add_stability(shown, exp / f"stability_{name}/stability.json")
    return shown, heard


def _read_all_cells(
    exp: Path, folder: Path, name: str, rows: Mapping[str, Mapping[str, Any]], heard: Heard
) -> dict[str, Cells]:
    """Return the recordings of all cells by model; what is in the way becomes a remark."""
    if not (folder / "wav.scp").exists():
        heard.remarks.append(f"The cells name no recordings, because there is no {folder}/wav.scp.")
        return {}
    heard.utterances = read_data_dir(folder)
    reference, cells = read_table(folder / "utt2emo"), {}
    for model, figures in rows.items():
        try:
            found = read_cells(exp, model, name, reference)
        except OSError:
            continue  # figures alone, such as those of a cross-validation
        if same_counts(found, figures["confusion"]):
            cells[model] = found
        else:
            remark = f"{model}: its labels or {folder}/utt2emo have changed since they were scored; run stage 9 again."
            heard.remarks.append(f"{remark} Its cells name no recordings.")
            logger.warning(remark)
    return cells


def _model(name: str, figures: Mapping[str, Any], cells: Cells, prefix: str, heard: Heard) -> Model:
    confusion = figures["confusion"]
    rows, predicted = ordered(confusion), {label for row in confusion.values() for label in row}
    labels = ordered({*rows, *predicted} - {UNPARSED}) + [UNPARSED] * (UNPARSED in predicted)
    matrix: dict[str, list[MatrixCell]] = {}
    for true in rows:
        total, matrix[true] = sum(confusion[true].values()), []
        for label in labels:
            count, key = confusion[true].get(label, 0), ""
            if (true, label) in cells:
                key = f"{prefix}/{true}/{label}"
                heard.cells[key] = cells[true, label]
            matrix[true].append(MatrixCell(count, 100 * count / total, true == label, key))
    parts = {heading: figures.get(part, {}) for part, heading in PARTS.items()}
    shown = {heading: bars(part) for heading, part in parts.items() if len(part) > 1}
    return Model(name, figures, [class_title(label) for label in labels], matrix, shown)


def _gaps(path: Path) -> Table | None:
    return gap_rows(read_json(path)) if path.exists() else None


def _add_stability(shown: TestSet, path: Path) -> None:
    if not path.exists():
        return
    report = read_json(path)
    shown.stability, shown.agreement = stability_rows(report), agreement_sentence(report)
    for model, figures in report["models"].items():
        if "calibration" in figures:
            shown.reliability.append(reliability_chart(model, figures["calibration"]))
        if "variants" in figures:
            variants = sorted(figures["variants"].items(), key=lambda item: natural_order(item[0]))
            shown.flips[model] = bars(dict(variants), "flips")


def tiles(model: Model) -> dict[str, str]:
    """Return the figures of a model that stand in large type, by their names."""
    figures = model.figures
    shown = {"UA %": cell(figures, "ua", 100, 1), "WA %": cell(figures, "wa", 100, 1)}
    shown["macro F1 %"] = cell(figures, "f1_reference", 100, 1)
    shown["utterances"] = str(figures["utterances"])
    if "speakers" in figures:
        shown["speakers"] = str(figures["speakers"])
    return shown
