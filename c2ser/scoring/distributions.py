"""The table of probabilities `utt2prob`, and the classes of its columns: the seven emotions or those of labels.json."""

from collections.abc import Mapping
from pathlib import Path

from c2ser.label_sets import own_classes, read_label_set, write_label_set
from c2ser.scoring.probabilities import read_vectors
from c2ser.tables import read_table, write_table

UTT2PROB = "utt2prob"
"""The table beside the labels: the probability of each class, in their order."""


def write_distributions(folder: Path, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Write probabilities; of classes that a row lacks the probability is 0.

    Args:
        folder: where the tables of a result lie.
        rows: probability by class, by utterance.
    """
    labels = own_classes(name for row in rows.values() for name in row)
    text = {utterance: " ".join(f"{row.get(name, 0.0):.6g}" for name in labels) for utterance, row in rows.items()}
    write_label_set(folder, labels)
    write_table(folder / UTT2PROB, text)


def read_distributions(table: Path) -> dict[str, dict[str, float]]:
    """Return probability by class of each utterance of `utt2prob`, which sum to 1.

    Args:
        table: the table; its folder tells its classes.

    Raises:
        ValueError: labels.json is no set of classes, or a row has not a probability for each or does not sum to 1.
    """
    labels, texts = read_label_set(table.parent), read_table(table)
    rows = {}
    for utterance, row in read_vectors(texts, labels).items():
        if not row.min() >= 0 or not abs(row.sum() - 1) <= 0.01:
            raise ValueError(f"{utterance}: '{texts[utterance]}' in {table} are not {len(labels)} probabilities that "
                             "sum to 1; decode again")  # fmt: skip
        rows[utterance] = dict(zip(labels, (row / row.sum()).tolist(), strict=True))
    return rows
