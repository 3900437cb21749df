"""The command line of every entry point, made from its typed `main`; and which code ran where, with which settings."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import jsonargparse
import yaml

from c2ser.log import get_logger
from c2ser.tables import write_text


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose errors are one line and status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with status 2."""
        text = " ".join(str(message).split())
        print(f"{self.prog}: {text}; see --help", file=sys.stderr)
        raise SystemExit(2)


def parser(main: Callable[..., Any], paths: str | None = None) -> Parser:
    """Return the parser of an entry point: its arguments, their types and their help come from `main`.

    Args:
        main: the entry point.
        paths: the argument that takes all words which are no options; None if there is none.
    """
    made = Parser(description=(main.__doc__ or "").strip().split("\n\n")[0], prog=Path(sys.argv[0]).stem)
    made.add_argument("--config", action="config", help="YAML file with values for any of these options")
    if paths:
        made.add_argument(paths, nargs="+", type=Path, help="files or folders")
    made.add_function_arguments(main, as_group=False, fail_untyped=True, skip={paths} if paths else None)
    return made


def run(main: Callable[..., Any], paths: str | None = None) -> None:
    """Parse the command line and call `main`; `paths` as in `parser`.

    Bad options leave with status 2. A `ValueError` or `OSError` of `main`, that is bad input, leaves with status 1;
    both print one line, and so does an interrupt (Ctrl-C). Everything else is a defect and keeps its traceback.
    """
    sys.excepthook = _excepthook
    made = parser(main, paths)
    parsed = made.parse_args([_underscored(word) for word in sys.argv[1:]])
    try:
        values = made.instantiate(parsed)
    except ValueError as error:  # settings that cannot go together
        made.error(str(error))
    arguments = {name: value for name, value in vars(values).items() if name != "config"}
    try:
        main(**arguments)
    except (ValueError, OSError) as error:
        if os.environ.get("C2SER_DEBUG"):
            raise
        get_logger(made.prog).error(" ".join(str(error).split()))
        raise SystemExit(1) from None


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line that the user stopped the program; Python then ends it by the signal, as shells want it."""
    if issubclass(kind, KeyboardInterrupt) and not os.environ.get("C2SER_DEBUG"):
        get_logger(Path(sys.argv[0]).stem).error("interrupted; give the same command again")
    else:
        sys.__excepthook__(kind, error, trace)


def _underscored(word: str) -> str:
    """Turn `--stop-stage=x` into `--stop_stage=x`: both spellings of an option are meant."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def save_config(folder: str | Path, **values: Any) -> None:
    """Save resolved settings as `config.yaml` in a result's folder.

    Args:
        folder: where to write.
        values: what to record; dataclasses, paths and plain values.
    """
    write_text(Path(folder) / "config.yaml", yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True))


def commit() -> str:
    """Return the checkout's commit, with a + where files were changed since; "unknown" outside a checkout."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def processor() -> str:
    """Return the name of this machine's processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = next((line for line in lines if line.startswith("model name")), "").partition(": ")[2]
    return named or platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
