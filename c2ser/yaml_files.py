"""YAML files that people and strangers write: read as text, and refused if they would ask for all memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from c2ser.log import one_line

MAX_VALUES = 100_000
"""Values in a file once all its aliases (`*name`) are written out; a few lines of aliases can stand for billions."""

MAX_DEPTH = 64
"""Lists and mappings inside one another."""


def read_yaml_text(path: str | Path) -> str:
    """Return the text of a YAML file that can be loaded within bounds.

    Raises:
        ValueError: it is not UTF-8, no YAML, too deep or too large; the message names the file.
        OSError: it cannot be read.
    """
    try:
        text = Path(path).read_text("utf-8")
        problem = _problem(text)
    except UnicodeDecodeError:
        problem = "not UTF-8; save it as UTF-8"
    except (yaml.YAMLError, RecursionError) as error:
        problem = f"not YAML ({one_line(error)}); correct it"
    if problem:
        raise ValueError(f"{path}: {problem}")
    return text


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds: values, never objects of Python.

    Raises:
        ValueError: as `read_yaml_text`, or a value is none, such as a 13th month; the message names the file.
        OSError: it cannot be read.
    """
    text = read_yaml_text(path)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not YAML ({one_line(error)}); correct it") from None


def _problem(text: str) -> str:
    """Return why a text must not be loaded, and the remedy; "" if there is no reason."""
    depth, total = 0, 0
    for step, values in _sizes(text):
        depth, total = depth + step, max(total, values)
        if depth > MAX_DEPTH:
            return f"over {MAX_DEPTH} lists and mappings inside one another; make it flatter"
        if total > MAX_VALUES:
            return f"over {MAX_VALUES} values once its aliases (*name) are written out; write it without them"
    return ""


def _sizes(text: str) -> Iterator[tuple[int, int]]:
    """Yield for each event of a YAML text by how much it changes the depth, and how many values it stands for.

    Nothing is built: sizes follow from the events, an alias counting as much as what it names.
    """
    named: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        step, name, values = 0, None, 0
        if isinstance(event, yaml.ScalarEvent):
            name, values = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            values = named.get(event.anchor or "", MAX_VALUES + 1)  # one that is not known yet holds itself
        elif isinstance(event, yaml.CollectionStartEvent):
            step = 1
            stack.append((event.anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            step = -1
            name, values = stack.pop()
        if name:
            named[name] = values
        stack[-1] = (stack[-1][0], stack[-1][1] + values)
        yield step, stack[-1][1]
