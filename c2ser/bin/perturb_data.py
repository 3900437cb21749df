"""Copy a data directory with changed audio, to see whether a model's labels hold."""

from pathlib import Path

from c2ser.cli import run

GROUP = "Prepare data"


def main(data: Path, out: Path, perturbation: str) -> None:
    """Write the data directory OUT, and its audio into OUT/wav.

    Args:
        data: data directory.
        out: the copy.
        perturbation: noise<dB> (white noise at that signal-to-noise ratio), gain<dB>, speed<factor>, hum<dB> (of mains,
            at that ratio), crosstalk<dB> (the voice of the utterance before, at that ratio), offset<percent> of full
            scale or clip<percent> of the samples; noise20, gain-6 and speed0.9, for example.
    """
    from c2ser.data.perturb import perturb

    perturb(data, out, perturbation)


if __name__ == "__main__":
    run(main)
