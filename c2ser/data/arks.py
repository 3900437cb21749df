"""Embeddings in Kaldi archives: written by kaldiio, read without running anything that a table says."""

import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import kaldiio
import numpy as np

from c2ser.machine import raise_if_of_machine

MAGIC = b"\0BFM \x04"
"""How an uncompressed float matrix begins in an archive; four bytes of rows, one, four of columns follow."""


class ArkWriter:
    """Appends matrices to a Kaldi archive and returns the position of each for a table.

    Args:
        path: the archive; matrices of an interrupted run stay, new ones follow.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> "ArkWriter":
        """Open the archive."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "ab")
        return self

    def write(self, utterance: str, matrix: np.ndarray) -> str:
        """Append a float32 matrix (rows, columns), flush, and return its position as `file.ark:offset`."""
        start = self.file.seek(0, os.SEEK_END)
        kaldiio.save_ark(self.file, {utterance: np.ascontiguousarray(matrix, dtype=np.float32)})
        self.file.flush()
        return f"{self.path}:{start + len(utterance.encode()) + 1}"

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the archive."""
        self.file.close()


def read_matrix(place: str, utterance: str) -> np.ndarray:
    """Read one matrix.

    Args:
        place: `file.ark:offset` from an scp table; pipes and all other forms are refused, never run.
        utterance: its id, for messages.

    Returns:
        float32, shape (rows, columns).

    Raises:
        ValueError: the position has another form, no complete float matrix is there, or one with NaN or Inf.
    """
    name, colon, offset = place.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,18}", offset) or name.strip().startswith("|"):
        raise ValueError(f"{utterance}: '{place}' is not file.ark:offset; extract the embeddings again")
    try:
        with open(name, "rb") as file:
            file.seek(int(offset))
            head = file.read(len(MAGIC) + 9)
            if head[: len(MAGIC)] != MAGIC or len(head) < len(MAGIC) + 9:
                raise ValueError(f"{utterance}: no float matrix at {place}; extract the embeddings again")
            rows, columns = struct.unpack("<i", head[6:10])[0], struct.unpack("<i", head[11:15])[0]
            room = os.fstat(file.fileno()).st_size - file.tell()
            content = file.read(4 * rows * columns) if min(rows, columns) > 0 and 4 * rows * columns <= room else b""
    except OSError as error:
        raise_if_of_machine(error, utterance)
        raise ValueError(f"{utterance}: cannot read {name} ({error.strerror}); extract the embeddings again") from None
    if not content or len(content) != 4 * rows * columns:
        raise ValueError(f"{utterance}: the matrix at {place} is cut short; extract the embeddings again")
    matrix = np.frombuffer(content, dtype="<f4").reshape(rows, columns).copy()
    if not np.isfinite(matrix).all():
        raise ValueError(f"{utterance}: NaN or Inf in the matrix at {place}; extract the embeddings again")
    return matrix


def read_matrices(scp: Mapping[str, str], utterances: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (utterance, matrix) for the utterances that the scp table has."""
    for utterance in utterances:
        if utterance in scp:
            yield utterance, read_matrix(scp[utterance], utterance)
