"""Bad archives of corpora, and bad archives of embeddings."""

import functools
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np

from c2ser.data.arks import read_matrix
from c2ser.prep.unpack import unpack
from faults.row import Gives, Refused, Row

NAMES = ("../x", "/x", "a/../../x", "a\\x", "..", "a/../..", "a/./../../x")
"""Names that lead out of the folder, or nowhere."""


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _zips()
    yield from _tars()
    yield from _arks()


def _unpack(limit: int, path: Path) -> list[str]:
    out = path.parent / "out"
    unpack(path, out, limit)
    return sorted(one.name for one in out.rglob("*"))


def _zipped(fill: Callable[[zipfile.ZipFile], Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        fill(archive)
    return file.getvalue()


def _store(name: str, archive: zipfile.ZipFile) -> None:
    archive.writestr(name, "x")


def _tarred(fill: Callable[[tarfile.TarFile], Any], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        fill(archive)
    return file.getvalue()


def _member(archive: tarfile.TarFile, name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, size if kind == tarfile.REGTYPE else 0
    archive.addfile(entry, io.BytesIO(b"x" * size))


def _zips() -> Iterator[Row]:
    def archive(name: str, content: bytes, must: Refused | Gives | None = None, limit: int = 1 << 20) -> Row:
        return Row("archives", f"zip, {name}", functools.partial(_unpack, limit), content, must or Refused(), ".zip")

    good = _zipped(lambda out: out.writestr("a/b.txt", "x" * 3000))
    yield archive("good", good, Gives(["a", "b.txt"]))
    for size in (0, 4, 30, len(good) // 2, len(good) - 1):
        yield archive(f"its first {size} bytes", good[:size])
    hole = bytearray(good)
    hole[40:50] = bytes(10)
    yield archive("a hole", bytes(hole))
    for name in NAMES:
        yield archive(f"the member {name!r}", _zipped(functools.partial(_store, name)), Refused(""))
    yield archive("a bomb", _zipped(lambda out: out.writestr("x", bytes(1 << 22))))
    lying = good.replace(struct.pack("<I", 3000), struct.pack("<I", 10))
    yield archive("a member larger than it says", lying)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    yield archive("a link", _zipped(lambda out: out.writestr(link, "/etc/passwd")))
    yield archive("a name of 300 bytes", _zipped(lambda out: out.writestr("x" * 300, "x")))

    def both(out: zipfile.ZipFile) -> None:
        out.writestr("a", "x")
        out.writestr("a/b", "x")

    yield archive("a file that is a folder too", _zipped(both))
    locked = bytearray(good)
    locked[6] |= 1
    locked[good.index(b"PK\1\2") + 8] |= 1
    yield archive("a password", bytes(locked))
    strange = bytearray(good)
    strange[good.index(b"PK\1\2") + 10] = strange[8] = 99
    yield archive("a method that nobody knows", bytes(strange))
    yield archive("no archive", b"<html>Sign in</html>")
    yield archive("nested", _zipped(lambda out: out.writestr("in.zip", good)), Gives(["in.zip"]))
    yield archive("names in Chinese", _zipped(lambda out: out.writestr("高兴/一.txt", "x")), Gives(["一.txt", "高兴"]))


def _tars() -> Iterator[Row]:
    def archive(name: str, content: bytes, must: Refused | Gives | None = None, limit: int = 1 << 20) -> Row:
        return Row("archives", f"tar, {name}", functools.partial(_unpack, limit), content, must or Refused(), ".tar.gz")

    for mode in ("w:", "w:gz", "w:bz2", "w:xz"):
        good = _tarred(lambda out: _member(out, "a/b.txt", size=30000), mode)
        yield archive(f"good, {mode}", good, Gives(["a", "b.txt"]))
        yield archive(f"half, {mode}", good[: len(good) // 2])
        yield archive(f"without its end, {mode}", good[:-6] if mode != "w:" else good[:20000])
        hole = bytearray(good)
        hole[len(good) // 2 : len(good) // 2 + 8] = b"\xff" * 8
        if mode != "w:":  # tar alone has no checksum of contents
            yield archive(f"a hole, {mode}", bytes(hole))
    for name in NAMES:
        yield archive(f"the member {name!r}", _tarred(functools.partial(_member, name=name)), Refused(""))
    for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard link"), (tarfile.CHRTYPE, "device"),
                       (tarfile.FIFOTYPE, "pipe"), (tarfile.BLKTYPE, "block device")):  # fmt: skip
        yield archive(f"a {name}", _tarred(functools.partial(_member, name="x", kind=kind, link="/etc/passwd")))
    yield archive("a bomb", _tarred(lambda out: _member(out, "x", size=1 << 22)))
    yield archive(
        "a size below nothing",
        _tarred(lambda out: _member(out, "x"), "w:").replace(b"00000000001\0", b"-0000000001\0", 1),
    )
    yield archive("a link, then a file in it", _tarred(_link_and_file))
    yield archive("an empty name", _tarred(lambda out: _member(out, "")))
    yield archive("nothing in it", _tarred(lambda out: None), Gives([]))


def _link_and_file(archive: tarfile.TarFile) -> None:
    _member(archive, "a", tarfile.SYMTYPE, "/tmp")
    _member(archive, "a/x")


def _arks() -> Iterator[Row]:
    file = io.BytesIO()
    kaldiio.save_ark(file, {"u": np.ones((3, 4), np.float32)})
    good = file.getvalue()
    head = len(b"u ")

    def ark(name: str, content: bytes, must: Refused | Gives | None = None, place: str = f":{head}") -> Row:
        return Row("arks", name, functools.partial(_matrix, place), content, must or Refused("bad: "), ".ark")

    def sizes(rows: int, columns: int) -> bytes:
        return good[: head + 6] + struct.pack("<i", rows) + b"\4" + struct.pack("<i", columns) + good[head + 15 :]

    yield ark("good", good, Gives((3, 4)))
    for size in (0, 5, head + 6, head + 14, head + 15, len(good) - 1):
        yield ark(f"its first {size} bytes", good[:size])
    for shape in (
        (0, 4),
        (3, 0),
        (-1, 4),
        (-3, -4),
        (-1, 1),
        (1 << 30, 1 << 30),
        (2147483647, 2147483647),
        (1 << 20, 1 << 12),
    ):
        yield ark(f"{shape[0]} times {shape[1]}", sizes(*shape))
    yield ark("a pickle", b"u PKL" + b"(lI1\na.")
    yield ark("an array of numpy", b"u NPY\x93NUMPY\x01\x00" + bytes(100))
    yield ark("text", b"u [ 1 2 3 ]\n")
    yield ark("a matrix of doubles", good.replace(b"FM ", b"DM "))
    yield ark("a compressed matrix", good.replace(b"FM ", b"CM "))
    for value in (np.nan, np.inf):
        yield ark(f"a {value}", good[:-4] + np.float32(value).tobytes())
    for place in ("", ":", ":x", ":-1", ":99999999", ":1e3", f":{'9' * 30}", ":0:1", ":²", "[0:1]"):
        yield ark(f"the place '{place[:12]}'", good, place=place)


def _matrix(place: str, path: Path) -> tuple[int, ...]:
    return read_matrix(f"{path}{place}", "bad").shape
