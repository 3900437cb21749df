"""Runs chosen cases, writes their reports and prints a table."""

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmark import (  # noqa: F401 - they register their cases
    c2ser_cases,
    emotion2vec_cases,
    pitch_cases,
    small_cases,
    system_cases,
)
from benchmark.cases import CASES
from benchmark.harness import Setting, run_case
from benchmark.report_table import markdown
from c2ser.devices import avoid_cudnn_attention
from c2ser.tables import write_json


def run_cases(names: Sequence[str], setting: Setting, rounds: int, out: Path, alone: bool = False) -> None:
    """Run cases, write OUT/<case>.json for each and print a Markdown table.

    Args:
        names: which cases.
        setting: device, size, seed and recordings.
        rounds: how often ours and the peer run in turn.
        out: the folder of the reports.
        alone: time ours alone.

    Raises:
        ValueError: a case does not exist, there is no GPU, or the outputs of ours and the peer differ.
    """
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        raise ValueError(f"{unknown[0]}: no such case; choose from {', '.join(sorted(CASES))}")
    if setting.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no GPU; use --device cpu")
    avoid_cudnn_attention()
    reports = []
    for name in names:
        reports.append(run_case(name, CASES[name](setting), setting, rounds, alone))
        write_json(out / f"{name}.json", reports[-1])
    print(markdown(reports))
    void = [report["name"] for report in reports if not report["equivalence"]["holds"]]
    if void:
        raise ValueError(f"{void[0]}: outputs of ours and the peer differ; no figure counts")
