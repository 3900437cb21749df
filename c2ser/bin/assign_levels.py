"""Turn the attributes of a data directory into levels."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Prepare data"


def main(data: Path, stats: Path, out: Path) -> None:
    """Write the table OUT: low, medium or high for pitch, loudness and rate of each utterance.

    Args:
        data: data directory with utt2attr.
        stats: what compute_stats wrote for the training set.
        out: table of levels.
    """
    from c2ser.attributes.levels import read_attributes, stats_from_json
    from c2ser.emotions import ATTRIBUTES
    from c2ser.tables import TableMap, read_json, read_table

    bounds = stats_from_json(read_json(stats), stats)
    values = read_attributes(read_table(data / "utt2attr"))
    with TableMap(out) as job:
        for utterance in job.todo(read_table(data / "wav.scp")):
            if utterance in values:
                pairs = zip(ATTRIBUTES, values[utterance], strict=True)
                job.write(utterance, " ".join(bounds[name].level(value) for name, value in pairs))
            else:
                job.reject(utterance, "it has no attributes; see utt2attr.rejected for the reason")


if __name__ == "__main__":
    run(main)
