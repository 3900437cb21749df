"""Read the emotion in each answer."""

from pathlib import Path

from c2ser.cli import run
from c2ser.scoring.labels import read_label
from c2ser.tables import read_table, write_table


def main(answers: Path, out: Path) -> None:
    """Write the table OUT: the emotion each answer names, or "unparsed".

    Args:
        answers: table of answers.
        out: table of labels.
    """
    write_table(out, {utterance: read_label(answer) for utterance, answer in read_table(answers).items()})


if __name__ == "__main__":
    run(main)
