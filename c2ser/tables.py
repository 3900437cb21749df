"""Tables: one line `<utterance> <value>` per utterance, sorted bytewise as Kaldi wants it.

Files appear under their final name only when they are whole: they are written beside it, flushed to the disk and
renamed.
"""

import fcntl
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from c2ser.log import get_logger, printable, progress
from c2ser.machine import raise_if_of_machine, write_error

logger = get_logger(__name__)

NOT_FINITE = "its result is NaN or infinite; listen to it, and check the model on another utterance"
"""Why an utterance is rejected whose figures no table may hold."""


def read_table(path: str | Path) -> dict[str, str]:
    """Read a table.

    Returns:
        value by utterance, in the order of the file; the value is "" where a line holds an utterance alone.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: a line is blank, repeats an utterance, begins with what no id can be, or is not UTF-8; the message
            names file and line.
    """
    return {utterance: value for utterance, value, _ in read_rows(path)}


def read_rows(path: str | Path) -> Iterator[tuple[str, str, int]]:
    """Yield the rows of a table as (utterance, value, bytes of its line); the errors are those of `read_table`.

    Ids are interned: the tables of a data directory have the same ones, and keep each once.
    """
    seen: set[str] = set()
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                utterance, value = parse_row(raw, f"{path}:{number}")
                if utterance in seen:
                    raise ValueError(f"{utterance}: second line in {path}:{number}; run utils/fix_data_dir.sh")
                seen.add(utterance)
                yield utterance, value, len(raw)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such table; check the path, or run the stage that makes it") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error.strerror}); give a table") from None


def parse_row(raw: bytes, place: str) -> tuple[str, str]:
    """Return utterance and value of a table's line.

    Raises:
        ValueError: it is none; the message begins with `place`.
    """
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{place}: not UTF-8; convert the file") from None
    utterance, _, value = line.removesuffix("\n").strip(" \r").partition(" ")
    if not utterance or utterance.startswith("\ufeff"):
        raise ValueError(f"{place}: blank line or byte order mark; run utils/fix_data_dir.sh")
    if not utterance.isprintable():
        raise ValueError(f"{place}: {utterance!r} is no id; write an id, a space, a value")
    return sys.intern(utterance), value.strip(" ")


def write_table(path: str | Path, rows: Mapping[str, str]) -> None:
    """Write a table atomically, sorted bytewise.

    Raises:
        ValueError: an utterance holds white space, or a value a line break.
    """
    for utterance, value in rows.items():
        check_id(utterance)
        if "\n" in value or "\r" in value:
            raise ValueError(f"{utterance}: line break in its value for {path}; replace it by a space")
    content = bytearray()  # a large table is in memory once more, not three times
    for utterance in sorted(rows, key=str.encode):
        content += f"{utterance} {rows[utterance]}".rstrip(" ").encode() + b"\n"
    write_bytes(path, content)


def check_id(utterance: str) -> str:
    """Return `utterance` if it can stand in a table.

    Raises:
        ValueError: it is empty or holds white space or control characters.
    """
    if not utterance or " " in utterance or not utterance.isprintable():  # no other blank is printable
        raise ValueError(f"{utterance!r}: bad utterance or speaker id; use printable characters without blanks")
    return utterance


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file atomically: either the old or the whole new content is seen."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes | bytearray) -> None:
    """Write a file atomically: either the old or the whole new content is seen."""
    path, temporary = Path(path), ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise write_error(error, path) from None
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, indented, with the keys as given.

    Raises:
        ValueError: a number is NaN or infinite; the message says which.
    """
    if found := _not_finite(value):
        raise ValueError(f"{path}: {found} would be NaN or infinite; look for NaN in what it is made of")
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _not_finite(value: Any, name: str = "a number") -> str | None:
    """Return the name of the first number within a value that is not finite: the keys that lead to it."""
    if isinstance(value, float):
        return None if math.isfinite(value) else name
    if isinstance(value, Mapping):
        parts: Iterable[tuple[Any, Any]] = value.items()
    else:
        parts = enumerate(value) if isinstance(value, list | tuple) else ()
    above = "" if name == "a number" else f"{name}."
    return next((found for key, part in parts if (found := _not_finite(part, f"{above}{key}"))), None)


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        ValueError: the file is not JSON, or holds NaN or Infinity, which other readers of JSON refuse; the message
            names it.
    """
    try:
        value = json.loads(Path(path).read_text("utf-8"))
        reason = f"{found} is NaN or infinite" if (found := _not_finite(value)) else ""  # 1e999, too
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, and lists in lists in lists
        reason = str(error)
    if reason:
        raise ValueError(f"{path}: not JSON ({reason}); make it again")
    return value


