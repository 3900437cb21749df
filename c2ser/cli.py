"""The command line of every entry point, made from its typed `main`; and the record of code, machine and settings."""

import functools
import logging
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import docstring_parser
import jsonargparse
import yaml

from c2ser.log import get_logger, one_line, printable
from c2ser.tables import write_text
from c2ser.yaml_files import read_yaml

OWN_CODE = ["c2ser", "paper"]
"""Packages of the toolkit, whose classes hold settings."""

# jsonargparse imports a module that a value names (`class_path`) before it refuses its class
jsonargparse.set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=OWN_CODE)


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose errors are one line and status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with status 2."""
        text = printable(" ".join(str(message).split()))
        if denied := re.search(r"Importing '([^']*)' is not allowed", text):
            text = f"{denied[1]}: settings are never code; write the values themselves instead of the name of a class"
        print(f"{self.prog}: {text}; see --help", file=sys.stderr)
        raise SystemExit(2)


class ConfigFile(jsonargparse.ActionConfigFile):
    """`--config FILE`: what is wrong with the file is one line that names it."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Read the file; a text that is no file (`--config "{...}"`) is taken as YAML itself."""
        try:
            if os.path.isfile(values):
                if not isinstance(read_yaml(values) or {}, dict):
                    raise ValueError("no names with values")
            super().__call__(parser, cfg, values, option_string)
        except (ValueError, AttributeError, RecursionError, OSError) as error:
            text = one_line(error)
            parser.error(text if text.startswith(str(values)) else f"{values}: not settings ({text}); correct it")


def make_parser(main: Callable[..., Any], paths: str | None = None, program: str | None = None) -> Parser:
    """Return the parser of an entry point: its arguments, their types and their help come from `main`.

    Args:
        main: the entry point.
        paths: the parameter that takes all arguments that are not options; None if there is none.
        program: the name in help and errors; by default the name of the file that runs.
    """
    summary = (main.__doc__ or "").strip().split("\n\n")[0]
    parser = Parser(description=summary, prog=program or Path(sys.argv[0]).stem)
    parser.add_argument("--config", action=ConfigFile, help="YAML file with values for any of these options")
    if paths:
        parser.add_argument(paths, nargs="+", type=Path, help=_described(main, paths))
    parser.add_function_arguments(main, as_group=False, fail_untyped=True, skip={paths} if paths else None)
    for action in parser._actions:
        if getattr(action, "_typehint", None) is bool:  # `--resume` alone, as well as `--resume true`
            action.nargs, action.const = "?", True
    return parser


def _described(main: Callable[..., Any], parameter: str) -> str | None:
    """Return what the docstring of an entry point says about a parameter."""
    parameters = docstring_parser.parse(main.__doc__ or "").params
    return next((described.description for described in parameters if described.arg_name == parameter), None)


def run(
    main: Callable[..., Any],
    paths: str | None = None,
    program: str | None = None,
    args: Sequence[str] | None = None,
) -> None:
    """Parse the command line and call `main`.

    Bad options end with status 2. A `ValueError` or `OSError` of `main` means bad input and ends with status 1, and so
    does a lack of memory. All print one line, and so does an interrupt (Ctrl-C). Every other error is a defect and
    keeps its traceback.

    Args:
        main: the entry point.
        paths: as in `make_parser`.
        program: as in `make_parser`.
        args: the arguments; by default those of the process.
    """
    parser = make_parser(main, paths, program)
    sys.excepthook = functools.partial(_report_interrupt, parser.prog)
    words = sys.argv[1:] if args is None else args
    if strange := next((word for word in words if not _is_utf8(word)), None):
        parser.error(f"{strange!r}: not UTF-8; rename the file, for example with convmv")
    try:
        parsed = parser.parse_args([_underscored(word) for word in words])
        values = parser.instantiate(parsed)
    except ValueError as error:  # also settings that contradict each other
        parser.error(str(error))
    arguments = {name: value for name, value in vars(values).items() if name != "config"}
    try:
        main(**arguments)
        _leave_group()
        sys.stdout.flush()
    except SystemExit:  # a training that was told to stop, as all of its processes are
        _leave_group()
        raise
    except BrokenPipeError:  # such as `| head`: who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        full = _no_room(error)
        if os.environ.get("C2SER_DEBUG") or (isinstance(error, RuntimeError) and not full):
            raise
        text = full or str(error)
        _logger(parser.prog).error(" ".join(text.split()))
        raise SystemExit(1) from None


def _leave_group() -> None:
    """Leave the group of processes of a training.

    One that ends within it may be aborted when all is done: gloo's threads then free tensors of an interpreter that is
    no more (pytorch/pytorch#179291). After an error it is not left, for that can mean to wait for the others.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _no_room(error: Exception) -> str:
    """Return what to say where the machine has no memory, or no thread, for more; "" where it is another error."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # the second is torch's
        return "out of memory; use smaller batches or fewer jobs, or a machine with more"
    if "can't start new thread" in str(error):
        return "no further thread can be started; free memory, or raise the limit of processes (ulimit -u)"
    return ""


def _is_utf8(word: str) -> bool:
    """Return whether an argument was UTF-8; bytes that are not become surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _logger(program: str) -> logging.Logger:
    return get_logger(program.removeprefix("c2ser "))


def _report_interrupt(
    program: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Report in one line that the user stopped the program; Python then ends it by the signal, as shells expect."""
    if issubclass(kind, KeyboardInterrupt) and not os.environ.get("C2SER_DEBUG"):
        _logger(program).error("interrupted; give the same command again")
    else:
        sys.__excepthook__(kind, error, trace)


def _underscored(word: str) -> str:
    """Turn `--stop-stage=x` into `--stop_stage=x`: both spellings of an option are accepted."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def save_config(folder: str | Path, **values: Any) -> None:
    """Save resolved settings as `config.yaml` in the folder of a result.

    Args:
        folder: where to write.
        values: what to record; dataclasses, paths and plain values.
    """
    write_text(Path(folder) / "config.yaml", yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True))


def commit() -> str:
    """Return the commit of this code, with a "+" if files have changed since; "unknown" outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def processor() -> str:
    """Return the name of this machine's processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    model = next((line for line in lines if line.startswith("model name")), "").partition(": ")[2]
    return model or platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
