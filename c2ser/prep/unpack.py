"""Unpacking archives that come from elsewhere: plain files and folders, below one folder, of a limited size."""

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from c2ser.log import get_logger, one_line, progress

logger = get_logger(__name__)

MAX_FILES = 2_000_000
"""Files and folders in an archive, at most."""

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, UnicodeError)
"""What the readers of archives raise for damaged ones."""


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive.

    Attributes:
        path: where it belongs, below the folder.
        size: bytes.
        folder: whether it is one.
        open: gives its content.
    """

    path: PurePosixPath
    size: int
    folder: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpack a zip or tar archive into a folder; its files appear there when all of them are unpacked.

    Raises:
        ValueError: it is no archive, damaged, too large, or a member is a link or lies outside the folder.
        OSError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=".unpacking."))
    try:
        kind = _zip_members if zipfile.is_zipfile(archive) else _tar_members
        count = _write(kind(archive), staging, archive, max_bytes)
        _merge(staging, folder)
    except (*DAMAGED, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{archive}: cannot unpack it ({one_line(error)}); download it again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    logger.info("%s: %d files unpacked into %s", archive, count, folder)


def _write(members: Iterator[Member], staging: Path, archive: Path, max_bytes: int) -> int:
    limit = min(max_bytes, shutil.disk_usage(staging).free)
    size = count = 0
    for member in progress(members, "members"):
        size, count = size + member.size, count + 1
        if size > limit or count > MAX_FILES:
            most = f"{limit / 1e9:.1f} GB or {MAX_FILES} files and folders"
            raise ValueError(f"{archive}: holds more than {most}; unpack it by hand")
        try:
            _write_member(member, staging / member.path)
        except OSError as error:  # a disk that is full, a name that is too long, a file that is a folder too
            if isinstance(error, DAMAGED):
                raise
            place = f"{archive}: {str(member.path)[:80]}"
            reason = error.strerror or one_line(error)
            raise OSError(f"{place}: cannot be written ({reason}); free space, or unpack it by hand") from None
    return count


def _write_member(member: Member, target: Path) -> None:
    (target if member.folder else target.parent).mkdir(parents=True, exist_ok=True)
    if not member.folder:
        with member.open() as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _merge(source: Path, target: Path) -> None:
    """Move what was unpacked to its place; what is there already is replaced."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir() and place.is_dir() and not place.is_symlink():
            _merge(path, place)
        else:
            path.replace(place)


def _safe(name: str, folder: bool, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts and not folder:
        raise ValueError(f"{archive}: a member without a name; download it again")
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"{archive}: its member {name!r} would lie outside the folder; do not use this archive")
    return path


def _plain(plain: bool, name: str, archive: Path) -> None:
    if not plain:
        raise ValueError(f"{archive}: its member {name!r} is a link or device; do not use this archive")


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            _plain(kind in (0, stat.S_IFREG, stat.S_IFDIR), entry.filename, archive)
            path = _safe(entry.filename, entry.is_dir(), archive)
            yield Member(path, entry.file_size, entry.is_dir(), partial(opened.open, entry))


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as opened:
        for entry in opened:
            _plain(entry.isreg() or entry.isdir(), entry.name, archive)
            path = _safe(entry.name, entry.isdir(), archive)
            yield Member(path, entry.size, entry.isdir(), partial(_tar_content, opened, entry))
        while opened.fileobj and opened.fileobj.read(1 << 20):  # the checksum of gzip comes last
            pass


def _tar_content(opened: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(entry)
    if content is None:
        raise tarfile.TarError(f"{entry.name} has no content")
    return content
