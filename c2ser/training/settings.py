"""Settings as JSON values, to compare those of a resumed run with those of the first one."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def fingerprint(rows: Iterable[Any]) -> str:
    """Return a hash of JSON values, by which a resumed run recognises its data."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return settings as JSON holds them: dataclasses as objects, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested JSON settings under names with dots."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        settings |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return settings
