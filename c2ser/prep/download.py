"""Fetching a corpus whose licence allows it: downloads that go on, checksums, archives that stay in their folder."""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from c2ser.log import get_logger, progress
from c2ser.prep.unpack import unpack
from c2ser.tables import write_table

logger = get_logger(__name__)

CHUNK = 1 << 20
ATTEMPTS = 4
"""How often a download whose connection ends goes on before the job gives up."""


@dataclass(frozen=True)
class Archive:
    """A file to download and, if it is a zip or tar archive, to unpack.

    Attributes:
        url: where it is; its last part is the name of the file.
        md5: its checksum as its publisher gives it; None where none is known.
        folder: where below `--db-root` it is unpacked.
        gigabytes: what it may hold at most, unpacked.
    """

    url: str
    md5: str | None = None
    folder: str = "."
    gigabytes: float = 20.0

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)).name

    @property
    def packed(self) -> bool:
        """Whether it is an archive, and not a plain file such as a list of texts."""
        return self.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def fetch(archives: tuple[Archive, ...], db_root: Path) -> None:
    """Download and unpack what is not there yet.

    Beside each archive stands `<name>.sha256` when it has been unpacked; the archive itself may then be removed.

    Raises:
        ValueError: a checksum is wrong or an archive is not safe to unpack.
        OSError: a download fails.
    """
    db_root.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        path = db_root / archive.name
        record = path.with_name(path.name + ".sha256")
        if record.exists():
            logger.info("%s: downloaded and unpacked before", path)
            continue
        if not path.exists():
            download(archive.url, path)
        digest = _check(path, archive.md5)
        if archive.packed:
            unpack(path, db_root / archive.folder, int(archive.gigabytes * 1e9))
        write_table(record, {digest: path.name})


def download(url: str, path: Path) -> None:
    """Download a file; what an earlier attempt left in `<path>.part` is not fetched again.

    Raises:
        ValueError: not a web address.
        OSError: the server refuses, or the connection ends again and again.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url}: not a web address; correct it in local/data_prep.py")
    part = path.with_name(path.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _go_on(url, part)
            part.replace(path)
            return
        except (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == ATTEMPTS or refused:
                raise OSError(f"{url}: {error}; give the same command again to go on, or download it by hand") from None
            logger.warning("%s: %s; going on (attempt %d of %d)", url, error, attempt + 1, ATTEMPTS)


def _go_on(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "c2ser"} | ({"Range": f"bytes={have}-"} if have else {})
    )
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return  # all of it was there
        if error.code == 416:
            part.unlink()
            raise ConnectionError("the file on the server has changed") from None
        raise
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        left = int(answer.headers["Content-Length"]) if answer.headers.get("Content-Length") else None
        with open(part, "ab" if goes_on else "wb") as file:
            got = sum(_copied(answer, file, left))
    if left is not None and got < left:
        raise ConnectionError(f"the connection ended {left - got} bytes early")


def _copied(source: IO[bytes], target: IO[bytes], total: int | None) -> Iterator[int]:
    """Copy a stream and yield the size of each piece."""
    pieces = iter(lambda: source.read(CHUNK), b"")
    for piece in progress(pieces, "MiB", total and -(-total // CHUNK)):
        target.write(piece)
        yield len(piece)


def _check(path: Path, md5: str | None) -> str:
    """Return the SHA-256 of a file whose MD5 is right, or not known."""
    known, ours = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(CHUNK), b""):
            known.update(piece)
            ours.update(piece)
    if md5 and known.hexdigest() != md5:
        bad = path.with_name(path.name + ".bad")
        shutil.move(path, bad)
        raise ValueError(
            f"{path}: MD5 {known.hexdigest()} instead of {md5}; it is kept as {bad.name}, download it again"
        )
    how = "MD5 is right" if md5 else "no checksum is published for it"
    logger.info("%s: %s; SHA-256 %s", path, how, ours.hexdigest())
    return ours.hexdigest()
