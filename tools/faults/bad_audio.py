"""Bad audio: damaged headers, odd formats, samples that no recording has."""

import functools
import io
import os
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from c2ser import audio
from c2ser.attributes.loudness import loudness
from c2ser.prep.segments import cut
from faults.row import Gives, Refused, Row

RATE = 16000

TONE = (0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)).astype(np.float32)
"""A second of sound."""


def encoded(samples: np.ndarray = TONE, rate: int = RATE, **form: str) -> bytes:
    """Return sound as the content of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", **form})
    return file.getvalue()


def _pcm(samples: np.ndarray = TONE) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _seconds(path: Path) -> float:
    """Read a file in all ways; they must agree."""
    whole = audio.load(path, "bad")
    blocks = sum(len(block) for block in audio.stream(path, "bad"))
    seconds = audio.duration(path, "bad")
    if blocks != len(whole) or abs(seconds - len(whole) / RATE) > 0.001:
        raise AssertionError(f"three lengths: {len(whole)}, {blocks} samples, {seconds} s")
    return round(len(whole) / RATE, 2)


def _patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield from _headers()
    yield from _formats()
    yield from _samples()
    yield from _parts()
    yield from _no_files()


def _headers() -> Iterator[Row]:
    good = _pcm()

    def header(name: str, content: bytes, must: Refused | Gives | None = None) -> Row:
        return Row("audio headers", name, _seconds, content, must or Refused(), ".wav")

    yield header("good", good, Gives(1.0))
    yield header("no bytes", b"")
    for size in (1, 4, 12, 20, 36, 43, 44):
        yield header(f"the first {size} bytes", good[:size])
    for share in (0.25, 0.5, 0.99):
        yield header(f"the first {share:.0%}", good[: int(share * len(good))])
    yield header("a byte too few", good[:-1])
    yield header("bytes after the end", good + b"junk" * 10, Gives(1.0))
    yield header("a data chunk of 0 bytes, sound follows", _patched(good, 40, b"\0" * 4), Gives(1.0))
    yield header("a data chunk of 4 GB less one", _patched(good, 40, b"\xff" * 4), Gives(1.0))
    yield header("a data chunk of 2 GB", _patched(good, 40, struct.pack("<I", 1 << 31)))
    yield header("0 Hz", _patched(good, 24, struct.pack("<I", 0)))
    yield header("4 GHz", _patched(good, 24, b"\xff" * 4), Refused(""))
    yield header("0 channels", _patched(good, 22, b"\0\0"))
    yield header("65,535 channels", _patched(good, 22, b"\xff\xff"), Refused(""))
    yield header("0 bits", _patched(good, 34, b"\0\0"), Refused(""))
    yield header("a format that nobody knows", _patched(good, 20, b"\x77\x77"))
    yield header("RIFX", _patched(good, 0, b"RIFX"))
    yield header("no WAVE", _patched(good, 8, b"WAVX"))
    for name, content in {
        "a web page": b"<!DOCTYPE html><html><body>404</body></html>", "text": b"no sound\n" * 50,
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "zeros": bytes(5000), "a zip": b"PK\3\4" + bytes(100), "JSON": b'{"error": "quota"}',
        "a playlist": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "XML": b"<?xml version='1.0'?><a/>",
        "a concat script": b"ffconcat version 1.0\nfile /etc/passwd\n", "an SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
    }.items():  # fmt: skip
        yield header(name, content)
    flac = encoded(format="FLAC")
    yield header("a good flac named wav", flac, Gives(1.0))
    for size in (4, 30, 60, len(flac) // 2, len(flac) - 20):
        yield Row("audio headers", f"the first {size} bytes of a flac", _seconds, flac[:size], suffix=".flac")
    broken = bytearray(flac)
    broken[len(flac) // 2 : len(flac) // 2 + 40] = bytes(40)
    yield Row("audio headers", "a flac with a hole", _seconds, bytes(broken), suffix=".flac")


def _formats() -> Iterator[Row]:
    def form(name: str, content: bytes, suffix: str = ".wav") -> Row:
        return Row("audio formats", name, _seconds, content, Gives(1.0), suffix)

    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
        yield form(f"wav, {subtype}", encoded(subtype=subtype))
    for kind in ("RF64", "W64", "AIFF", "AU", "CAF", "WAVEX"):
        yield form(kind, encoded(format=kind, subtype="PCM_16"), f".{kind.lower()}")
    yield form("ogg vorbis", encoded(format="OGG", subtype="VORBIS"), ".ogg")
    for rate in (4000, 8000, 11025, 22050, 44100, 44101, 48000, 96000, 191999, 192000):
        samples = np.resize(TONE, rate)
        yield form(f"{rate} Hz", encoded(samples, rate, subtype="PCM_16"))
    for channels in (2, 3, 6, 8, 64):
        yield form(f"{channels} channels", encoded(np.repeat(TONE[:, None], channels, 1), subtype="PCM_16"))


def _samples() -> Iterator[Row]:
    def made(name: str, samples: Any, must: Refused | Gives) -> Row:
        content = encoded(np.asarray(samples, np.float32), subtype="FLOAT")
        return Row("samples", name, _loudness, content, must, ".wav")

    one = np.array([1.0], np.float32)
    for value in (np.nan, np.inf, -np.inf, 3e38, 1e30, 2e9):
        yield made(f"a sample of {value}", np.concatenate([TONE, value * one, TONE]), Refused())
        yield made(f"nothing but {value}", np.full(RATE, value), Refused())
    yield made("nothing but zeros", np.zeros(RATE), Refused())
    yield made("nothing but one value", np.full(RATE, 0.25), Refused())
    yield made("one sample", one, Refused())
    yield made("no sample", one[:0], Refused())
    yield made("samples of 32,768", 32768 * TONE, Gives(np.isfinite))
    yield made("samples of 1e-20", 1e-20 * TONE, Refused())
    yield made("clipped", np.clip(20 * TONE, -1, 1), Gives(np.isfinite))
    yield made("0.3 s", TONE[:4800], Gives(np.isfinite))
    yield made("an offset", TONE + 0.5, Gives(np.isfinite))


def _loudness(path: Path) -> float:
    return loudness(audio.check_sound(audio.load(path, "bad"), "bad"), "bad")


def _parts() -> Iterator[Row]:
    whole = (0.0, 1.0)
    for start, end in (
        (2, 3),
        (0.5, 9),
        (-1, 1),
        (0.5, 0.5),
        (0.9, 0.1),
        (float("nan"), 1),
        (0, float("inf")),
        (1, None),
    ):
        yield Row(
            "parts", f"from {start} to {end} s of 1 s", functools.partial(_part, (start, end)), _pcm(), suffix=".wav"
        )
    for start, end in (whole, (0.25, 0.75), (0.0, 1.05), (0.5, None)):
        long = ((end or 1.0) if (end or 1.0) <= 1 else 1.0) - start
        stage = functools.partial(_part, (start, end))
        yield Row("parts", f"from {start} to {end} s of 1 s", stage, _pcm(), Gives(long), ".wav")
    yield Row("parts", "of no audio", functools.partial(_part, whole), b"text", suffix=".wav")


def _part(span: tuple[float, float | None], path: Path) -> float:
    return audio.duration(cut(path, path.parent / "parts", "bad", *span), "bad")


def _no_files() -> Iterator[Row]:
    for name, make in {
        "no file": lambda path: None, "a folder": lambda path: path.mkdir(), "a pipe": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"), "a link to itself": lambda path: path.symlink_to(path),
        "a link to nothing": lambda path: path.symlink_to("nothing"),
        "a terminal": lambda path: path.symlink_to("/dev/tty"),
        "memory": lambda path: path.symlink_to("/proc/self/mem"),
    }.items():  # fmt: skip
        yield Row("no files", name, _seconds, make, suffix=".wav")
