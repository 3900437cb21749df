"""The training data of C²SER: utterances with their chains of thought."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2ser import audio, corpus
from c2ser.corpus import Utterance
from c2ser.data.arks import read_matrix
from c2ser.data.kept_texts import KeptTable, KeptTexts
from c2ser.log import get_logger
from c2ser.tables import read_table

logger = get_logger(__name__)

MIN_SECONDS = 0.1
"""Shorter audio is refused: it holds no speech, and the encoders need some frames."""

MAX_SECONDS = 30.0
"""Longer audio is refused: Whisper has no positions for it."""

SHOWN = 5
"""At most this many utterances are named in a message."""


@dataclass(frozen=True, slots=True)
class Item:
    """An utterance of the training or validation set.

    Attributes:
        utterance: its entry in the data directory; `text` is empty unless it was asked for.
        seconds: its duration.
        answers: chain of thought by style ("explicit", "implicit"), read from the disk when it is asked for.
        acoustic: position of its acoustic vectors, as `file.ark:offset`; None if they are computed on the fly.
    """

    utterance: Utterance
    seconds: float
    answers: Mapping[str, str]
    acoustic: str | None = None


@dataclass(frozen=True)
class LoadedItem:
    """An utterance with its audio.

    Attributes:
        item: the utterance.
        wave: its waveform, (samples,).
        acoustic: its acoustic vectors, (rows, dim), or None if they are computed on the fly.
    """

    item: Item
    wave: np.ndarray
    acoustic: np.ndarray | None


def check_wave(wave: np.ndarray, utterance: str, longest: float = MAX_SECONDS) -> np.ndarray:
    """Return a waveform (samples,) if the model can take it.

    Raises:
        ValueError: it is too short or too long.
    """
    check_seconds(len(wave) / audio.SAMPLE_RATE, utterance, longest)
    return wave


def check_seconds(seconds: float, utterance: str, longest: float = MAX_SECONDS) -> None:
    """Refuse a duration (s) that the model cannot take.

    Raises:
        ValueError: it is too short or too long.
    """
    if seconds < MIN_SECONDS:
        raise ValueError(f"{utterance}: {seconds:.2f} s, under the model's {MIN_SECONDS} s; remove it")
    if seconds > longest:
        raise ValueError(f"{utterance}: {seconds:.1f} s, over the model's {longest:.0f} s; cut it into utterances")


def load_wave(utterance: Utterance, longest: float = MAX_SECONDS) -> np.ndarray:
    """Read an utterance's waveform (samples,), 16 kHz, up to `longest` seconds.

    Raises:
        ValueError: its audio is unreadable, too short or too long; the message names the utterance.
    """
    return check_wave(corpus.wave(utterance), utterance.id, longest)


def read_items(
    folder: str | Path, styles: Sequence[str], acoustic: str | Path | None = None, texts: bool = False
) -> dict[str, Item]:
    """Read the utterances of a data directory that have a chain of thought of every style.

    Utterances are rejected, counted and named in the log if they have no chain of thought, no acoustic vectors, or
    audio of a length that the model cannot take.

    Args:
        folder: data directory.
        styles: the chains of thought that are needed; there may be none.
        acoustic: folder with `<name of the data directory>.scp`, as `extract_embeddings` writes it; None if acoustic
            vectors are computed on the fly.
        texts: whether the utterances have their transcripts.

    Raises:
        ValueError: a table is missing, or every utterance is rejected.
    """
    folder = Path(folder)
    utterances = corpus.read_data_dir(folder, texts=texts)
    tables = {style: _open_cot(folder / f"cot_{style}") for style in styles}
    vectors = read_table(Path(acoustic) / f"{folder.resolve().name}.scp") if acoustic else None
    items: dict[str, Item] = {}
    rejected: dict[str, list[str]] = defaultdict(list)  # messages by reason
    for name, utterance in utterances.items():
        if not all(name in table.starts for table in tables.values()):
            rejected["without a chain of thought"].append(name)
        elif vectors is not None and name not in vectors:
            rejected[f"without acoustic vectors in {acoustic}"].append(name)
        else:
            try:
                seconds = utterance.duration or audio.duration(utterance.wav, name)
                check_seconds(seconds, name)
                acoustic_vectors = None if vectors is None else vectors[name]
                items[name] = Item(utterance, seconds, KeptTexts(name, tables), acoustic_vectors)
            except ValueError as error:
                rejected["with unusable audio"].append(str(error))
    if not items:
        lacking = "audio and a chain of thought; run stage 3 first" if styles else "usable audio; run stage 0 first"
        raise ValueError(f"{folder}: no utterance with {lacking}")
    if unknown := sorted({name for table in tables.values() for name in table.rows() if name not in utterances}):
        rejected["with a chain of thought but not in wav.scp"] = unknown
    for reason, messages in rejected.items():
        shown = "; ".join(messages[:SHOWN]) + ("; …" if len(messages) > SHOWN else "")
        logger.warning("%s: rejected %d utterances %s: %s", folder, len(messages), reason, shown)
    logger.info("%s: %d of %d utterances are used", folder, len(items), len(utterances))
    return items


def _open_cot(path: Path) -> KeptTable:
    if not path.exists():
        if path.name == "cot_explicit" and not path.with_name("text").exists():
            raise ValueError(f"{path}: missing, for {path.with_name('text')} is missing and explicit chains of thought "
                             "quote words; add transcripts, or start from an implicit model")  # fmt: skip
        raise ValueError(f"{path}: missing; run stage 3 first")
    return KeptTable(path)


def load_item(item: Item) -> LoadedItem:
    """Load an utterance's audio, and its acoustic vectors if they were extracted.

    Raises:
        ValueError: either is unusable; the message names the utterance.
    """
    vectors = read_matrix(item.acoustic, item.utterance.id) if item.acoustic else None
    return LoadedItem(item, load_wave(item.utterance), vectors)
