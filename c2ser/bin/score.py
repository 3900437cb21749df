"""Score labels, and what explicit answers say."""

from pathlib import Path
from typing import Literal

from c2ser.cli import run
from c2ser.log import get_logger

GROUP = "Decode and score"

logger = get_logger(__name__)


def main(
    reference: Path,
    labels: Path,
    out: Path,
    data: Path | None = None,
    times: Path | None = None,
    judge: Path | None = None,
    answers: Path | None = None,
    levels: Path | None = None,
    text: Path | None = None,
    probabilities: Path | None = None,
    reader: Literal["parser", "judge", "probabilities"] = "parser",
) -> None:
    """Write OUT/scores.json, confusion.png and durations.png, of the classes that the model can name.

    Args:
        reference: utt2emo of the data directory.
        labels: table of labels; labels.json beside it holds the classes, if they are not the seven emotions.
        out: folder of the results.
        data: the data directory, for intervals and for figures of each language, duration and speaker; and, if it has
            utt2votes, for figures of the annotators' votes.
        times: utt2ms, for the time an answer takes.
        judge: table of labels that a language model read, to compare the two readers.
        answers: explicit answers, to compare what they name with `levels` and `text`.
        levels: utt2level of the data directory.
        text: transcripts of the data directory.
        probabilities: utt2prob, to compare it with the votes.
        reader: who made `labels`, as scores.json says: our parser or a language model, of answers; or probabilities.
    """
    from c2ser.label_sets import read_label_set
    from c2ser.scoring.agreement import reader_gap
    from c2ser.scoring.data_figures import data_figures
    from c2ser.scoring.faithfulness import explicit_figures
    from c2ser.scoring.metrics import class_scores, timing
    from c2ser.scoring.pictures import plot_confusion, plot_durations
    from c2ser.tables import read_table, write_json

    if answers and not (levels and text):
        raise ValueError(f"{answers}: answers are compared with levels and text; give --levels and --text too")
    true, predicted = read_table(reference), read_table(labels)
    figures = {"reader": reader, **class_scores(true, predicted, read_label_set(labels.parent))}
    speakers = read_table(data / "utt2spk") if data else {}
    title = f"{out.parent.name}, {out.name.removeprefix('decode_')}"
    if data:
        figures |= data_figures(data, true, predicted, probabilities)
        if len(figures["durations"]) > 1:
            plot_durations(figures["durations"], 1 / len(figures["per_emotion"]), title, out / "durations.png")
    if times:
        figures |= timing(read_table(times))
    if judge:
        figures["judge"] = reader_gap(true, predicted, read_table(judge), speakers)
    if answers and levels and text:
        figures |= explicit_figures(read_table(answers), read_table(levels), read_table(text))
    plot_confusion(figures, title, out / "confusion.png")
    write_json(out / "scores.json", figures)
    counts = f"{figures['utterances']} utterances, {figures['unreadable']} unreadable"
    logger.info("%s: UA %.4f, WA %.4f, F1 %.4f, %s", out, figures["ua"], figures["wa"], figures["f1_reference"], counts)


if __name__ == "__main__":
    run(main)
