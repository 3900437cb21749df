"""Measure speed against named peers."""

import sys
from pathlib import Path
from typing import Literal

import torch

from c2ser.benchmarks import c2ser, emotion2vec, pitch, system  # noqa: F401 - they enter their cases
from c2ser.benchmarks.cases import CASES
from c2ser.benchmarks.harness import Setting, run_case
from c2ser.benchmarks.report import markdown
from c2ser.cli import run
from c2ser.tables import write_json


def main(
    cases: str = "e2v_extract,e2v_batched",
    device: Literal["cpu", "cuda"] = "cpu",
    size: Literal["real", "quick"] = "real",
    rounds: int = 5,
    threads: int | None = None,
    seed: int = 777,
    out: Path = Path("exp/benchmark"),
    speech: Path | None = None,
    peer_path: Path | None = None,
) -> None:
    """Run cases, write OUT/<case>.json for each and print a Markdown table.

    Args:
        cases: which ones, separated by commas.
        device: where ours and the peer run.
        size: real sizes with random weights, or small ones that only show that everything runs.
        rounds: how often ours and the peer run in turn; at least five for a figure worth quoting.
        threads: processor threads; as torch chooses without it.
        seed: decides weights and signals.
        out: where the reports go.
        speech: folder of wav files for the cases of pitch; without, tones and noise.
        peer_path: folder with packages of peers that are not installed.
    """
    names = cases.split(",")
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        raise ValueError(f"{unknown[0]}: no such case; choose from {', '.join(sorted(CASES))}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no GPU; use --device cpu")
    if threads:
        torch.set_num_threads(threads)
    if peer_path:
        sys.path.append(str(peer_path))
    setting, reports = Setting(device, size, seed, str(speech) if speech else None), []
    for name in names:
        reports.append(run_case(name, CASES[name](setting), setting, rounds))
        write_json(out / f"{name}.json", reports[-1])
    print(markdown(reports))
    void = [report["name"] for report in reports if not report["equivalence"]["holds"]]
    if void:
        raise ValueError(f"{void[0]}: outputs of ours and the peer differ; no figure counts")


if __name__ == "__main__":
    run(main)
