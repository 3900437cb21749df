"""The sound of video clips as wav files: every epoch would separate it from the pictures anew."""

from pathlib import Path

from c2ser import audio
from c2ser.machine import raise_if_of_machine
from c2ser.prep.segments import write_wav

VIDEO = frozenset({".mp4", ".avi", ".mkv", ".mov", ".flv", ".webm", ".m4a"})
"""Endings of files in which there may be pictures beside the sound."""


def extract(path: Path, wav: Path, utterance: str, channel: audio.Channel = None) -> Path:
    """Write the sound of a clip as a wav file, 16 kHz, 16 bit, mono, unless it is there and newer; return its path.

    Args:
        path: the clip.
        wav: the file to write.
        utterance: its id, for messages.
        channel: as `audio.load`.

    Raises:
        ValueError: the clip cannot be read or has no sound.
    """
    try:
        changed = path.stat().st_mtime
        if wav.exists() and wav.stat().st_mtime >= changed:
            return wav
    except OSError as error:
        raise_if_of_machine(error, utterance)
        raise ValueError(f"{utterance}: cannot read {path} ({error.strerror or error}); re-download it") from None
    write_wav(wav, audio.load(path, utterance, channel))
    return wav
