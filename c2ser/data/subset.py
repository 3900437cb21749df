"""Data directories with some utterances of another one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from c2ser.corpus import TABLES
from c2ser.label_sets import read_label_set, write_label_set
from c2ser.tables import read_table, write_table


def write_subset(
    data: Path,
    out: Path,
    utterances: Iterable[str],
    changed: Mapping[str, Mapping[str, str]],
    rejected: Mapping[str, str],
) -> None:
    """Write a data directory that holds some utterances of another one.

    Args:
        data: where they are from.
        out: the new data directory.
        utterances: which.
        changed: tables that are new or different.
        rejected: reason by utterance.

    Raises:
        ValueError: no utterance is left.
    """
    names = set(utterances)
    if not names:
        reason = f", the first because: {next(iter(rejected.values()))}" if rejected else ""
        raise ValueError(f"{data}: no utterance is left for {out}{reason}; solve that first")
    present = {name: read_table(data / name) for name in TABLES if (data / name).exists()}
    tables = {**present, **changed}
    for name, rows in tables.items():
        if name != "wav.scp":
            write_table(out / name, {i: value for i, value in rows.items() if i in names})
    speakers: dict[str, list[str]] = {}
    for i in sorted(names, key=str.encode):
        speakers.setdefault(tables["utt2spk"][i], []).append(i)
    write_table(out / "spk2utt", {speaker: " ".join(ids) for speaker, ids in speakers.items()})
    write_table(out / "rejected", rejected)
    write_label_set(out, read_label_set(data))
    write_table(out / "wav.scp", {i: path for i, path in tables["wav.scp"].items() if i in names})
