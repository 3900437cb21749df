"""What the command line names as recordings: files, folders, lists, tables, and standard input."""

import csv
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from c2ser.log import get_logger
from c2ser.recordings.pooling import Recording
from c2ser.recordings.segmenting import Span
from c2ser.recordings.turns import Turn, turns_of

logger = get_logger(__name__)

AUDIO = frozenset(
    ".wav .flac .mp3 .ogg .opus .oga .aiff .aif .aifc .au .snd .caf .w64 .rf64 .sph .gsm .voc .m4a .m4b .mp4 .m4v .aac "
    ".wma .amr .awb .3gp .3ga .3g2 .webm .weba .mka .mkv .mov .avi .flv .mp2 .mpga .mpeg .mpg .ts .ac3 .eac3 .ape .wv "
    ".tta .asf .wmv .rm .ra .dts".split()
)
"""Endings of what is taken for audio in a folder."""

LISTS, TABLES = (".txt", ".lst", ".list"), {".csv": ",", ".tsv": "\t"}
"""Endings of files that name recordings: one in a line, or a table; and what divides its columns."""

OWN = ("file", "start", "end")
"""Columns of a table that are understood; the others are kept."""


def find_recordings(inputs: Sequence[Path], turns: Mapping[str, Sequence[Turn]] | None = None) -> list[Recording]:
    """Return the recordings that the command line names, in its order.

    Args:
        inputs: files, folders, lists, tables, and "-" for standard input.
        turns: who speaks when, by recording; recordings without turns are named in the log.

    Raises:
        ValueError: an input is not there, a folder has no audio, or a list or table is damaged.
    """
    recordings = [recording for path in inputs for recording in _of_input(path)]
    return recordings if turns is None else [_with_turns(recording, turns, recordings) for recording in recordings]


def headings_of(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the headings of the columns that tables have for recordings."""
    return tuple(dict.fromkeys(name for recording in recordings for row in recording.columns for name in row))


def _of_input(path: Path) -> Iterator[Recording]:
    if str(path) == "-":
        yield Recording("-", sys.stdin.buffer, place="stdin")
    elif path.is_dir():
        yield from _of_folder(path)
    elif not path.exists():
        raise ValueError(f"{path}: no such file; check the path")
    elif path.suffix.lower() in LISTS:
        yield from _of_list(path)
    elif path.suffix.lower() in TABLES:
        yield from _of_table(path)
    else:
        yield _of_file(path)


def _of_file(path: Path) -> Recording:
    # a name that is not UTF-8 could not be written: its strange bytes are shown as \xe9
    return Recording(os.fsencode(path).decode("utf-8", "backslashreplace"), path, place=path.stem)


def _of_folder(folder: Path) -> Iterator[Recording]:
    """Yield the audio files of a folder and the folders in it; what is passed over is counted in the log."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    chosen = [path for path in files if path.suffix.lower() in AUDIO]
    others = Counter(path.suffix or path.name for path in files if path.suffix.lower() not in AUDIO)
    if others:
        shown = ", ".join(f"{ending} ({number})" for ending, number in others.most_common())
        logger.info("%s: passed over %d files that are no audio by their names: %s", folder, others.total(), shown)
    if not chosen:
        raise ValueError(f"{folder}: no audio in this folder, as .wav, .mp3 or .m4a; choose another")
    for path in chosen:
        yield replace(_of_file(path), place=str(path.relative_to(folder).with_suffix("")))


def _of_list(path: Path) -> Iterator[Recording]:
    names = [line for line in _read(path).split("\n") if line.strip()]
    if not names:
        raise ValueError(f"{path}: it names no recording; write one path in each line")
    yield from (_named(name.rstrip("\r"), path) for name in names)


def _named(name: str, where: Path) -> Recording:
    """Return a recording that a list names: below the working directory or else beside the list."""
    beside = where.parent / name
    path = beside if not Path(name).exists() and beside.exists() else Path(name)
    return Recording(name, path, place=path.stem)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; convert the file") from None


def _of_table(path: Path) -> Iterator[Recording]:
    """Yield the recordings of a table; neighbouring rows with parts of one file make one recording."""
    waiting: Recording | None = None
    for name, span, columns in _rows(path):
        recording = replace(_named(name, path), columns=[columns], spans=None if span is None else [span])
        if waiting is not None and waiting.name == name and waiting.spans is not None and span is not None:
            columns_of_both, spans = [*waiting.columns, columns], [*waiting.spans, span]
            waiting = replace(waiting, columns=columns_of_both, spans=spans)
            continue
        if waiting is not None:
            yield waiting
        waiting = recording
    if waiting is None:
        raise ValueError(f"{path}: it has no rows; write one for each recording")
    yield waiting


def _rows(path: Path) -> Iterator[tuple[str, Span | None, dict[str, str]]]:
    """Yield file, span and other columns of each row of a table.

    Raises:
        ValueError: there is no column `file`, a row has too many or too few fields, no file, or no times.
    """
    text = _read(path)
    rows = csv.reader(text.splitlines(keepends=True), delimiter=TABLES[path.suffix.lower()], strict=True)
    try:
        headings = [name.strip() for name in next(rows, [])]
        if "file" not in headings or len({*headings}) < len(headings):
            raise ValueError(f"{path}: no column file, or one twice, in {', '.join(headings)}; correct its first line")
        for fields in rows:
            if not fields:
                continue
            where = f"{path}:{rows.line_num}"
            if len(fields) != len(headings):
                raise ValueError(f"{where}: {len(fields)} fields, but {len(headings)} columns; put quotes around "
                                 "fields with commas")  # fmt: skip
            row = dict(zip(headings, fields, strict=True))
            if not row["file"]:
                raise ValueError(f"{where}: no file in this row; complete it")
            yield row["file"], _span(row, where), {name: value for name, value in row.items() if name not in OWN}
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num}: {error}; correct the quotes") from None


def _span(row: Mapping[str, str], where: str) -> Span | None:
    """Return the part of the file that a row names; None if it names none."""
    start, end = (row.get(name, "").strip() for name in ("start", "end"))
    if not start and not end:
        return None
    try:
        span = float(start or 0), float(end or "inf")
    except ValueError:
        raise ValueError(f"{where}: start {start!r}, end {end!r}; give seconds") from None
    if not 0 <= span[0] < span[1]:
        raise ValueError(f"{where}: start {start!r}, end {end!r}; give a start from 0 and an end after it")
    return span


def _with_turns(
    recording: Recording, turns: Mapping[str, Sequence[Turn]], recordings: Sequence[Recording]
) -> Recording:
    """Return a recording with its turns; a file with the turns of one recording fits the only one that is given."""
    only = next(iter(turns.values())) if len(turns) == len(recordings) == 1 else None
    chosen = turns_of(recording.name, turns) or only
    if chosen is None:
        logger.warning("%s: no turns of it among those of the speakers; its segments have none", recording.name)
    return replace(recording, turns=chosen or ())
