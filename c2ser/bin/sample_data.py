"""Draw the same number of utterances of each emotion in each language."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Label and annotate speech"


def main(data: Path, out: Path, number: int, seed: int = 1) -> None:
    """Write the data directory OUT, and OUT/statistics.md in the form of Table III.

    Args:
        data: data directory with utt2emo and utt2lang.
        out: the sample.
        number: utterances of each emotion in each language, at most.
        seed: decides the draw.
    """
    from c2ser.corpus import durations, read_data_dir
    from c2ser.data.subset import write_subset
    from c2ser.labelling.sample import draw_sample
    from c2ser.labelling.statistics import statistics_table
    from c2ser.tables import read_table, write_text

    emotions, languages = read_table(data / "utt2emo"), read_table(data / "utt2lang")
    drawn = draw_sample(emotions, languages, number, seed)
    write_subset(data, out, drawn, {}, {})
    seconds = dict(durations(read_data_dir(out)))
    page = statistics_table({name: emotions[name] for name in drawn}, languages, seconds)
    write_text(out / "statistics.md", page + "\n")
    print(page)


if __name__ == "__main__":
    run(main)
