"""Abused options of every verb."""

import contextlib
import functools
import importlib
import io
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from c2ser import cli
from faults.row import Refused, Row


def rows() -> Iterator[Row]:
    """Yield the rows."""
    for verb in sorted(path.stem for path in (Path(cli.__file__).parent / "bin").glob("[a-z]*.py")):
        module = importlib.import_module(f"c2ser.bin.{verb}")
        for option, value in _abuses(module.main):
            stage = functools.partial(run_parser, verb, [f"--{option}={value}"])
            yield Row("options", f"{verb} --{option}={value}", stage, b"", Refused(option.split(".")[-1]))
        stage = functools.partial(run_parser, verb, ["--no_such_option", "1"])
        yield Row("options", f"{verb} --no_such_option", stage, b"", Refused("no_such_option"))
        stage = functools.partial(run_parser, verb, ["--config", "/no/such.yaml"])
        yield Row("options", f"{verb} --config of no file", stage, b"", Refused("/no/such.yaml"))


def _abuses(main: Any) -> Iterator[tuple[str, str]]:
    """Yield an option of each type that a verb has, with a value that it must refuse."""
    seen: set[Any] = set()
    for name, kind in typing.get_type_hints(main).items():
        plain = next((part for part in typing.get_args(kind) if part in (int, float)), kind)
        key = Literal if typing.get_origin(plain) is Literal else plain
        if key in (int, float, bool, Literal) and key not in seen and name != "return":
            seen.add(key)
            yield name, {int: "1.5", float: "1,5", bool: "perhaps", Literal: "zz"}[key]
            yield name, "$(touch executed)"


def run_parser(verb: str, words: Sequence[str], path: object) -> None:
    """Run a verb that must refuse its options: status 2, one line."""
    module = importlib.import_module(f"c2ser.bin.{verb}")
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            cli.run(_nothing_of(module.main), getattr(module, "PATHS", None), f"c2ser {verb}", words)
    except SystemExit as end:
        if end.code == 2:
            raise ValueError(errors.getvalue().strip()) from None
        raise AssertionError(f"status {end.code}: {errors.getvalue()}") from None


def _nothing_of(main: Any) -> Any:
    """Return an entry point with the options of another, which does nothing."""

    @functools.wraps(main)
    def nothing(*args: Any, **named: Any) -> None:
        pass

    return nothing
