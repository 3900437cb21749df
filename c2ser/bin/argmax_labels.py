"""Read the most probable emotion of each utterance."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"


def main(probabilities: Path, out: Path) -> None:
    """Write the table OUT: the emotion of the greatest probability, another decision than the one in the answer.

    Args:
        probabilities: utt2prob, seven numbers for each utterance.
        out: table of labels.
    """
    from c2ser.scoring.probabilities import argmax_labels
    from c2ser.tables import read_table, write_table

    write_table(out, argmax_labels(read_table(probabilities)))


if __name__ == "__main__":
    run(main)
