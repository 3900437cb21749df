"""Measure the speed of C²SER against other implementations; docs/benchmarks.md has the rules and the cases."""

import sys
from pathlib import Path
from typing import Literal

from c2ser.cli import run


def main(
    cases: str = "small_step,whisper_encoder,label_score,loss,penn_pitch",
    device: Literal["cpu", "cuda"] = "cpu",
    size: Literal["real", "quick"] = "real",
    rounds: int = 5,
    threads: int | None = None,
    seed: int = 777,
    out: Path = Path("exp/benchmark"),
    speech: Path | None = None,
    peer_path: Path | None = None,
    alone: bool = False,
) -> None:
    """Run cases, write OUT/<case>.json for each and print a Markdown table.

    Args:
        cases: which cases, separated by commas; those of Emotion2Vec-S need FunASR.
        device: the device of ours and of the peer.
        size: real sizes with random weights, or small ones that only show that everything runs.
        rounds: how often ours and the peer run in turn; a figure that is published needs at least five.
        threads: number of CPU threads; torch's own choice if it is not given.
        seed: the seed of weights and signals.
        out: the folder of the reports.
        speech: folder of wav files for the pitch case; tones and noise if it is not given.
        peer_path: folder with packages of peers that are not installed.
        alone: time ours without the peer, where that does not fit or takes too long.
    """
    import torch  # here, so that --help and errors in options come at once
    from benchmark.harness import Setting
    from benchmark.runner import run_cases

    if threads:
        torch.set_num_threads(threads)
    if peer_path:
        sys.path.append(str(peer_path))
    run_cases(cases.split(","), Setting(device, size, seed, str(speech) if speech else None), rounds, out, alone)


if __name__ == "__main__":
    run(main)
