"""Let a baseline answer for each utterance of a data directory, to compare C²SER with it."""

from pathlib import Path

from c2ser.baselines.config import BaselineConfig
from c2ser.cli import run

GROUP = "Decode and score"


def main(data: Path, out: Path, baseline: BaselineConfig, device: str = "auto") -> None:
    """Write the table of answers OUT, and utt2ms, utt2prob and, of a cascade, text_asr beside it.

    Args:
        data: data directory.
        out: table of answers.
        baseline: what answers.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
    """
    from c2ser.baselines.answers import answer
    from c2ser.baselines.kinds import load_baseline
    from c2ser.devices import move
    from c2ser.label_sets import read_label_set

    answer(move(load_baseline(baseline, read_label_set(data)), device), data, out, baseline)


if __name__ == "__main__":
    run(main)
