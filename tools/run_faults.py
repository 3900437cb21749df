"""Run the catalogue of faults: every row of tools/faults, and count how each ended; docs/faults.md tells more."""

import logging
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from c2ser.cli import run
from faults.row import Row, Verdict, judge

VERDICTS: tuple[Verdict, ...] = ("good", "weak", "wrong", "executed", "lost")


def all_rows() -> Iterator[Row]:
    """Yield every row that runs in this process."""
    from faults import bad_archives, bad_audio, bad_configs, bad_models, bad_tables, bad_texts, canaries

    for module in (bad_tables, bad_audio, bad_configs, bad_archives, bad_models, bad_texts, canaries):
        yield from module.rows()


def main(group: str = "", sample: int = 0, seed: int = 777) -> None:
    """Run rows and print how many are good, weak, wrong, executed and lost; the status is 1 if one is not good.

    Args:
        group: only the rows of this group.
        sample: only so many, drawn at random; 0 for all.
        seed: of the draw.
    """
    logging.getLogger("c2ser").setLevel(logging.CRITICAL)
    rows = [row for row in all_rows() if group in ("", row.group)]
    if sample:
        rows = random.Random(seed).sample(rows, min(sample, len(rows)))
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        with tempfile.TemporaryDirectory() as folder:
            verdict, seen = judge(row, Path(folder))
        counts.setdefault(row.group, Counter())[verdict] += 1
        if verdict != "good":
            print(f"{verdict}: {row.group}, {row.name}: {' '.join(seen.split())[:300]}", flush=True)
    print(f"{'':20}{'tried':>10}" + "".join(f"{verdict:>10}" for verdict in VERDICTS))
    total: Counter[str] = Counter()
    for name, found in counts.items():
        total += found
        print(f"{name:20}{found.total():10}" + "".join(f"{found[verdict]:10}" for verdict in VERDICTS))
    print(f"{'all':20}{total.total():10}" + "".join(f"{total[verdict]:10}" for verdict in VERDICTS))
    if total["good"] < total.total():
        raise ValueError(f"{total.total() - total['good']} rows are not good; mend what is named above")


if __name__ == "__main__":
    run(main)
