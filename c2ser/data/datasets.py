"""What C²SER learns from: utterances with their chains of thought."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser import audio, corpus
from c2ser.corpus import Utterance
from c2ser.data.arks import read_matrix
from c2ser.log import get_logger
from c2ser.tables import read_table

logger = get_logger(__name__)

MIN_SECONDS = 0.1
"""Shorter audio is refused: there is nothing to hear in it, and the encoders need some frames."""

MAX_SECONDS = 30.0
"""Longer audio is refused: Whisper has no positions for it."""

SHOWN = 5
"""How many utterances a message names before it only counts."""


@dataclass(frozen=True)
class Item:
    """An utterance to learn from.

    Attributes:
        utterance: audio, emotion and the rest of what the data directory says.
        seconds: its duration.
        answers: chain of thought by style ("explicit", "implicit").
        acoustic: where its acoustic vectors are, as `file.ark:offset`; None if they are computed on the fly.
    """

    utterance: Utterance
    seconds: float
    answers: Mapping[str, str]
    acoustic: str | None = None


@dataclass(frozen=True)
class Heard:
    """An utterance whose audio was read.

    Attributes:
        item: the utterance.
        wave: its waveform, (samples,).
        acoustic: its acoustic vectors, (rows, dim), or None if they are computed on the fly.
    """

    item: Item
    wave: np.ndarray
    acoustic: np.ndarray | None


def check_wave(wave: np.ndarray, utterance: str, longest: float = MAX_SECONDS) -> np.ndarray:
    """Return a waveform (samples,) if the model can hear it.

    Raises:
        ValueError: it is too short or too long.
    """
    check_seconds(len(wave) / audio.SAMPLE_RATE, utterance, longest)
    return wave


def check_seconds(seconds: float, utterance: str, longest: float = MAX_SECONDS) -> None:
    """Refuse a duration (s) that the model cannot hear.

    Raises:
        ValueError: it is too short or too long.
    """
    if seconds < MIN_SECONDS:
        raise ValueError(f"{utterance}: {seconds:.2f} s, under the model's {MIN_SECONDS} s; remove it")
    if seconds > longest:
        raise ValueError(f"{utterance}: {seconds:.1f} s, over the model's {longest:.0f} s; cut it into utterances")


def load_wave(utterance: Utterance, longest: float = MAX_SECONDS) -> np.ndarray:
    """Read an utterance's waveform (samples,), 16 kHz, that the model can hear, up to `longest` seconds.

    Raises:
        ValueError: its audio is unreadable, too short or too long; the message names the utterance.
    """
    return check_wave(corpus.wave(utterance), utterance.id, longest)


def read_items(folder: str | Path, styles: Sequence[str], acoustic: str | Path | None = None) -> dict[str, Item]:
    """Read the utterances of a data directory that have a chain of thought of every style.

    Utterances without one, without acoustic vectors, or with audio of a length that the model cannot hear, are left
    out, counted and named.

    Args:
        folder: data directory.
        styles: the chains of thought that are needed.
        acoustic: folder with `<name of the data directory>.scp`, as `extract_embeddings` writes it; None if acoustic
            vectors are computed on the fly.

    Raises:
        ValueError: a table is missing or nothing is left.
    """
    folder = Path(folder)
    utterances = corpus.read_data_dir(folder)
    tables = {style: _read_cot(folder / f"cot_{style}") for style in styles}
    places = read_table(Path(acoustic) / f"{folder.resolve().name}.scp") if acoustic else None
    items, mute, bad, deaf = {}, [], [], []
    for i, utterance in utterances.items():
        answers = {style: table.get(i, "") for style, table in tables.items()}
        if not all(answers.values()):
            mute.append(i)
            continue
        if places is not None and i not in places:
            deaf.append(i)
            continue
        try:
            seconds = utterance.duration or audio.duration(utterance.wav, i)
            check_seconds(seconds, i)
            items[i] = Item(utterance, seconds, answers, places and places[i])
        except ValueError as error:
            bad.append(str(error))
    if not items:
        raise ValueError(f"{folder}: no utterance with audio and a chain of thought; run stage 3 first")
    strays = sorted({i for table in tables.values() for i in table} - set(utterances))
    _report(folder, mute, "without a chain of thought")
    _report(folder, deaf, f"without acoustic vectors in {acoustic}")
    _report(folder, bad, "whose audio is of no use")
    _report(folder, strays, "with a chain of thought but not in wav.scp")
    logger.info("%s: %d of %d utterances to learn from", folder, len(items), len(utterances))
    return items


def _read_cot(path: Path) -> dict[str, str]:
    if not path.exists():
        raise ValueError(f"{path}: missing; run stage 3 first")
    return read_table(path)


def _report(folder: Path, names: Collection[str], what: str) -> None:
    if names:
        shown = "; ".join([*names][:SHOWN]) + ("; …" if len(names) > SHOWN else "")
        logger.warning("%s: %d utterances %s: %s", folder, len(names), what, shown)


def hear(item: Item) -> Heard:
    """Read an utterance's audio, and its acoustic vectors where they were extracted.

    Raises:
        ValueError: either is of no use; the message names the utterance.
    """
    vectors = read_matrix(item.acoustic, item.utterance.id) if item.acoustic else None
    return Heard(item, load_wave(item.utterance), vectors)
