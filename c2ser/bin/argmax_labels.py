"""Read the most probable emotion of each utterance."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Decode and score"


def main(probabilities: Path, out: Path, among: list[str] | None = None) -> None:
    """Write the table OUT: the emotion of the greatest probability, another decision than the one in the answer.

    Args:
        probabilities: utt2prob, a number for each class; labels.json beside it holds the classes, if they are not the
            seven emotions.
        out: table of labels; it gets the same labels.json.
        among: the classes to choose from, where a corpus is known to have no others; null for all.
    """
    from c2ser.label_sets import read_label_set, write_label_set
    from c2ser.scoring.probabilities import argmax_labels
    from c2ser.tables import read_table, write_table

    labels = read_label_set(probabilities.parent)
    write_label_set(out.parent, labels)
    write_table(out, argmax_labels(read_table(probabilities), labels, among))


if __name__ == "__main__":
    run(main)
