"""Utterances, and the data directories they are read from; `c2ser.prep` writes these."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Literal

import numpy as np

from c2ser import audio
from c2ser.log import get_logger
from c2ser.ratings import parse_dimensions, parse_ratings, parse_votes
from c2ser.tables import read_table

logger = get_logger(__name__)

TABLES = ("wav.scp", "text", "utt2spk", "utt2emo", "utt2lang", "utt2dur", "utt2channel", "utt2fold",
          "utt2votes", "utt2vad", "utt2ratings")  # fmt: skip

CUT = "write each into a file first, for example with Kaldi's utils/data/extract_wav_segments_data_dir.sh"
"""What to do with recordings that Kaldi's table `segments` cuts into utterances."""

TRAIN_ONLY, VALID_ONLY = "train", "valid"
"""In place of a fold: no fold tests the utterance, and all folds train or validate on it."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance as a corpus describes it.

    Attributes:
        set: the data directory it belongs to, for example "train".
        speaker: speaker id.
        name: distinguishes it from other utterances of the speaker.
        wav: its audio file.
        emotion: in a data directory one of the seven, or one of the corpus' own classes (`--labels raw`). A recipe
            gives the label of the corpus, which `Corpus.emotions` maps, or one of the seven; None rejects it.
        language: ISO 639-1 code.
        text: transcript; "" where there is none.
        channel: which channel of the file, from 0; None for mono files or the mean. A recipe may say "centre": the
            front centre of six channels, the first of fewer.
        fold: the fold of a published cross-validation that tests it, or `TRAIN_ONLY` or `VALID_ONLY`; None if there
            is none.
        duration: seconds; filled in when a data directory is written.
        session: the session it was recorded in, for leave-one-session-out; None where there is none.
        reject_reason: why it is known to be unusable; it is rejected for this reason.
        start: where in the file it begins, in seconds; None for the beginning. A data directory names files of whole
            utterances, so that the part is written to a file of its own.
        end: where in the file it ends, in seconds; None for the end.
        votes: how many annotators chose each class, or the probabilities of the classes; None where there are none.
        dimensions: any of `ratings.DIMENSIONS`, the mean of the annotators on the corpus' scale; None without any.
        ratings: the value of each annotator by dimension; None where they are not known.
    """

    set: str
    speaker: str
    name: str
    wav: str | Path
    emotion: str | None
    language: str
    text: str
    channel: int | Literal["centre"] | None = None
    fold: str | None = None
    duration: float | None = None
    session: str | None = None
    reject_reason: str | None = None
    start: float | None = None
    end: float | None = None
    votes: Mapping[str, float] | None = None
    dimensions: Mapping[str, float] | None = None
    ratings: Mapping[str, Sequence[float]] | None = None

    @property
    def id(self) -> str:
        """Utterance id: the speaker is its prefix, as Kaldi's sorting wants it."""
        return f"{self.speaker}-{self.name}"


def read_data_dir(folder: str | Path, texts: bool = True) -> dict[str, Utterance]:
    """Read a data directory; `wav.scp` and `utt2spk` must be there, what the other tables lack is "" or None.

    Args:
        folder: the data directory.
        texts: whether transcripts are read; without, they are "" and need no memory.

    Returns:
        utterance by id, in the order of wav.scp.

    Raises:
        ValueError: wav.scp is empty or holds a pipe, an utterance has no speaker, its votes or dimensions cannot be
            read, or there is a table `segments`.
    """
    folder = Path(folder)
    read = [name for name in TABLES if (folder / name).exists() and (texts or name != "text")]
    columns = {**dict.fromkeys(TABLES, {}), **{name: read_table(folder / name) for name in read}}
    if (folder / "segments").exists():
        raise ValueError(f"{folder}/segments: segments of recordings are not read; {CUT}")
    if not columns["wav.scp"]:
        raise ValueError(f"{folder}/wav.scp: missing or empty; run stage 0 first")
    return {i: _read_utterance(i, wav, folder, columns) for i, wav in columns["wav.scp"].items()}


