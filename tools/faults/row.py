"""A row of the catalogue of faults: an input, the stage that gets it, and what must happen."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

Verdict = Literal["good", "weak", "wrong", "executed", "lost"]
"""As the row wants it; ended safely, but with a traceback, too late, or in words that name no thing or no remedy; taken
without a word although it is bad, or with another result; code of the data ran; something whole was lost, or something
half lies under a final name."""

MAX_SECONDS = 20
"""A stage that takes longer hangs."""

INPUT = "bad"
"""Beginning of the name of every input: a message that holds it names its thing."""

CANARY = "executed"
"""A file of this name in a row's folder shows that code of the data ran."""


@dataclass(frozen=True)
class Refused:
    """The stage must end in one line with the thing and a remedy; the line holds `words`."""

    words: str = INPUT


@dataclass(frozen=True)
class Gives:
    """The stage must give this value, or one that `value` returns true for if it is a function."""

    value: Any


@dataclass(frozen=True)
class Row:
    """An input.

    Attributes:
        group: of which kind it is, for the counts.
        name: what is bad about it.
        stage: gets the path of the input and returns what it read.
        make: content of the file, or what writes a file or folder there.
        must: what must happen.
        suffix: end of the input's name.
    """

    group: str
    name: str
    stage: Callable[[Path], Any]
    make: bytes | Callable[[Path], Any]
    must: Refused | Gives = Refused()
    suffix: str = ""


class _Hangs(BaseException):
    pass


def judge(row: Row, folder: Path) -> tuple[Verdict, str]:
    """Give a row's input to its stage; return the verdict, and what was seen.

    Args:
        row: the row.
        folder: an empty folder for input and outputs.
    """
    path = folder / f"{INPUT}{row.suffix}"
    if callable(row.make):
        row.make(path)
    else:
        path.write_bytes(row.make)
    before = {*folder.rglob("*")}
    verdict, seen = _compare(row, path)
    if (folder / CANARY).exists():
        return "executed", seen
    left = sorted(str(one.relative_to(folder)) for one in {*folder.rglob("*")} - before if one.is_file())
    if left and isinstance(row.must, Refused):
        return "lost", f"{left} left behind; {seen}"
    return verdict, seen


def _compare(row: Row, path: Path) -> tuple[Verdict, str]:
    try:
        value = _within(MAX_SECONDS, row.stage, path)
    except _Hangs:
        return "weak", f"still going after {MAX_SECONDS} s"
    except (ValueError, OSError) as error:
        return _judge_line(str(error), row.must)
    except Exception as error:
        return "weak", f"{type(error).__name__}: {error}"
    if isinstance(row.must, Refused):
        return "wrong", f"taken as {str(value)[:80]}"
    wanted = row.must.value
    right = wanted(value) if callable(wanted) else value == wanted
    return ("good" if right else "wrong"), f"gives {str(value)[:80]}"


def _judge_line(text: str, must: Refused | Gives) -> tuple[Verdict, str]:
    if isinstance(must, Gives):
        return "weak", f"refused: {text}"
    good = len(text.splitlines()) == 1 and must.words in text and ";" in text
    return ("good" if good else "weak"), text


def _within(seconds: int, stage: Callable[[Path], Any], path: Path) -> Any:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _Hangs

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        return stage(path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
