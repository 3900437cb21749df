"""Compare systems on the same utterances, over several runs of each."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"


def main(
    data: list[Path],
    systems: dict[str, list[Path]],
    out: Path,
    baseline: str | None = None,
    title: str = "Accuracy of each emotion",
    max_seconds: float = 30.0,
) -> None:
    """Print a Markdown table and write it to OUT/comparison.md, with comparison.json and per_emotion.png.

    Args:
        data: data directories with the reference; together they are one set, without what no fold tests.
        systems: by name, the tables of labels of its runs (utt2emo), or folders of which every utt2emo is a run.
        out: folder of the results.
        baseline: the system that the others are compared with.
        title: stands above the picture.
        max_seconds: longer utterances do not count, as in train_probe.
    """
    from c2ser.corpus import emotions_of, read_data_dirs, tested
    from c2ser.scoring.compare import compare, comparison_table
    from c2ser.scoring.pictures import plot_accuracies
    from c2ser.tables import read_table, write_json, write_text

    utterances = tested(read_data_dirs(data, max_seconds))
    reference = emotions_of(utterances)
    speakers = {name: utterance.speaker for name, utterance in utterances.items()}
    runs = {name: [read_table(path) for path in tables_of(name, paths)] for name, paths in systems.items()}
    compared = compare(reference, speakers, runs, baseline)
    page = comparison_table(compared, baseline)
    write_json(out / "comparison.json", compared)
    write_text(out / "comparison.md", page + "\n")
    plot_accuracies({name: row["per_emotion"] for name, row in compared.items()}, title, out / "per_emotion.png")
    print(page)


def tables_of(system: str, paths: list[Path]) -> list[Path]:
    """Return the tables of labels that paths name or hold."""
    tables = [table for path in paths for table in (sorted(path.rglob("utt2emo")) if path.is_dir() else [path])]
    if not tables:
        raise ValueError(f"{system}: no utt2emo in {', '.join(map(str, paths))}; give the folders that a scorer wrote")
    return tables


if __name__ == "__main__":
    run(main)
