"""Make data directories from a table of your own recordings and labels."""

from pathlib import Path

from c2ser.cli import run
from c2ser.prep.columns import Columns
from c2ser.prep.folds import Folds

GROUP = "Prepare data"
PATHS = "tables"


def main(
    tables: list[Path],
    columns: Columns,
    out: Path = Path("data"),
    labels: str = "seven",
    audio_root: Path | None = None,
    language: str | None = None,
    folds: Folds = "published",
    into: str | None = None,
    nj: int = 8,
) -> None:
    """Write the data directories train, valid and test from tables: CSV, TSV, JSON lines, Parquet, Kaldi, `datasets`.

    Args:
        tables: one row for each recording, or for each annotator of it.
        columns: headings that cannot be guessed.
        out: where the data directories go.
        labels: "seven" emotions, also by their synonyms; a YAML or JSON file that says for each label which of the
            seven it is; "raw", which keeps other labels as classes; or a labels.json, which names the classes to keep.
        audio_root: folder in which the files' paths begin; by default that of the table.
        language: ISO 639-1 code for rows that name no language.
        folds: what utt2fold says: "published" (what the table says or, if sets are made, five folds of speakers),
            "speaker" (each left out in turn), or "none".
        into: put all recordings into one data directory of this name.
        nj: how many headers are read at once.
    """
    from c2ser.prep.import_tables import import_tables

    import_tables(tables, out, columns, labels, audio_root, language, folds, into, nj)


if __name__ == "__main__":
    run(main, PATHS)
