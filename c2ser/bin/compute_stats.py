"""Compute the mean and deviation of each attribute over a training set."""

from pathlib import Path

from c2ser.attributes.levels import compute_stats, plot_stats, read_attributes, stats_to_json
from c2ser.cli import run
from c2ser.tables import read_table, write_json


def main(attributes: Path, out: Path) -> None:
    """Write the statistics OUT (JSON), and a picture of the distributions beside it.

    Args:
        attributes: utt2attr of the training set; other sets must not have a say in the levels.
        out: JSON file.
    """
    values = read_attributes(read_table(attributes))
    stats = compute_stats(values)
    out.parent.mkdir(parents=True, exist_ok=True)
    plot_stats(values, stats, out.with_suffix(".png"))
    write_json(out, stats_to_json(stats))


if __name__ == "__main__":
    run(main)
