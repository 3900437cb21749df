"""Finding a corpus on a disk, and reading its files whatever their names and encodings."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

LEVELS = 3
"""How many folders below `--db-root` the corpus is looked for."""

WESTERN = ("cp1252", "latin-1")
"""Encodings of Western text that is not UTF-8, tried in turn; the last fits any bytes."""


def find_top(db_root: Path, layout: tuple[str, ...]) -> Path:
    """Return the corpus' own top folder: `db_root`, or the one folder below it that looks like it.

    Args:
        db_root: the folder that was given.
        layout: patterns, as `Corpus.layout`.

    Raises:
        ValueError: there is no such folder, it does not hold the corpus, or holds several.
    """
    if not db_root.is_dir():
        raise ValueError(f"{db_root}: no such folder; give the corpus with --db-root")
    level = [db_root.resolve()]
    for _ in range(LEVELS + 1):
        matches = [folder for folder in level if _matches(folder, layout)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ValueError(f"{db_root}: holds the corpus {len(matches)} times, in {matches[0]} and {matches[1]}; "
                             "give one of them with --db-root")  # fmt: skip
        level = [below for folder in level for below in _folders(folder)]
    raise ValueError(
        f"{db_root}: found no {' nor '.join(layout)} in it, nor up to {LEVELS} folders below; "
        "check --db-root against the layout in the recipe's README.md"
    )


def _matches(folder: Path, layout: tuple[str, ...]) -> bool:
    return not layout or any(next(folder.glob(pattern), None) is not None for pattern in layout)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path))
    except PermissionError:
        return []


def _hidden(path: Path) -> bool:
    """Whether a path is one of those that file managers leave, such as macOS' `._x.wav` and `__MACOSX`."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def files(top: Path, *patterns: str) -> list[Path]:
    """Return the files that fit any of the patterns, each once, in the order of their names, without hidden ones."""
    paths = {path for pattern in patterns for path in top.glob(pattern)}
    visible = (path for path in paths if not any(_hidden(part) for part in (path, *path.relative_to(top).parents)))
    return sorted((path for path in visible if path.is_file()), key=lambda path: str(path).encode("utf-8", "replace"))


def read_text(path: Path) -> str:
    """Return a text file's content, whether it is UTF-8 or UTF-16 with a mark, GB 18030, Windows-1252 or Latin-1.

    Raises:
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    text = _decoded(content, "utf-8-sig")
    if text is None:
        text = _decoded(content, "gb18030")
        if text is None or not _looks_chinese(text):
            text = next(
                decoded for decoded in (_decoded(content, western) for western in WESTERN) if decoded is not None
            )
    return text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _looks_chinese(text: str) -> bool:
    """Whether at least half of what is not ASCII is in everyday use (GB 2312).

    A Western letter and the next one often form a character of GB 18030, but hardly ever one of these.
    """
    wide = [character for character in text if not character.isascii()]
    return 2 * sum(_everyday(character) for character in wide) >= len(wide)


def _everyday(character: str) -> bool:
    try:
        return bool(character.encode("gb2312"))
    except UnicodeEncodeError:
        return False


def read_rows(path: Path, *columns: str, separator: str = ",") -> Iterator[dict[str, str]]:
    """Yield the rows of a table by its headings, blanks around the values taken away.

    Args:
        path: the file.
        columns: headings that it must have.
        separator: what stands between two values; where it is a tab, quotation marks are plain characters.

    Raises:
        ValueError: a heading is missing or stands twice, a row has more or fewer values than there are headings, or a
            quotation has no end; the message names the line.
    """
    stream, quote = io.StringIO(read_text(path), newline=""), None if separator == "\t" else '"'
    rows = csv.reader(
        stream,
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=True,
    )
    try:
        names = [name.strip() for name in next(rows, [])]
        while names and not names[-1]:  # spreadsheets leave empty columns at the end
            names.pop()
        _check_headings(path, names, columns)
        for cells in rows:
            values = [cell.strip() for cell in cells]
            if any(values):
                yield dict(zip(names, _fitted(path, rows.line_num, values, len(names)), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num}: {error}; mend its quotation marks") from None


def _check_headings(path: Path, names: list[str], columns: tuple[str, ...]) -> None:
    lacking = [column for column in columns if column not in names]
    if lacking:
        raise ValueError(f"{path}: no column {', '.join(lacking)}, only {', '.join(names)}; take the corpus' own file")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: two columns {twice}; rename one of them")


def _fitted(path: Path, line: int, values: list[str], number: int) -> list[str]:
    """Return as many values as there are headings; empty ones at the end do not count."""
    if any(values[number:]) or len(values) < number:
        raise ValueError(
            f"{path}:{line}: {len(values)} values for {number} columns; put quotation marks around a text with a "
            "separator in it, and write each value"
        )
    return values[:number]


def speaker_id(name: str) -> str:
    """Return a name as a speaker id: letters and digits stay, what is between them becomes "_".

    No character of it sorts before the "-" that ends the speaker in an utterance id, as Kaldi's order wants.
    """
    return re.sub(r"[^\w]+", "_", name).strip("_") or "unknown"


def in_share(name: str, percent: int) -> bool:
    """Return whether a name belongs to `percent` of all names; a hash decides, so the answer never changes."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") % 100 < percent
