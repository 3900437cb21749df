"""Data directories from tables of recordings, as stage 0 writes them from a corpus."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from c2ser.corpus import Utterance
from c2ser.emotions import EMOTIONS, ordered
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.log import get_logger
from c2ser.prep.assign_sets import set_of, with_sets
from c2ser.prep.audio_paths import file_names, locate
from c2ser.prep.columns import Columns, Roles, find_roles, number
from c2ser.prep.count_report import report
from c2ser.prep.describe import Corpus
from c2ser.prep.folds import Folds, with_folds
from c2ser.prep.label_names import LabelNames, read_labels
from c2ser.prep.table_recordings import REJECTED, UNCLEAR, Recording, cell, language_code, utterance_of
from c2ser.prep.table_rows import Row, Table, read_rows_of
from c2ser.prep.table_warnings import (
    OUTSIDE_REMEDY,
    absent_classes,
    counted,
    doubled_rows,
    gaps,
    missing_files,
    outside_labels,
)
from c2ser.prep.writer import Written, write_corpus

logger = get_logger(__name__)


def import_tables(
    tables: Sequence[Path],
    out: Path,
    columns: Columns,
    labels: str = "seven",
    audio_root: Path | None = None,
    language: str | None = None,
    folds: Folds = "published",
    into: str | None = None,
    nj: int = 8,
) -> Written:
    """Write data directories with the recordings of tables; the arguments are those of `c2ser import`.

    Raises:
        ValueError: a table is malformed, lacks a column, or names sets that are not known; speakers are too few; or no
            recording can be used.
    """
    chosen, kept, names = read_labels(labels)
    recordings: list[Recording] = []
    for path in tables:
        table = read_rows_of(path, out / "audio/embedded")
        roles = find_roles(table, columns, names)
        logger.info("%s: %d rows; %s", path, len(table.rows), roles)
        recordings += _recordings(table, roles, (audio_root or table.root).absolute(), into)
    recordings = _joined(recordings)
    utterances = _utterances(recordings, names, language)
    emotions = _emotions(utterances, SEVEN if chosen == "seven" else kept)
    corpus = Corpus(
        emotions=emotions,
        remedy="correct the table",
        unlabelled=all(utterance.emotion in (None, UNCLEAR) for utterance in utterances),
        kept=kept,
    )
    _check_usable(utterances, corpus, tables)
    done = ""
    if not into:
        utterances, done = with_sets(utterances, emotions)
    written = write_corpus(with_folds(utterances, folds), out, corpus, chosen, nj, (out / "audio").absolute())
    report(written, corpus, chosen, into)
    if done:
        logger.info("%s", done)
    assumed = None if language else "English"
    sentences = [*missing_files(recordings), *gaps(recordings, assumed), *doubled_rows(recordings)]
    for sentence in [*sentences, *outside_labels(utterances, emotions), *absent_classes(written)]:
        logger.warning("%s", sentence)
    return written


def _recordings(table: Table, roles: Roles, root: Path, into: str | None) -> list[Recording]:
    """Return a recording for each row of a table."""
    paths = locate((text for row in table.rows if (text := cell(row, roles, "file"))), root)
    unnamed = [row.place for row in table.rows if not cell(row, roles, "file")]
    if unnamed:
        raise ValueError(f"{unnamed[0]}: no audio file (column '{roles.columns['file']}', {len(unnamed)} such rows); "
                         "fill it, or remove the rows")  # fmt: skip
    result = []
    for row in table.rows:
        start, end = _seconds(row, roles, "start"), _seconds(row, roles, "end")
        path = paths[cell(row, roles, "file")]
        result.append(Recording(path, start, end, [(row, roles)], into or _set(table, row, roles)))
    return result


def _seconds(row: Row, roles: Roles, role: str) -> float | None:
    text = cell(row, roles, role)
    seconds = number(text) if text else None
    if text and seconds is None:
        raise ValueError(f"{row.place}: its {role} is '{text}', no number of seconds; write 62.5 for 1:02.5")
    return seconds


def _set(table: Table, row: Row, roles: Roles) -> str:
    """Return the set that a row or, without such a column, the table's name says; "" for none."""
    if "split" not in roles.columns:
        return set_of(table.set) or ""
    text = cell(row, roles, "split")
    name = set_of(text)
    if name is None:
        raise ValueError(f"{row.place}: its set is '{text}', not train, valid, test, test1 or the like; rename it, "
                         'put all into one set with --into, or give --columns.split "" to have sets made')  # fmt: skip
    return name


