"""The table of probabilities `utt2prob`, and the classes of its columns: the seven emotions or those of labels.json."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from c2ser.emotions import EMOTIONS, ordered
from c2ser.tables import read_json, read_table, write_json, write_table

UTT2PROB = "utt2prob"

LABELS = "labels.json"
"""Beside the table where its classes are not the seven emotions: `{"names": [...]}`, in the order of its columns."""


def write_distributions(folder: Path, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Write probabilities; of classes that a row lacks the probability is 0.

    Args:
        folder: where the tables of a result lie.
        rows: probability by class, by utterance.
    """
    found = ordered(name for row in rows.values() for name in row)
    names = found if {*found} - {*EMOTIONS} else EMOTIONS
    text = {utterance: " ".join(f"{row.get(name, 0.0):.6g}" for name in names) for utterance, row in rows.items()}
    if names is EMOTIONS:
        (folder / LABELS).unlink(missing_ok=True)
    else:
        write_json(folder / LABELS, {"names": [*names]})
    write_table(folder / UTT2PROB, text)


def read_distributions(table: Path) -> dict[str, dict[str, float]]:
    """Return probability by class of each utterance of `utt2prob`, which sum to 1.

    Args:
        table: the table; its folder tells its classes.

    Raises:
        ValueError: a row has not a probability for each class, or they do not sum to 1.
    """
    path = table.parent / LABELS
    names = _names(path) if path.exists() else [*EMOTIONS]
    rows = {}
    for utterance, text in read_table(table).items():
        try:
            row = np.array([float(number) for number in text.split()])
        except ValueError:
            row = np.array([])
        if len(row) != len(names) or not row.min() >= 0 or not abs(row.sum() - 1) <= 0.01:
            raise ValueError(f"{utterance}: '{text}' in {table} are not {len(names)} probabilities that sum to 1; "
                             "decode again")  # fmt: skip
        rows[utterance] = dict(zip(names, (row / row.sum()).tolist(), strict=True))
    return rows


def _names(path: Path) -> list[str]:
    content = read_json(path)
    names = content.get("names") if isinstance(content, dict) else None
    if not isinstance(names, list) or len({*map(str, names)}) != len(names):
        raise ValueError(f'{path}: no names of classes; write {{"names": ["calm", "anger"]}}')
    return [str(name) for name in names]
