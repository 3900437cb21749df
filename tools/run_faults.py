"""Run the catalogue of faults: every row of tools/faults, and count how each ended; docs/faults.md tells more."""

import importlib
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from faults.row import Row, Verdict, judge

from c2ser.cli import run

VERDICTS: tuple[Verdict, ...] = ("good", "weak", "wrong", "executed", "lost")

QUICK = ("bad_tables", "bad_audio", "bad_configs", "bad_archives", "bad_texts")
"""Modules whose rows take milliseconds."""

OTHERS = ("bad_models", "bad_options", "canaries")

Seen = tuple[str, str, Verdict, str]
"""Group, name, verdict, and what was seen."""


def rows_of(modules: tuple[str, ...] = QUICK + OTHERS) -> Iterator[Row]:
    """Yield the rows of modules of tools/faults."""
    for module in modules:
        yield from importlib.import_module(f"faults.{module}").rows()


def try_rows(rows: list[Row]) -> Iterator[Seen]:
    """Try rows, each in an empty folder."""
    for row in rows:
        with tempfile.TemporaryDirectory() as folder:
            yield (row.group, row.name, *judge(row, Path(folder)))


def inject(job: str, seed: int) -> Iterator[Seen]:
    """Inject faults into one job, or into all ("")."""
    from faults.injections import run_all  # imports what every stage needs

    with tempfile.TemporaryDirectory() as folder:
        yield from run_all(Path(folder), job, seed)


def main(group: str = "", injected: bool = False, sample: int = 0, seed: int = 777) -> None:
    """Run rows and print how many are good, weak, wrong, executed and lost; the status is 1 if one is not good.

    Args:
        group: only the rows of this group or, of injected faults, this stage.
        injected: inject faults into stages instead of trying bad inputs.
        sample: only so many rows, drawn at random; 0 for all.
        seed: of the draw, or of the moments of kills.
    """
    logging.getLogger("c2ser").setLevel(logging.CRITICAL)
    if injected:
        results = inject(group, seed)
    else:
        rows = [row for row in rows_of() if group in ("", row.group)]
        results = try_rows(random.Random(seed).sample(rows, min(sample, len(rows))) if sample else rows)
    counts: dict[str, Counter[str]] = {}
    for where, name, verdict, seen in results:
        counts.setdefault(where, Counter())[verdict] += 1
        if verdict != "good":
            print(f"{verdict}: {where}, {name}: {' '.join(seen.split())[:300]}", flush=True)
    total = sum(counts.values(), Counter())
    print(f"{'':20}{'tried':>10}" + "".join(f"{verdict:>10}" for verdict in VERDICTS))
    for where, found in {**counts, "all": total}.items():
        print(f"{where:20}{found.total():10}" + "".join(f"{found[verdict]:10}" for verdict in VERDICTS))
    if total["good"] < total.total():
        raise ValueError(f"{total.total() - total['good']} rows are not good; mend what is named above")


if __name__ == "__main__":
    run(main)