def _joined(recordings: Iterable[Recording]) -> list[Recording]:
    """Return one recording for all rows that have the same file, start and end."""
    joined: dict[tuple, Recording] = {}
    for one in recordings:
        first = joined.setdefault((one.path, one.start, one.end), one)
        if first is not one:
            first.rows += one.rows
            if first.set != one.set:
                raise ValueError(f"{one.path}: in two sets, '{first.set}' by {first.rows[0][0].place} and '{one.set}' "
                                 f"by {one.rows[0][0].place}; give it one")  # fmt: skip
    result = [*joined.values()]
    if len({one.set == "" for one in result}) > 1:
        unknown = next(one for one in result if one.set == "")
        raise ValueError(f"{unknown.rows[0][0].place}: no set, but other tables have sets; add a column 'split'")
    for one in result:
        one.set = one.set or "train"
    return result


def _utterances(recordings: Sequence[Recording], names: LabelNames, language: str | None) -> list[Utterance]:
    code = language_code(language or "en")
    files = file_names(recording.path for recording in recordings)
    utterances = [utterance_of(one, files[one.path], names, code) for one in recordings]
    _check_ids(recordings, utterances)
    voted = any(len(one.rows) > 1 or one.rows[0][1].classes for one in recordings)
    return utterances if voted else [dataclasses.replace(utterance, votes=None) for utterance in utterances]


def _check_ids(recordings: Sequence[Recording], utterances: Sequence[Utterance]) -> None:
    """Refuse speakers whose names differ in signs alone, and parts that begin and end within the same millisecond."""
    speakers: dict[str, str] = {}
    ids: dict[str, str] = {}
    for recording, utterance in zip(recordings, utterances, strict=True):
        row, roles = recording.rows[0]
        name = cell(row, roles, "speaker")
        if name and speakers.setdefault(utterance.speaker, name) != name:
            raise ValueError(f"{row.place}: the speakers '{speakers[utterance.speaker]}' and '{name}' would both be "
                             f"{utterance.speaker}; rename one")  # fmt: skip
        if ids.setdefault(utterance.id, row.place) != row.place:
            raise ValueError(f"{row.place}: the same part of a file as in {ids[utterance.id]}; remove one")


def _emotions(utterances: Sequence[Utterance], wanted: LabelSet | None) -> dict[str, str | None]:
    """Return the class of each label of the tables, None for those that are rejected; None wants all."""
    labels = {utterance.emotion for utterance in utterances if utterance.emotion}
    kept = labels - REJECTED if wanted is None else labels & {*wanted}
    return {label: label if label in kept else None for label in ordered(labels)}


def _check_usable(utterances: Sequence[Utterance], corpus: Corpus, tables: Sequence[Path]) -> None:
    """Stop if no file is there, or no label is a class: then the tables or the options are wrong."""
    where = ", ".join(map(str, tables))
    if not any(Path(utterance.wav).exists() for utterance in utterances):
        raise ValueError(f"{where}: none of {len(utterances)} recordings is there, such as {utterances[0].wav}; "
                         "give the folder of the audio files with --audio-root")  # fmt: skip
    if not corpus.unlabelled and not any((corpus.emotions or {}).values()):
        raise ValueError(f"{where}: no label is one of {', '.join(corpus.kept or EMOTIONS)}, only "
                         f"{counted(Counter(str(one.emotion) for one in utterances))}; {OUTSIDE_REMEDY}")  # fmt: skip
