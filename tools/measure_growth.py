"""Measure how time and memory of what reads whole tables grow with the number of utterances, on made-up tables.

python tools/measure_growth.py --out exp/growth [--sizes "[1000, 10000, 100000]"] [--parts "[cot, training]"]

Writes OUT/growth.json and OUT/growth.png. Each part runs in a process of its own. Its time is that of the processor,
which other work on the machine changes little; its memory is what it adds to a process that has imported everything.
"""

import gc
import os
import random
import resource
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

from c2ser.attributes.levels import compute_stats, read_attributes, stats_to_json
from c2ser.cli import commit, processor, run
from c2ser.data.datasets import read_items
from c2ser.data.sampler import Batches
from c2ser.emotions import EMOTIONS
from c2ser.log import get_logger
from c2ser.scoring.palette import SERIES, add_legend, new_figure, save_figure
from c2ser.tables import read_table, write_json, write_table

logger = get_logger(__name__)

Part = Literal["levels", "cot", "labels", "score", "training"]
"""What is measured: stages that read and write texts alone, and the data that a training process keeps."""

WORDS = "the people of this town said that they had never seen so many ships in the harbour at the same time".split()

WARM_UP = 50
"""Utterances of a first run that is not measured."""

MAX_SECONDS = 45.0
"""Padded seconds of a micro-batch."""


def make_data(folder: Path, number: int) -> None:
    """Write the tables of so many utterances, always the same ones: 8 to 28 words, 1 to 15 s, 100 of each speaker."""
    draw = random.Random(number)
    tables: dict[str, dict[str, str]] = {}
    for place in range(number):
        speaker = f"speaker{place // 100:06d}"
        name = f"{speaker}-utterance{place:08d}"
        emotion = draw.choice(EMOTIONS)
        row = {
            "wav.scp": f"/data/corpora/made/wav/{speaker}/{name}.wav",
            "utt2spk": speaker,
            "utt2emo": emotion,
            "utt2lang": "en",
            "utt2dur": f"{draw.uniform(1, 15):.3f}",
            "text": " ".join(draw.choices(WORDS, k=draw.randint(8, 28))),
            "utt2attr": f"{draw.gauss(180, 50):.2f} {draw.gauss(-25, 5):.2f} {draw.gauss(12, 2):.2f}",
            "answers": f"The emotion of this speech is {draw.choice([emotion, draw.choice(EMOTIONS)])}.",
        }
        for table, value in row.items():
            tables.setdefault(table, {})[name] = value
    for table, rows in tables.items():
        write_table(folder / table, rows)
    write_json(folder / "stats.json", stats_to_json(compute_stats(read_attributes(read_table(folder / "utt2attr")))))


def keep_training_data(folder: Path) -> list[object]:
    """Return what a training process keeps of its tables: items and batches."""
    items = read_items(folder, ["explicit", "implicit"])
    tokens = dict.fromkeys(items, 100)
    return [items, Batches({name: item.seconds for name, item in items.items()}, MAX_SECONDS, tokens=tokens,
                           max_tokens=10_000)]  # fmt: skip


def call(entry: str, *arguments: str | Path) -> None:
    """Run an entry point in this process, as a command line would."""
    sys.argv = [entry, *map(str, arguments)]
    runpy.run_module(f"c2ser.bin.{entry}", run_name="__main__")


def jobs(folder: Path) -> dict[Part, Callable[[], object]]:
    """Return what to measure on a data directory; later ones use the tables of earlier ones."""
    given, labels = ("--data", folder), folder / "labels"

    def cot() -> None:
        for style in ("explicit", "implicit"):
            call("generate_cot", *given, "--out", folder / f"cot_{style}", "--style", style)

    return {
        "levels": lambda: call(
            "assign_levels", *given, "--stats", folder / "stats.json", "--out", folder / "utt2level"
        ),
        "cot": cot,
        "labels": lambda: call("extract_labels", "--answers", folder / "answers", "--out", labels),
        "score": lambda: call(
            "score", *given, "--reference", folder / "utt2emo", "--labels", labels, "--out", folder / "scores"
        ),
        "training": lambda: keep_training_data(folder),
    }


def resident() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(job: Callable[[], object]) -> dict[str, float]:
    """Run a job in a process of its own.

    Returns:
        `seconds` of the processor, and the bytes that the process had more: at its `peak`, and `kept` at the end by
        what the job returned.

    Raises:
        RuntimeError: the job failed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            before = resident()
            result = job()
            gc.collect()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            kept = resident() - before if result is not None else 0
            os.write(writer, f"{time.process_time()} {peak - before} {kept}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        numbers = file.read().split()
    if os.waitpid(child, 0)[1] or not numbers:
        raise RuntimeError("the measured job failed; its message stands above")
    return dict(zip(("seconds", "peak", "kept"), map(float, numbers), strict=True))


def plot(figures: dict[int, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw processor time over the number of utterances, both logarithmic."""
    figure, axes = new_figure(6, 4)
    parts = next(iter(figures.values()))
    for part, colour in zip(parts, SERIES, strict=False):
        axes.plot([*figures], [row[part]["seconds"] for row in figures.values()], "o-", color=colour, label=part)
    axes.set(xscale="log", yscale="log", xlabel="utterances", ylabel="processor time (s)")
    add_legend(axes)
    save_figure(figure, path)


def main(out: Path, sizes: list[int] | None = None, parts: list[Part] | None = None) -> None:
    """Measure, and write growth.json and growth.png.

    Args:
        out: folder of the results.
        sizes: numbers of utterances; null for 1,000, 10,000 and 100,000.
        parts: what is measured; null for all. A part needs the tables of those before it.
    """
    figures: dict[int, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:  # what a first run imports does not count
        make_data(Path(place) / "made", WARM_UP)
        for part, job in jobs(Path(place) / "made").items():
            if parts is None or part in parts:
                job()
    for number in sizes or [1_000, 10_000, 100_000]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "made"
            make_data(folder, number)
            figures[number] = {}
            for part, job in jobs(folder).items():
                if parts is None or part in parts:
                    figures[number][part] = row = measure(job)
                    logger.info("%d utterances, %s: %.2f s, peak %.0f, kept %.0f bytes each", number, part,
                                row["seconds"], row["peak"] / number, row["kept"] / number)  # fmt: skip
    write_json(out / "growth.json", {"commit": commit(), "date": time.strftime("%Y-%m-%d"), "processor": processor(),
                                     "load": os.getloadavg()[0], "figures": figures})  # fmt: skip
    plot(figures, out / "growth.png")


if __name__ == "__main__":
    run(main)
