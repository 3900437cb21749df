"""Bad YAML and JSON files."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2ser.labelling.annotation import digest, read_annotations
from c2ser.model.decoding import CALIBRATION
from c2ser.model.folder import read_temperature
from c2ser.prep.label_names import read_labels
from c2ser.tables import read_json, write_json
from c2ser.yaml_files import read_yaml
from faults.bad_options import run_parser
from faults.row import Gives, Refused, Row

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
"""Aliases that stand for nine to the power of twelve values."""

BROKEN = {
    "aliases without end": LAUGHS, "a list that holds itself": "&a [*a]", "deep lists": "[" * 5000,
    "deep mappings": "{a: " * 5000, "a deep block": "\n".join(" " * n + "a:" for n in range(200)),
    "a tab": "a:\n\tb: 1", "an open quote": "a: 'b", "a colon too many": "a: b: c", "an unknown alias": "a: *b",
    "an open list": "a: [1", "a control character": "a: \x01", "a tag of Python": "!!python/name:os.system x",
    "a month that is none": "a: 2026-13-40", "a number of 5,000 digits": "a: " + "9" * 5000,
    "a key that is a list": "? [a]\n: b",
}  # fmt: skip


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _yaml()
    yield from _json()


def _yaml() -> Iterator[Row]:
    for name, text in BROKEN.items():
        yield Row("yaml", name, read_yaml, text.encode(), suffix=".yaml")
        yield Row("yaml", f"--config, {name}", _config, text.encode(), suffix=".yaml")
        yield Row("yaml", f"--labels, {name}", _labels, text.encode(), suffix=".yaml")
    for code in ("utf-16", "latin-1", "gb18030"):
        for stage in (read_yaml, _config, _labels):
            yield Row("yaml", f"in {code}", stage, "a: é\n".encode(code), suffix=".yaml")
    for text in ("", "3", "a", "[a]", "a: 3", "a: [fear]", "fear: happy", "a: Fear", "a: no"):
        yield Row("yaml", f"--labels, '{text}'", _labels, text.encode(), suffix=".yaml")
    for text, words in {"3": "bad", "[a]": "bad", "no_such: 3": "no_such", "reference: {a: 1}": "reference"}.items():
        yield Row("yaml", f"--config, '{text}'", _config, text.encode(), Refused(words), ".yaml")
    yield Row("yaml", "--labels, with a byte order mark", _labels, b"\xef\xbb\xbfx: fear\n", Gives("fear"))


def _labels(path: Path) -> str:
    """Read a file for --labels; return what the label x means."""
    return read_labels(str(path))[2].class_of("x")


def _config(path: Path) -> None:
    run_parser("score", [f"--config={path}"], path)


def _json() -> Iterator[Row]:
    for name, text in {
        "nothing": "", "half": '{"a": ', "two": "{}{}", "deep": "[" * 90000, "single quotes": "{'a': 1}",
        "a number of 5,000 digits": "9" * 5000, "NaN": '{"a": NaN}', "Infinity": "[-Infinity]", "a comment": "{} // a",
    }.items():  # fmt: skip
        yield Row("json", name, read_json, text.encode(), suffix=".json")
    yield Row("json", "UTF-16", read_json, "{}".encode("utf-16"), suffix=".json")
    endless: tuple[Any, ...] = (float("nan"), [float("inf")], {"a": {"b": [1, float("-inf")]}})
    for number in endless:
        yield Row("json", f"{number} is written", functools.partial(_write, number), b"")
    for value in ("0", "-1", "1e999", "NaN", "null", '"1"', "[1]", "true"):
        yield Row("json", f"the temperature {value}", _temperature, f'{{"temperature": {value}}}'.encode())
    page = {"set": digest({"a": None}), "expert": "x", "labels": {"a": "fear"}}
    changes: dict[str, dict[str, Any]] = {
        "another set": {"set": "0"}, "no expert": {"expert": ""}, "no labels": {"labels": None},
        "labels in a list": {"labels": ["fear"]}, "an unknown label": {"labels": {"a": "happy"}},
        "a label that is a list": {"labels": {"a": ["fear"]}}, "a stranger": {"labels": {"b": "fear"}},
        "a confidence that is none": {"confidence": {"a": "x"}}, "a list for the rest": {"more": []},
        "the same again": {"more": {"a": ["fear"]}}, "a number for the rest": {"more": {"a": 3}},
    }  # fmt: skip
    for name, change in changes.items():
        making = functools.partial(_write_json, {**page, **change})
        yield Row("json", f"annotations, {name}", _annotations, making, Refused(""), ".json")
    yield Row("json", "annotations, a list", _annotations, b"[]", suffix=".json")


def _write(value: Any, path: Path) -> None:
    write_json(path, value)


def _write_json(value: Any, path: Path) -> None:
    write_json(path, value)


def _annotations(path: Path) -> Any:
    return read_annotations([path], {"a": None})


def _temperature(path: Path) -> float:
    path.rename(path.with_name(CALIBRATION))
    try:
        return read_temperature(path.parent)
    except ValueError as error:
        raise ValueError(str(error).replace(CALIBRATION, "bad")) from None
    finally:
        path.with_name(CALIBRATION).rename(path)
