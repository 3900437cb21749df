"""Tables II to IV: the contents of the corpora."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from c2ser.emotions import ordered
from c2ser.scoring.results_page import clock, pipe_table
from paper.data_parts import Part, merge_parts, read_part
from paper.reference import CorpusRow, DurationRow, PaperTables
from paper.table_cells import NOTHING, Footnotes, count_cell, hours_cell, side_by_side

LANGUAGES = {
    "zh": "Chinese", "en": "English", "it": "Italian", "es": "Spanish", "fr": "French", "de": "German", "pl": "Polish",
    "und": "other",
}  # fmt: skip
"""Names of languages by their codes."""

SAME = {"Mandarin": "Chinese", "Mexican": "Spanish", "Mix": "Chinese, English"}
"""The paper's names of languages, with the names that we use."""

SHORT = {"zh": "CN", "en": "EN"}
"""Names of languages in Table III."""

FEW = 10
"""With fewer speakers than this, intervals are too narrow."""


def training_table(paper: PaperTables, parts: Mapping[str, Mapping[str, Part]]) -> list[str]:
    """Return the lines of Table II.

    Args:
        paper: the reference values of the paper.
        parts: what `training_parts` returned.
    """
    notes, table = Footnotes(paper.notes), paper.training
    lines = [f"## Table II. {table.caption}{notes.marks('II')}", ""]
    rows = {key: (row, merge_parts(parts[key].values()) if key in parts else None) for key, row in table.rows.items()}
    if table.total:
        present = [part for _, part in rows.values() if part]
        rows["total"] = table.total, merge_parts(present) if present else None
    body = []
    for key, (row, part) in rows.items():
        name = f"{row.name}{notes.marks(f'II/{key}')}"
        marks = {column: notes.marks(f"II/{key}/{column}") for column in ("emotions", "utterances", "hours")}
        body.append([
            name, row.source, _emotions(part, row, marks["emotions"]),
            _language(part, row),
            count_cell(part.utterances if part else None, row.utterances, marks["utterances"]),
            hours_cell(part.hours if part else None, row.hours, marks["hours"]),
        ])  # fmt: skip
    head = ["Dataset", "Source", "Emotion labels used", "Lang", "#Utts", "#Hrs"]
    return [*lines, *pipe_table(head, body, words=4), "", *notes.lines(), ""]


def _emotions(part: Part | None, row: CorpusRow, marks: str = "") -> str:
    printed = ", ".join(map(str.capitalize, row.emotions)) or None
    ours = ", ".join(map(str.capitalize, ordered(part.emotions.values()))) if part else None
    return side_by_side(ours, printed, marks=marks)


def _language(part: Part | None, row: CorpusRow) -> str:
    codes = sorted({*part.languages.values()} - {""}) if part else []
    ours = ", ".join(sorted(LANGUAGES.get(code, code) for code in codes)) or None
    return row.language if ours and ours == SAME.get(row.language) else side_by_side(ours, row.language or None)


def durations_table(paper: PaperTables, part: Part | None) -> list[str]:
    """Return the lines of Table III.

    Args:
        paper: the reference values of the paper.
        part: the contents of the data directory; None if it does not exist.
    """
    notes, table = Footnotes(paper.notes), paper.emo_emilia
    codes = [*table.total.durations]
    head = ["Emotion", "# of samples", *(f"{SHORT.get(code, code)} duration" for code in codes)]
    lines = [f"## Table III. {table.caption}{notes.marks('III')}", ""]
    groups: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    shown = part or Part()
    for name, emotion in shown.emotions.items():
        for kind in (emotion, "total"):
            groups[kind, shown.languages.get(name, "")].append(shown.seconds.get(name))
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
    """Return the cells after the name of a row; `groups` and `marks` are by language, `groups` is None without data."""
    printed = _sizes(row.samples)
    ours = None if groups is None else _sizes({code: len(group) for code, group in groups.items()})
    cells = [side_by_side(ours, printed, ours is not None and ours != printed)]
    for code, mark in marks.items():
        seconds = [value for value in groups[code] if value is not None] if groups else []
        complete = groups is not None and len(seconds) == len(groups[code])
        duration = clock(sum(seconds)) if complete else None
        cells.append(side_by_side(duration, row.durations[code], complete and duration != row.durations[code], mark))
    return cells


def _sizes(samples: Mapping[str, int]) -> str:
    return "+".join(f"{number}{SHORT.get(code, code)}" for code, number in samples.items())


def evaluation_table(paper: PaperTables, raw: Mapping[str, Part], tested: Mapping[str, Part]) -> list[str]:
    """Return the lines of Table IV, with two more columns: the utterances of Table VI's test sets, and their speakers.

    Args:
        paper: the reference values of the paper.
        raw: contents of whole corpora with their own classes, by corpus.
        tested: contents of the test sets with seven emotions, by corpus.
    """
    notes, table = Footnotes(paper.notes), paper.evaluation
    lines = [f"## Table IV. {table.caption}{notes.marks('IV')}", ""]
    head = ["Dataset", "Source", "Emotion labels", "Lang", "#Utterances", f"tested{notes.marks('IV/*/tested')}"]
    body = []
    for key, row in table.rows.items():
        corpus, test_set = raw.get(key), tested.get(key)
        name = f"{row.name}{notes.marks(f'IV/{key}')}"
        marks = {column: notes.marks(f"IV/{key}/{column}") for column in ("emotions", "utterances")}
        body.append([
            name, row.source, _emotions(corpus, row, marks["emotions"]),
            _language(corpus or test_set, row),
            count_cell(corpus.utterances if corpus else None, row.utterances, marks["utterances"]),
            count_cell(test_set.utterances if test_set else None, row.tested),
            str(len({*test_set.speakers.values()})) if test_set and test_set.speakers else NOTHING,
        ])  # fmt: skip
    return [*lines, *pipe_table([*head, "speakers of these"], body, words=4), "", *notes.lines(), ""]


def evaluation_parts(data: Path, corpora: Sequence[str], ending: str) -> dict[str, Part]:
    """Return the contents of the data directories `<corpus>_<ending>` that exist, by corpus."""
    parts = {corpus: read_part(data / f"{corpus}_{ending}") for corpus in corpora}
    return {corpus: part for corpus, part in parts.items() if part}


def few_speakers(tested: Mapping[str, Part]) -> dict[str, int]:
    """Return the number of speakers of each test set that has so few of them that its intervals are too narrow."""
    speakers = {corpus: len({*part.speakers.values()}) for corpus, part in tested.items()}
    return {corpus: number for corpus, number in speakers.items() if number < FEW}


def kept_table(paper: PaperTables, parts: Mapping[str, Mapping[str, Part]]) -> list[str]:
    """Return the lines of a table with the utterances of each training corpus: used for training, and rejected."""
    body = []
    for key, sets in parts.items():
        rejected = merge_parts(sets.values()).count_rejected()
        numbers = [sets[name].utterances for name in ("train", "valid")]
        numbers += [rejected[kind] for kind in ("label", "length", "else")]
        body.append([paper.training.rows[key].name, *(f"{number:,}" for number in numbers)])
    head = ["corpus", "training", "validation", "rejected: label", "over 20 s", "unusable"]
    return pipe_table(head, body)