def read_data_dirs(folders: Iterable[str | Path], max_seconds: float = float("inf")) -> dict[str, Utterance]:
    """Read data directories as one set.

    Args:
        folders: data directories.
        max_seconds: longer utterances are not read; their number is logged.

    Returns:
        utterance by id; `set` says which directory it is from.

    Raises:
        ValueError: an utterance stands in two of them, or as `read_data_dir`.
    """
    pooled: dict[str, Utterance] = {}
    for folder in folders:
        utterances = read_data_dir(folder)
        duplicate = next((i for i in utterances if i in pooled), None)
        if duplicate is not None:
            raise ValueError(f"{duplicate}: in {folder} and in another of the data directories; give each set once")
        seconds = dict(durations(utterances, unreadable=0.0))
        kept = {i: utterance for i, utterance in utterances.items() if seconds[i] <= max_seconds}
        if len(kept) < len(utterances):
            logger.info("%s: %d utterances over %g s are not used", folder, len(utterances) - len(kept), max_seconds)
        pooled |= kept
    return pooled


def tested(utterances: Mapping[str, Utterance]) -> dict[str, Utterance]:
    """Return the utterances that a fold may test; others only serve training or validation."""
    return {i: utterance for i, utterance in utterances.items() if utterance.fold not in (TRAIN_ONLY, VALID_ONLY)}


def emotions_of(utterances: Mapping[str, Utterance]) -> dict[str, str]:
    """Return emotion by utterance.

    Raises:
        ValueError: an utterance has none.
    """
    emotions = {i: utterance.emotion for i, utterance in utterances.items() if utterance.emotion}
    unlabelled = next((i for i in utterances if i not in emotions), None)
    if unlabelled is not None:
        raise ValueError(f"{unlabelled}: no emotion in {utterances[unlabelled].set}/utt2emo; complete it")
    return emotions


def _read_utterance(i: str, wav: str, folder: Path, columns: Mapping[str, Mapping[str, str]]) -> Utterance:
    if not wav:
        raise ValueError(f"{i}: no path in {folder}/wav.scp; complete its line")
    if wav.endswith("|") or wav.startswith("|"):
        raise ValueError(f"{i}: {folder}/wav.scp holds a pipe; pipes are never run, write the audio to a file")
    speaker = columns["utt2spk"].get(i)
    if not speaker:
        raise ValueError(f"{i}: no speaker in {folder}/utt2spk; run utils/fix_data_dir.sh {folder}")
    channel, seconds = columns["utt2channel"].get(i), columns["utt2dur"].get(i)
    votes, dimensions, ratings = (columns[name].get(i) for name in ("utt2votes", "utt2vad", "utt2ratings"))
    return Utterance(
        set=folder.name,
        speaker=intern(speaker),  # what many utterances share is kept once
        name=i.removeprefix(f"{speaker}-"),
        wav=wav,
        emotion=intern(columns["utt2emo"].get(i, "")) or None,
        language=intern(columns["utt2lang"].get(i, "")),
        text=columns["text"].get(i, ""),
        channel=_channel(i, folder / "utt2channel", channel) if channel else None,
        fold=columns["utt2fold"].get(i),
        duration=table_number(i, folder / "utt2dur", seconds) if seconds else None,
        votes=parse_votes(i, votes, folder / "utt2votes") if votes else None,
        dimensions=parse_dimensions(i, dimensions, folder / "utt2vad") if dimensions else None,
        ratings=parse_ratings(i, ratings, folder / "utt2ratings") if ratings else None,
    )


def _channel(i: str, path: Path, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{i}: '{text}' in {path} is no number of a channel; write 0 for the first")
    return int(text)


def table_number(i: str, path: str | Path, text: str) -> float:
    """Return the number that a table holds for an utterance.

    Raises:
        ValueError: it is none, negative or not finite; the message names the utterance.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ValueError(f"{i}: '{text}' in {path} is no number from 0; write it anew")
    return number


def wave(utterance: Utterance) -> np.ndarray:
    """Return the utterance's waveform: mono float32 at 16 kHz, shape (samples,).

    Raises:
        ValueError: as `audio.load`; the message names the utterance.
    """
    return audio.load(utterance.wav, utterance.id, utterance.channel)


def durations(utterances: Mapping[str, Utterance], unreadable: float | None = None) -> Iterator[tuple[str, float]]:
    """Yield (id, seconds), from utt2dur or, where it is missing, from the audio file's header.

    Args:
        utterances: by id.
        unreadable: seconds to give for a file whose header cannot be read; None raises.

    Raises:
        ValueError: a header cannot be read; the message names the utterance.
    """
    for i, utterance in utterances.items():
        try:
            yield i, utterance.duration or audio.duration(utterance.wav, i)
        except ValueError:
            if unreadable is None:
                raise
            yield i, unreadable
