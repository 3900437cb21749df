"""Tables II to IV: what the corpora hold."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from c2ser.emotions import ordered
from c2ser.paper.cells import NOTHING, Footnotes, beside, count_cell, hours_cell
from c2ser.paper.data import Part, read_part, together
from c2ser.paper.printed import CorpusRow, DurationRow, Paper
from c2ser.scoring.report import clock, pipe_table

LANGUAGES = {
    "zh": "Chinese", "en": "English", "it": "Italian", "es": "Spanish", "fr": "French", "de": "German", "pl": "Polish",
    "und": "other",
}  # fmt: skip
"""Names of languages by their codes."""

SAME = {"Mandarin": "Chinese", "Mexican": "Spanish", "Mix": "Chinese, English"}
"""What the paper calls them, beside ours."""

SHORT = {"zh": "CN", "en": "EN"}
"""What Table III calls languages."""

FEW = 10
"""Speakers below which intervals are too narrow."""


def training_table(paper: Paper, parts: Mapping[str, Mapping[str, Part]]) -> list[str]:
    """Return the lines of Table II.

    Args:
        paper: what is printed.
        parts: what `training_parts` returned.
    """
    notes, table = Footnotes(paper.notes), paper.training
    lines = [f"## Table II. {table.caption}{notes.marks('II')}", ""]
    rows = {key: (row, together(parts[key].values()) if key in parts else None) for key, row in table.rows.items()}
    if table.total:
        whole = [part for _, part in rows.values() if part]
        rows["total"] = table.total, together(whole) if whole else None
    body = []
    for key, (row, part) in rows.items():
        name = f"{row.name}{notes.marks(f'II/{key}')}"
        marks = {column: notes.marks(f"II/{key}/{column}") for column in ("emotions", "utterances", "hours")}
        body.append([
            name, row.source, _emotions(part, row, marks["emotions"]),
            _language(part, row), count_cell(part and part.utterances, row.utterances, marks["utterances"]),
            hours_cell(part and part.hours, row.hours, marks["hours"]),
        ])  # fmt: skip
    head = ["Dataset", "Source", "Emotion labels used", "Lang", "#Utts", "#Hrs"]
    return [*lines, *pipe_table(head, body, words=4), "", *notes.lines(), ""]


def _emotions(part: Part | None, row: CorpusRow, marks: str = "") -> str:
    printed = ", ".join(map(str.capitalize, row.emotions)) or None
    ours = ", ".join(map(str.capitalize, ordered(part.emotions.values()))) if part else None
    return beside(ours, printed, marks=marks)


def _language(part: Part | None, row: CorpusRow) -> str:
    codes = sorted({*part.languages.values()} - {""}) if part else []
    ours = ", ".join(sorted(LANGUAGES.get(code, code) for code in codes)) or None
    return row.language if ours and ours == SAME.get(row.language) else beside(ours, row.language or None)


def durations_table(paper: Paper, part: Part | None) -> list[str]:
    """Return the lines of Table III.

    Args:
        paper: what is printed.
        part: the data directory, if it is there.
    """
    notes, table = Footnotes(paper.notes), paper.emo_emilia
    codes = [*table.total.durations]
    head = ["Emotion", "# of samples", *(f"{SHORT.get(code, code)} duration" for code in codes)]
    lines = [f"## Table III. {table.caption}{notes.marks('III')}", ""]
    groups: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for name, emotion in (part.emotions if part else {}).items():
        for kind in (emotion, "total"):
            groups[kind, part.languages.get(name, "")].append(part.seconds.get(name))
    body = []
    for key, row in {**table.rows, "total": table.total}.items():
        name = f"{key.capitalize()}{notes.marks(f'III/{key}')}"
        ours = {code: groups[key, code] for code in codes} if part else None
        marks = {code: notes.marks(f"III/{key}/{code}") for code in codes}
        body.append([name, *_durations(row, ours, marks)])
    return [*lines, *pipe_table(head, body), "", *notes.lines(), ""]


def _durations(
    row: DurationRow, groups: Mapping[str, list[float | None]] | None, marks: Mapping[str, str]
) -> list[str]:
    """Return the cells of a row behind its name; groups and marks by language, groups None where nothing is there."""
    printed, ours = _sizes(row.samples), groups and _sizes({code: len(group) for code, group in groups.items()})
    cells = [beside(ours, printed, ours is not None and ours != printed)]
    for code, mark in marks.items():
        known = groups is not None and None not in groups[code]
        spent = clock(sum(groups[code])) if known else None
        cells.append(beside(spent, row.durations[code], known and spent != row.durations[code], mark))
    return cells


def _sizes(samples: Mapping[str, int]) -> str:
    return "+".join(f"{number}{SHORT.get(code, code)}" for code, number in samples.items())


def evaluation_table(paper: Paper, raw: Mapping[str, Part], tested: Mapping[str, Part]) -> list[str]:
    """Return the lines of Table IV, with a column for what Table VI tests on and one for its speakers.

    Args:
        paper: what is printed.
        raw: whole corpora with their own classes, by corpus.
        tested: test sets of seven emotions, by corpus.
    """
    notes, table = Footnotes(paper.notes), paper.evaluation
    lines = [f"## Table IV. {table.caption}{notes.marks('IV')}", ""]
    head = ["Dataset", "Source", "Emotion labels", "Lang", "#Utterances", f"tested{notes.marks('IV/*/tested')}"]
    body = []
    for key, row in table.rows.items():
        whole, test = raw.get(key), tested.get(key)
        name = f"{row.name}{notes.marks(f'IV/{key}')}"
        marks = {column: notes.marks(f"IV/{key}/{column}") for column in ("emotions", "utterances")}
        body.append([
            name, row.source, _emotions(whole, row, marks["emotions"]),
            _language(whole or test, row), count_cell(whole and whole.utterances, row.utterances, marks["utterances"]),
            count_cell(test and test.utterances, row.tested),
            str(len({*test.speakers.values()})) if test and test.speakers else NOTHING,
        ])  # fmt: skip
    return [*lines, *pipe_table([*head, "speakers of these"], body, words=4), "", *notes.lines(), ""]


def evaluation_parts(data: Path, corpora: Sequence[str], ending: str) -> dict[str, Part]:
    """Return the data directories `<corpus>_<ending>` that are there, by corpus."""
    found = {corpus: read_part(data / f"{corpus}_{ending}") for corpus in corpora}
    return {corpus: part for corpus, part in found.items() if part}


def few_speakers(tested: Mapping[str, Part]) -> dict[str, int]:
    """Return the corpora whose test sets have so few speakers that their intervals are too narrow, with the number."""
    speakers = {corpus: len({*part.speakers.values()}) for corpus, part in tested.items()}
    return {corpus: number for corpus, number in speakers.items() if number < FEW}


def kept_table(paper: Paper, parts: Mapping[str, Mapping[str, Part]]) -> list[str]:
    """Return the lines of a table of what was counted of each training corpus and what was left out."""
    body = []
    for key, sets in parts.items():
        left = together(sets.values()).left_out()
        counted = [sets[name].utterances for name in ("train", "valid")]
        dropped = [left["label"], left["length"], left["else"]]
        body.append([paper.training.rows[key].name, *(f"{number:,}" for number in [*counted, *dropped])])
    head = ["corpus", "to learn from", "to validate on", "left out: label", "over 20 s", "unusable"]
    return pipe_table(head, body)
