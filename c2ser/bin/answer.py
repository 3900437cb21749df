"""Let a baseline answer for each utterance of a data directory, to compare C²SER with it."""

from pathlib import Path

from c2ser.baselines.config import BaselineConfig
from c2ser.cli import run

GROUP = "Decode and score"


def main(data: Path, out: Path, baseline: BaselineConfig, device: str = "auto", wording: int = 0) -> None:
    """Write the table of answers OUT, and beside it utt2ms, utt2prob and text_asr where the baseline has them.

    Args:
        data: data directory.
        out: table of answers.
        baseline: what answers.
        device: "cpu", "cuda", …; "auto" takes a GPU where there is one.
        wording: 0 asks as the configuration says, 1 to 10 as C²SER is asked in other words.
    """
    from c2ser.baselines.answers import answer
    from c2ser.baselines.kinds import load_baseline
    from c2ser.devices import move
    from c2ser.label_sets import read_label_set

    labels = read_label_set(data)
    answer(move(load_baseline(baseline, labels, wording, data), device), data, out, baseline, wording)


if __name__ == "__main__":
    run(main)
