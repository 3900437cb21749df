"""Score labels, and what explicit answers say."""

from pathlib import Path

from c2ser.cli import run
from c2ser.log import get_logger
from c2ser.scoring.metrics import explicit_figures, scores, timing
from c2ser.scoring.report import plot_confusion
from c2ser.tables import read_table, write_json

logger = get_logger(__name__)


def main(
    reference: Path,
    labels: Path,
    out: Path,
    times: Path | None = None,
    answers: Path | None = None,
    levels: Path | None = None,
    text: Path | None = None,
) -> None:
    """Write OUT/scores.json and OUT/confusion.png.

    Args:
        reference: utt2emo of the data directory.
        labels: table of labels.
        out: folder of the results.
        times: utt2ms, for the time an answer takes.
        answers: explicit answers, to compare what they name with `levels` and `text`.
        levels: utt2level of the data directory.
        text: transcripts of the data directory.
    """
    figures = scores(read_table(reference), read_table(labels))
    if times:
        figures |= timing(read_table(times))
    if answers and not (levels and text):
        raise ValueError(f"{answers}: answers are compared with levels and text; give --levels and --text too")
    if answers and levels and text:
        figures |= explicit_figures(read_table(answers), read_table(levels), read_table(text))
    plot_confusion(figures, f"{out.parent.name}, {out.name.removeprefix('decode_')}", out / "confusion.png")
    write_json(out / "scores.json", figures)
    counts = f"{figures['utterances']} utterances, {figures['unreadable']} unreadable"
    logger.info("%s: UA %.4f, WA %.4f, F1 %.4f, %s", out, figures["ua"], figures["wa"], figures["f1_reference"], counts)


if __name__ == "__main__":
    run(main)
