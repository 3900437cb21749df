"""Emotions for files and folders of audio, as one tab-separated table."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from c2ser import audio
from c2ser.data.datasets import check_seconds
from c2ser.data.prefetch import prefetch_batches
from c2ser.data.sampler import by_length
from c2ser.emotions import EMOTIONS
from c2ser.log import get_logger
from c2ser.model.c2ser import C2SER
from c2ser.model.config import DecodeConfig
from c2ser.model.recognition import Recognition, load_source
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

    Unusable files are rejected: the log names them with the reason.

    Args:
        model: the model.
        sources: audio files, and folders that are searched for them.
        out: a stream, written batch by batch, or a file, written when all is done.
        language: ISO 639-1 code of all files, or None.
        answers: whether the model answers in words.
        config: how answers are decoded.

    Raises:
        ValueError: there is no audio, or none that is usable.
    """
    paths = [*find_audio(sources)]
    text = io.StringIO()
    stream = text if isinstance(out, Path) else out
    # no field holds a tab or a line break, so nothing is ever quoted
    table = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    table.writerow(["file", "emotion", *EMOTIONS, "answer"])
    done = 0
    for waves in _batches(paths, config):
        for name, result in model.recognise(waves, dict.fromkeys(waves, language), config, answers).items():
            table.writerow(_row(name, result))
            done += 1
        stream.flush()
    if not done:
        raise ValueError(f"{paths[0]}: not one of {len(paths)} files is usable; see the messages above")
    if isinstance(out, Path):
        write_text(out, text.getvalue())


def find_audio(sources: Sequence[Path]) -> Iterator[str]:
    """Yield the audio files among files and, sorted, in folders.

    Raises:
        ValueError: a source is not there, or a folder holds no audio.
    """
    for source in sources:
        paths = [source]
        if source.is_dir():
            paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            if not paths:
                raise ValueError(f"{source}: no audio in this folder ({', '.join(sorted(SUFFIXES))}); choose another")
        elif not source.exists():
            raise ValueError(f"{source}: no such file; check the path")
        yield from map(str, paths)


def _batches(paths: Sequence[str], config: DecodeConfig) -> Iterator[dict[str, np.ndarray]]:
    """Yield waveforms (samples,) by path; unusable files are logged."""
    seconds: dict[str, float] = {}
    for path in paths:
        try:
            if not path.isprintable():
                raise ValueError(f"{path!r}: its name holds control characters; rename it")
            seconds[path] = audio.duration(path, path)
            check_seconds(seconds[path], path, audio.MAX_SECONDS)
        except ValueError as error:
            seconds.pop(path, None)
            logger.warning("rejected: %s", error)
    for batch in prefetch_batches(by_length(seconds, config.batch_seconds, config.batch_utterances), load_source):
        for name, reason in batch.rejected.items():
            logger.warning("rejected: %s: %s", name, reason)
        if batch.items:
            yield batch.items


def _row(name: str, result: Recognition) -> list[str]:
    probabilities = [f"{result.probabilities[emotion]:.4f}" for emotion in EMOTIONS]
    return [name, result.emotion, *probabilities, " ".join(result.answer.split())]
