"""Texts of a training set that stay on the disk: training uses each once in an epoch, and millions fill a memory."""

import os
import weakref
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from c2ser.tables import parse_row, read_rows


class KeptTable:
    """A table whose values stay in the file, which is held open; in memory is where each row begins.

    Args:
        path: the table.

    Attributes:
        starts: where a row begins, in bytes, by utterance; rows without a value have no entry.
        empty: the utterances of these.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: it is damaged, as `read_table` says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts: dict[str, int] = {}
        self.empty: list[str] = []
        start = 0
        for utterance, value, size in read_rows(path):
            if value:
                self.starts[utterance] = start
            else:
                self.empty.append(utterance)
            start += size
        self._handle = os.open(path, os.O_RDONLY)
        self._opened = _state(self._handle)
        weakref.finalize(self, os.close, self._handle)

    def rows(self) -> Iterator[str]:
        """Return the utterances of all rows."""
        return chain(self.starts, self.empty)

    def read(self, utterance: str) -> str:
        """Return the value of an utterance.

        Raises:
            KeyError: it has none.
            ValueError: the file was edited since.
        """
        raw = _line(self._handle, self.starts[utterance])
        if _state(self._handle) != self._opened or not raw.lstrip(b" \r").startswith(utterance.encode()):
            raise ValueError(f"{self.path}: was edited while it was in use; start again")
        return parse_row(raw, str(self.path))[1]


def _state(handle: int) -> tuple[int, int]:
    """Return what differs once an open file was written to; a new file in its place changes nothing."""
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns


def _line(handle: int, start: int, size: int = 1024) -> bytes:
    """Return the line of an open file that begins at a byte; threads may call it."""
    raw = os.pread(handle, size, start)
    while (end := raw.find(b"\n")) < 0 and (more := os.pread(handle, size, start + len(raw))):
        raw += more
    return raw if end < 0 else raw[:end]


class KeptTexts(Mapping[str, str]):
    """The texts of one utterance, by kind, each read when it is asked for.

    Args:
        utterance: its id.
        tables: by kind of text; each has it.
    """

    __slots__ = ("tables", "utterance")

    def __init__(self, utterance: str, tables: Mapping[str, KeptTable]) -> None:
        self.utterance, self.tables = utterance, tables

    def __getitem__(self, kind: str) -> str:
        return self.tables[kind].read(self.utterance)

    def __contains__(self, kind: object) -> bool:
        return kind in self.tables

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)
