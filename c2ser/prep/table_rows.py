"""Tables of recordings in the forms that people keep them in: CSV, TSV, JSON lines, Parquet, Kaldi, `datasets`."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2ser.log import one_line
from c2ser.prep.layout import read_text
from c2ser.tables import read_table, write_bytes

SEPARATORS = ",;\t|"

KALDI = {
    "utt2spk": "speaker", "utt2emo": "emotion", "text": "text", "utt2lang": "language", "utt2fold": "fold",
}  # fmt: skip
"""Tables of a Kaldi directory, and the headings that they get."""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        place: where it stands, such as "my.csv:17", for messages.
        cells: text by heading, without blanks at its edges; a heading may be missing.
    """

    place: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of recordings.

    Attributes:
        path: the file or folder.
        headings: in their order.
        rows: at least one.
        root: the folder in which relative paths begin.
        set: the set that the table's name says, such as train.csv; "" where it says none.
    """

    path: Path
    headings: list[str]
    rows: list[Row] = field(repr=False)
    root: Path
    set: str = ""


def read_rows_of(path: Path, embedded: Path) -> Table:
    """Read a table of recordings.

    Args:
        path: a CSV, TSV, JSON, JSON lines or Parquet file; a Kaldi data directory; a folder that `datasets` saved; or a
            folder with one of these tables under the name `metadata`.
        embedded: folder for audio that a table holds itself.

    Raises:
        ValueError: there is no such file, or it is malformed or empty; the message names the place.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; give a table of recordings")
    if path.is_dir():
        return _read_folder(path, embedded)
    kind = path.suffix.lower()
    if kind in (".xlsx", ".xls", ".ods"):
        raise ValueError(f"{path}: spreadsheets are not read; save it as CSV (UTF-8)")
    if kind == ".parquet":
        rows = _parquet_rows(path, embedded)
    elif kind in (".json", ".jsonl", ".ndjson"):
        rows = _json_rows(path)
    else:
        rows = _text_rows(path)
    return _table(path, rows, path.parent)


def _table(path: Path, rows: list[Row], root: Path) -> Table:
    if not rows:
        raise ValueError(f"{path}: no rows; give a table with headings and a row for each recording")
    headings = list(dict.fromkeys(heading for row in rows for heading in row.cells))
    return Table(path, headings, rows, root.absolute(), path.stem if path.is_file() else path.name)


def _read_folder(path: Path, embedded: Path) -> Table:
    if (path / "wav.scp").exists():
        return _table(path, _kaldi_rows(path), path)
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        return _table(path, _datasets_rows(path, embedded), path)
    for name in ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet"):
        if (path / name).exists():
            return read_rows_of(path / name, embedded)
    raise ValueError(f"{path}: holds no wav.scp, dataset_info.json or metadata.csv; give a table of recordings")


def _text_rows(path: Path) -> list[Row]:
    text = read_text(path)
    if "\0" in text:
        raise ValueError(f"{path}: holds bytes that no text has; save it as CSV in UTF-8")
    declared = re.match(r"sep=(.)\r?\n", text)  # Excel's first line
    if declared:
        text = text[declared.end() :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = declared[1] if declared else max(SEPARATORS, key=lambda sign: re.sub(r'"[^"]*"', "", first).count(sign))
    try:
        return _parse(path, text, separator, csv.QUOTE_MINIMAL, 1 if declared else 0)
    except ValueError:
        if separator != "\t" or '"' not in text:
            raise
        return _parse(path, text, separator, csv.QUOTE_NONE, 0)  # many write tabs without any quoting


def _parse(path: Path, text: str, separator: str, quoting: Any, skipped: int) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    headings: list[str] = []
    rows: list[Row] = []
    wrong: list[str] = []
    try:
        for cells in reader:
            cells, line = [cell.strip() for cell in cells], reader.line_num + skipped
            if not any(cells):
                continue
            if not headings:
                headings = _checked_headings(path, cells)
                continue
            while len(cells) > len(headings) and not cells[-1]:
                cells.pop()
            if len(cells) != len(headings):
                wrong.append(f"{path}:{line}: {len(cells)} fields, but {len(headings)} headings")
            else:
                rows.append(Row(f"{path.name}:{line}", dict(zip(headings, cells, strict=True))))
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num + skipped}: a quote that does not fit ({error}); "
                         'put texts between "…" and write a quote in them twice') from None  # fmt: skip
    if wrong:
        more = f" (and {len(wrong) - 1} more such lines)" if len(wrong) > 1 else ""
        raise ValueError(f'{wrong[0]}{more}; put texts that hold a "{separator}" between quotes')
    return rows


