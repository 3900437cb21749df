"""Let several tables of labels vote on each utterance."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Decode and score"

logger = get_logger(__name__)


def main(labels: list[Path], out: Path) -> None:
    """Write the table OUT: the label that most tables give; of labels with as many votes, that of the first table.

    "unparsed" is no vote.

    Args:
        labels: tables of labels, at least two; labels.json beside each holds the classes, if they are not the seven
            emotions.
        out: table of labels; it gets the same labels.json.
    """
    from c2ser.label_sets import common_label_set, write_label_set
    from c2ser.scoring.vote import vote_labels
    from c2ser.tables import read_table, write_table

    if len(labels) < 2:
        raise ValueError(f"--labels: {len(labels)} table cannot vote; give two or more")
    classes = common_label_set(table.parent for table in labels)
    tables = [read_table(path) for path in labels]
    for table in tables:
        classes.check_table(table, besides="unparsed")
    voted = vote_labels(tables)
    write_label_set(out.parent, classes)
    write_table(out, voted)
    partial = sum(not all(name in table for table in tables) for name in voted)
    logger.info("%s: %d utterances, of which %d are not in all of the %d tables", out, len(voted), partial, len(labels))


if __name__ == "__main__":
    run(main)