def lock(handle: int, taken: str) -> None:
    """Lock an open file or folder until it is closed; nothing happens on a file system without locks.

    Raises:
        OSError: another process has it; `taken` is the message.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(taken) from None
    except OSError:
        pass


class TableMap:
    """The output of a map job: one or more tables, written utterance by utterance, that survive a kill.

    Finished utterances are kept in `<first table>.partial`; after a kill the next run takes them from there and `todo`
    returns the rest. On a clean exit the tables appear, sorted, and beside the first one `.rejected` with the
    rejected utterances and their reasons.

    Args:
        paths: the tables; `write` takes one value for each.
    """

    def __init__(self, *paths: str | Path) -> None:
        self.paths = [Path(path) for path in paths]
        self.partial = self.paths[0].with_name(self.paths[0].name + ".partial")
        self.rejected_path = self.paths[0].with_name(self.paths[0].name + ".rejected")
        self.rows: dict[str, list[str]] = {}
        self.rejected: dict[str, str] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> "TableMap":
        """Open the job, and take over what a killed run finished."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.partial, "a", encoding="utf-8")
        # a second job may be one that outlived its killed launcher
        lock(self._file.fileno(), f"{self.paths[0]}: another job is writing it; wait for it, or stop it")
        kept = self._recover()
        self._file.truncate(0)
        self._file.writelines(kept)
        self._file.flush()
        if kept:
            logger.info("%s: %d utterances were finished before; going on", self.paths[0], len(kept))
        return self

    def _recover(self) -> list[str]:
        kept = []
        for line in self.partial.read_bytes().decode("utf-8", errors="replace").splitlines(keepends=True):
            try:
                entry = json.loads(line) if line.endswith("\n") else None
            except json.JSONDecodeError:
                entry = None
            if entry is None:  # the kill came in the middle of this line
                continue
            self._keep(entry)
            kept.append(line)
        return kept

    def _keep(self, entry: dict[str, Any]) -> None:
        if "reason" in entry:
            self.rejected[entry["utterance"]] = entry["reason"]
        else:
            self.rows[entry["utterance"]] = entry["values"]

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("TableMap is used outside its with block")
        self._keep(entry)
        self._file.write(json.dumps(entry, ensure_ascii=True) + "\n")
        self._file.flush()

    def todo(self, utterances: Iterable[str]) -> list[str]:
        """Return the utterances that are neither finished nor rejected yet."""
        return [u for u in utterances if u not in self.rows and u not in self.rejected]

    def write(self, utterance: str, *values: str, numbers: Iterable[float] = ()) -> None:
        """Record the values of a finished utterance, one for each table.

        Args:
            utterance: its id.
            values: what the tables say of it.
            numbers: what stands in the values; if one of them is not finite, the utterance is rejected.
        """
        if not all(map(math.isfinite, numbers)):
            self.reject(utterance, NOT_FINITE)
            return
        if len(values) != len(self.paths):
            raise TypeError(f"{utterance}: {len(values)} values for {len(self.paths)} tables")
        self._append({"utterance": check_id(utterance), "values": [_one_line(value) for value in values]})

    def reject(self, utterance: str, reason: str) -> None:
        """Record that an utterance is rejected, and the reason, which may begin with its id."""
        reason = printable(_one_line(reason)).removeprefix(f"{utterance}: ")
        self._append({"utterance": check_id(utterance), "reason": reason})

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write the tables if the job is done; else keep what is finished for the next run."""
        if self._file is not None:
            self._file.close()
        if kind is not None:
            return
        for column, path in enumerate(self.paths):
            write_table(path, {utterance: values[column] for utterance, values in self.rows.items()})
        if self.rejected:
            write_table(self.rejected_path, self.rejected)
            share = f"{len(self.rejected)} of {len(self.rejected) + len(self.rows)} rejected"
            logger.warning("%s: %s, see %s", self.paths[0], share, self.rejected_path)
        else:
            self.rejected_path.unlink(missing_ok=True)
        self.partial.unlink()


def _one_line(value: str) -> str:
    return " ".join(value.split())


def map_table(
    utterances: Iterable[str], function: Callable[[str], str], out: str | Path, what: str = "utterances"
) -> None:
    """Fill a table by calling `function` on each utterance; its ValueError or OSError rejects that utterance alone."""
    with TableMap(out) as job:
        for utterance in progress(job.todo(utterances), what):
            try:
                job.write(utterance, function(utterance))
            except (ValueError, OSError) as error:
                raise_if_of_machine(error, utterance)
                job.reject(utterance, str(error))
