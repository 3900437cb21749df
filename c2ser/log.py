"""Logging and progress that read well on a terminal and in a log file."""

import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LOG_INTERVAL = 10.0
"""Seconds between two progress lines where there is no terminal."""

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move a terminal's cursor, change the order of what it shows, or end a line without a line break."""


def get_logger(name: str) -> logging.Logger:
    """Return a logger that writes time, module and message to standard error."""
    root = logging.getLogger("c2ser")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    short = Path(sys.argv[0]).stem if name == "__main__" else name.removeprefix("c2ser.")
    return logging.getLogger("c2ser").getChild(short) if short != "c2ser" else root


class _Formatter(logging.Formatter):
    """Shows what messages quote of data without obeying it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it by this name
        """Return the line of a record, whose message has its control characters written out."""
        record.message = printable(record.message)
        return super().formatMessage(record)


def printable(text: str) -> str:
    r"""Return a text with its control characters written out, such as \x1b; line breaks and tabs stay."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(error: Exception, longest: int = 200) -> str:
    """Return what an error says as part of a message: without line breaks, cut off after so many characters."""
    return printable(" ".join(str(error).split()))[:longest]


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, showing how far the work is: a bar on a terminal, else one line per interval.

    Args:
        items: what to go through.
        what: the plural noun shown, for example "utterances".
        total: how many items there are; `len(items)` where it has a length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, dynamic_ncols=True)
        return
    logger, start, last = get_logger("progress"), time.monotonic(), time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= LOG_INTERVAL:
            last = time.monotonic()
            logger.info(_line(what, done, total, last - start))
    if done:
        logger.info(_line(what, done, total, time.monotonic() - start))


def _line(what: str, done: int, total: int | None, seconds: float) -> str:
    speed = done / max(seconds, 1e-9)
    if not total:
        return f"{done} {what}, {speed:.1f} per second"
    left = (total - done) / max(speed, 1e-9)
    return f"{done} of {total} {what}, {speed:.1f} per second, {left:.0f} s left"
