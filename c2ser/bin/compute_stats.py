"""Compute the mean and deviation of each attribute over a training set."""

import functools
import operator
from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Prepare data"

logger = get_logger(__name__)


def main(attributes: Path | list[Path], out: Path) -> None:
    """Write the statistics OUT (JSON), and a picture of the distributions beside it.

    Args:
        attributes: utt2attr of the training set; other sets must not have a say in the levels. Of a set in shards: a
            list of their tables, or of the statistics (.json) that this command has made of them, whose sums add up.
        out: JSON file.
    """
    from c2ser.attributes.levels import (
        FlagCounts,
        add_stats,
        compute_stats,
        outliers,
        plot_stats,
        read_attributes,
        stats_from_json,
        stats_to_json,
    )
    from c2ser.tables import read_json, read_table, write_json

    paths = attributes if isinstance(attributes, list) else [attributes]
    values: dict[str, tuple[float, ...]] = {}
    parts, counts = [], []
    for path in paths:
        if path.suffix == ".json":
            content = read_json(path)
            parts.append(stats_from_json(content, path))
            counts.append(FlagCounts.from_json(content))
        else:
            rows = read_attributes(read_table(path))
            parts.append(compute_stats(rows))
            counts.append(FlagCounts.read(path))
            values |= rows
    stats, total = add_stats(parts), functools.reduce(operator.add, counts)
    out.parent.mkdir(parents=True, exist_ok=True)
    if values:
        plot_stats(values, stats, out.with_suffix(".png"))
    write_json(out, stats_to_json(stats) | total.to_json())
    logger.info("%s", total)
    for name, far in (outliers(values) if values else {}).items():
        if far:
            first = ", ".join(f"{utterance} ({value:g})" for utterance, value in [*far.items()][:3])
            logger.warning("%s: %d far from the others may move its levels: %s; listen to them", name, len(far), first)


if __name__ == "__main__":
    run(main)
