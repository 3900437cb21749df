"""Emotions for files and folders of audio, as one tab-separated table."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from c2ser import audio
from c2ser.data.datasets import check_seconds
from c2ser.data.prefetch import read_ahead
from c2ser.data.sampler import by_length
from c2ser.emotions import EMOTIONS
from c2ser.log import get_logger
from c2ser.model.c2ser import C2SER
from c2ser.model.config import DecodeConfig
from c2ser.model.recognition import Recognition, load_source, recognise
from c2ser.tables import write_text

logger = get_logger(__name__)

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus"}
"""What is taken for audio in a folder."""


def predict_files(
    model: C2SER,
    sources: Sequence[Path],
    out: Path | TextIO,
    language: str | None,
    answers: bool,
    config: DecodeConfig,
) -> None:
    """Write one line for each audio file: its path, emotion, seven probabilities and answer.

    Files that cannot be heard are named in the log and left out.

    Args:
        model: the model.
        sources: audio files, and folders that are searched for them.
        out: a stream, written batch by batch, or a file, written when all is done.
        language: ISO 639-1 code of all files, or None.
        answers: whether to answer in words.
        config: how answers are searched for.

    Raises:
        ValueError: there is no audio, or none that can be heard.
    """
    paths = [*find_audio(sources)]
    stream = io.StringIO() if isinstance(out, Path) else out
    # no field holds a tab or a line break, so nothing is ever quoted
    table = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    table.writerow(["file", "emotion", *EMOTIONS, "answer"])
    done = 0
    for waves in _batches(paths, config):
        for name, one in recognise(model, waves, dict.fromkeys(waves, language), config, answers).items():
            table.writerow(_row(name, one))
            done += 1
        stream.flush()
    if not done:
        raise ValueError(f"{paths[0]}: not one of {len(paths)} files can be heard; see the messages above")
    if isinstance(out, Path):
        write_text(out, stream.getvalue())


def find_audio(sources: Sequence[Path]) -> Iterator[str]:
    """Yield the audio files among files and, sorted, in folders.

    Raises:
        ValueError: a source is not there, or a folder holds no audio.
    """
    for source in sources:
        found = [source]
        if source.is_dir():
            found = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            if not found:
                raise ValueError(f"{source}: no audio in this folder ({', '.join(sorted(SUFFIXES))}); choose another")
        elif not source.exists():
            raise ValueError(f"{source}: no such file; check the path")
        yield from map(str, found)


def _batches(paths: Sequence[str], config: DecodeConfig) -> Iterator[dict[str, np.ndarray]]:
    """Yield waveforms (samples,) by path; files that cannot be heard are named and left out."""
    seconds: dict[str, float] = {}
    for path in paths:
        try:
            if not path.isprintable():
                raise ValueError(f"{path!r}: its name holds control characters; rename it")
            seconds[path] = audio.duration(path, path)
            check_seconds(seconds[path], path, audio.MAX_SECONDS)
        except ValueError as error:
            seconds.pop(path, None)
            logger.warning("left out: %s", error)
    for batch in read_ahead(by_length(seconds, config.batch_seconds, config.batch_utterances), load_source):
        for name, flaw in batch.flaws.items():
            logger.warning("left out: %s: %s", name, flaw)
        if batch.found:
            yield batch.found


def _row(name: str, one: Recognition) -> list[str]:
    probabilities = [f"{one.probabilities[emotion]:.4f}" for emotion in EMOTIONS]
    return [name, one.emotion, *probabilities, " ".join(one.answer.split())]