def _checked_headings(path: Path, cells: list[str]) -> list[str]:
    """Return the headings; one without a name, as pandas writes for its index, gets its number."""
    twice = [heading for heading, number in Counter(filter(None, cells)).items() if number > 1]
    if twice:
        raise ValueError(f"{path}: two columns have the heading '{twice[0]}'; rename one")
    return [heading or f"column {number}" for number, heading in enumerate(cells, start=1)]


def _json_rows(path: Path) -> list[Row]:
    text = read_text(path)
    try:
        whole = json.loads(text) if text.lstrip().startswith("[") else None
    except (ValueError, RecursionError) as error:
        line = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else path
        raise ValueError(f"{line}: not JSON ({one_line(error)}); correct it") from None
    entries = enumerate(whole, start=1) if whole is not None else _json_lines(path, text)
    rows = []
    for number, entry in entries:
        if not isinstance(entry, dict):
            raise ValueError(f"{path}:{number}: no JSON object; write one {{…}} for each recording")
        rows.append(Row(f"{path.name}:{number}", {str(key).strip(): as_text(value) for key, value in entry.items()}))
    return rows


def _json_lines(path: Path, text: str) -> Iterable[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{path}:{number}: not JSON ({one_line(error)}); write one object on each line"
                ) from None


def as_text(value: Any) -> str:
    """Return a cell as text: "" for None and NaN, 7 for 7.0; lists and objects as JSON."""
    if hasattr(value, "tolist"):  # a number or an array of numpy
        value = value.tolist()
    if value is None or value != value:  # NaN is not equal to itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _parquet_rows(path: Path, embedded: Path) -> list[Row]:
    try:
        import pandas  # installed by whoever has such files

        frame = pandas.read_parquet(path)
    except ImportError:
        raise ValueError(f"{path}: reading it needs pandas and pyarrow; pip install pandas pyarrow") from None
    except Exception as error:  # noqa: BLE001 - pyarrow has errors of its own, and is not imported here
        raise ValueError(f"{path}: no Parquet file ({str(error).splitlines()[0]}); export it again") from None
    entries = enumerate(frame.to_dict("records"), start=1)
    return [Row(f"{path.name}:{n}", _cells(entry, embedded / path.stem, n)) for n, entry in entries]


def _datasets_rows(path: Path, embedded: Path) -> list[Row]:
    try:
        import datasets  # installed by whoever has such folders
    except ImportError:
        raise ValueError(f"{path}: reading it needs the package datasets; pip install datasets") from None
    loaded = datasets.load_from_disk(str(path))
    parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    rows = []
    for split, part in parts.items():
        names = {key: kind.names for key, kind in part.features.items() if isinstance(kind, datasets.ClassLabel)}
        for number, entry in enumerate(part.data.to_pylist(), start=1):  # as they are stored: audio is not decoded
            entry |= {key: labels[entry[key]] for key, labels in names.items() if (entry[key] or 0) >= 0}
            cells = _cells(entry, embedded / path.name / split, number)
            rows.append(Row(f"{path.name}/{split}:{number}", cells | ({"split": split} if split else {})))
    return rows


def _cells(entry: Mapping[Any, Any], embedded: Path, number: int) -> dict[str, str]:
    """Return an entry as text; audio that it holds is written to a file, whose path is the text."""
    cells = {}
    for key, value in entry.items():
        if isinstance(value, dict) and {"bytes", "path"} <= value.keys():
            name = Path(str(value["path"] or "audio.wav")).name
            target = embedded / f"{number:06d}_{name}"
            if value["bytes"]:
                if not target.exists() or target.read_bytes() != value["bytes"]:
                    write_bytes(target, value["bytes"])
                value = str(target.absolute())
            else:
                value = value["path"]
        cells[str(key).strip()] = as_text(value)
    return cells


def _kaldi_rows(path: Path) -> list[Row]:
    recordings = read_table(path / "wav.scp")
    piped = next((i for i, wav in recordings.items() if "|" in (wav[:1], wav[-1:])), None)
    if piped is not None:
        raise ValueError(f"{path}/wav.scp: a pipe for {piped}, and pipes are never run; write the audio to files")
    columns = {heading: _optional(path / name) for name, heading in KALDI.items()}
    parts = _optional(path / "segments") or {i: i for i in recordings}
    rows = []
    for i, part in parts.items():
        recording, *times = part.split()
        if recording not in recordings or len(times) not in (0, 2):
            raise ValueError(f"{path}/segments: '{i} {part}' is not an id, a recording of wav.scp, start and end; "
                             "correct it")  # fmt: skip
        cells = {"file": recordings[recording], **dict(zip(("start", "end"), times, strict=False))}
        cells |= {heading: column[i] for heading, column in columns.items() if i in column}
        rows.append(Row(f"{path.name}:{i}", cells))
    return rows


def _optional(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}
