"""The peer nkululeko: its tables and settings for one fold, a call of its program, and its labels of the test set."""

import csv
import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from c2ser.corpus import Utterance
from c2ser.data.arks import read_matrices
from c2ser.tables import read_table


def write_egemaps(utterances: Mapping[str, Utterance], out: Path) -> None:
    """Write the 88 functionals of eGeMAPS v02 of each recording as nkululeko's extractor computes them, but once.

    Raises:
        ImportError: openSMILE is not installed.
    """
    try:
        smile = importlib.import_module("opensmile").Smile(feature_set="eGeMAPSv02", feature_level="func")
    except ImportError as error:
        raise ImportError(f"openSMILE cannot be imported ({error}); pip install opensmile") from None
    table = smile.process_files([str(utterance.wav) for utterance in utterances.values()])
    table.reset_index(["start", "end"], drop=True).to_csv(out)


def write_vectors(utterances: Mapping[str, Utterance], embeddings: Path, out: Path) -> None:
    """Write vectors of ours, the means of the rows in the table `embeddings`, in the form of nkululeko's features."""
    rows = ((utterances[i].wav, matrix.mean(0)) for i, matrix in read_matrices(read_table(embeddings), utterances))
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number, (wav, vector) in enumerate(rows):
            if number == 0:
                writer.writerow(["file", *(f"vector_{i}" for i in range(len(vector)))])
            writer.writerow([wav, *(f"{value:.7g}" for value in vector)])


def run_nkululeko(
    train: Mapping[str, Utterance], test: Mapping[str, Utterance], features: Path, model: str, folder: Path
) -> dict[str, str]:
    """Train one of nkululeko's models and return its label for each utterance of the test set.

    Args:
        train: to learn from.
        test: to label; every recording is one utterance.
        features: a table of vectors by file.
        model: nkululeko's name for it, for example svm or xgb.
        folder: for its files.

    Raises:
        ImportError: nkululeko is not installed.
        ValueError: it fails.
    """
    if importlib.util.find_spec("nkululeko") is None:
        raise ImportError("nkululeko is not installed; pip install nkululeko")
    folder.mkdir(parents=True, exist_ok=True)
    predictions = folder / "predictions.csv"
    sets = {"train": train, "test": test}
    for name, members in sets.items():
        _write_recordings(members.values(), folder / f"{name}.csv")
    data: dict[str, Any] = {
        "databases": list(sets),
        "target": "emotion",
        "labels": sorted({str(u.emotion) for u in train.values()}),
    }
    for name in sets:
        data |= {name: folder / f"{name}.csv", f"{name}.type": "csv", f"{name}.split_strategy": name}
    settings = RawConfigParser()
    settings.read_dict({
        "EXP": {"root": folder, "name": "run", "runs": 1, "epochs": 1, "save": False, "save_test": predictions},
        "DATA": data,
        "FEATS": {"type": ["import"], "import_file": [str(features)], "scale": "standard"},
        "MODEL": {"type": model},
    })  # fmt: skip
    with (folder / "run.ini").open("w", encoding="utf-8") as file:
        settings.write(file)
    command = [sys.executable, "-m", "nkululeko.nkululeko", "--config", str(folder / "run.ini")]
    with (folder / "log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode or not predictions.exists():
        raise ValueError(f"{folder}/log: nkululeko failed; its last lines say why")
    with predictions.open(newline="", encoding="utf-8") as file:
        said = {row["file"]: row["predictions"] for row in csv.DictReader(file)}
    return {i: said[str(utterance.wav)] for i, utterance in test.items()}


def _write_recordings(utterances: Iterable[Utterance], out: Path) -> None:
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "emotion", "speaker"])
        writer.writerows((utterance.wav, utterance.emotion, utterance.speaker) for utterance in utterances)
