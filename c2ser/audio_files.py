"""Opens audio files of any format and yields their samples in blocks: libsndfile reads what it knows, PyAV the rest."""

import itertools
import os
import struct
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile

from c2ser.machine import raise_if_of_machine

if TYPE_CHECKING:
    import av

FRAMES = 1 << 18
"""Samples of each channel in a block, at most; some seconds."""

HEAD = 512
"""Bytes of a file in which its chunk of audio is looked for first."""

UNKNOWN = 1 << 60
"""What libsndfile gives as a length that it does not know, or more."""

LOST = 0.5
"""Seconds that an mp4 may declare beyond what is in it."""

SAFE = {
    "format_whitelist": "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,rm,tta,voc,w64,wav,wv",
    "protocol_whitelist": "none",
}
"""What PyAV may open. Playlists are no containers of sound: they name other files, and addresses, to be read."""


@dataclass
class AudioFile:
    """An open audio file.

    Attributes:
        rate: samples per second.
        channels: how many.
        declared: samples of each channel by its header; None where the header cannot be trusted.
        blocks: the samples, float32 (samples, channels) each, to be read once.
    """

    rate: int
    channels: int
    declared: int | None
    blocks: Iterator[np.ndarray]


@contextmanager
def open_audio(source: str | Path | IO[bytes], name: str, start: float = 0.0) -> Iterator[AudioFile]:
    """Open an audio file.

    Args:
        source: a path, or a binary file that can be read and sought.
        name: of the utterance or recording, for messages.
        start: seconds before the first sample of the blocks; there are no blocks if the file is shorter.

    Raises:
        ValueError: unreadable, empty or truncated; this may show only when the blocks are read.
        MachineError: the machine failed, which is no fault of the file.
    """
    with ExitStack() as stack:
        if isinstance(source, str | Path):
            file, what = stack.enter_context(_open_file(Path(source), name)), str(source)
        else:
            file, what = source, name
        what = "it" if what == name else what
        try:
            _check_size(file, name, what)
            file.seek(0)
        except OSError as error:
            raise_if_of_machine(error, name)
            raise ValueError(f"{name}: cannot read {what} ({error.strerror}); check the disk it is on") from None
        opened = _open_sndfile(source, name)  # a path is read faster than an open file
        if opened is not None:
            stack.enter_context(opened)
            if _length_is_known(opened, file):
                first = round(start * opened.samplerate)
                # in mp3 of variable bit rate libsndfile guesses where a sample lies, so those before are read
                seek, drop = (0, first) if opened.format == "MP3" else (first, 0)
                blocks = _without(_sndfile_blocks(opened, file, name, what, seek), drop)
                yield AudioFile(opened.samplerate, opened.channels, opened.frames, blocks)
                return
        file.seek(0)
        decoded = stack.enter_context(closing(_av_blocks(file, name, what)))
        rate, first = next(decoded)
        blocks = itertools.chain([first], (block for _, block in decoded))
        yield AudioFile(rate, first.shape[1], None, _without(blocks, round(start * rate)))


def _open_file(path: Path, name: str) -> IO[bytes]:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe could wait for ever
            raise ValueError(f"{name}: {path} is a pipe or a device; write the audio to a file")
        return open(path, "rb")
    except OSError as error:
        raise_if_of_machine(error, name)
        raise ValueError(f"{name}: cannot read {path} ({error.strerror}); check the path") from None


def _open_sndfile(source: str | Path | IO[bytes], name: str) -> soundfile.SoundFile | None:
    try:
        return soundfile.SoundFile(os.fsencode(source) if isinstance(source, str | Path) else source)
    except (soundfile.LibsndfileError, OSError):
        if isinstance(source, str | Path):
            _open_file(Path(source), name).close()  # libsndfile does not say that no further file may be opened
        return None


def _length_is_known(opened: soundfile.SoundFile, file: IO[bytes]) -> bool:
    """Return whether libsndfile knows how long a file is: streaming writers leave that out, and it guesses for mp3."""
    return 0 < opened.frames < UNKNOWN and (opened.format != "MP3" or _mp3_has_length(file))


def _mp3_has_length(file: IO[bytes]) -> bool:
    """Return whether the first frame of an mp3 file, after the tag with its title, says how many there are."""
    place = file.tell()  # libsndfile may be reading the same open file
    file.seek(0)
    tag = file.read(10)
    tag_size = 0
    for byte in tag[6:10] if tag[:3] == b"ID3" else b"":
        tag_size = tag_size << 7 | byte & 0x7F
    file.seek(10 + tag_size if tag_size else 0)
    head = file.read(HEAD)
    file.seek(place)
    return b"Xing" in head or b"Info" in head


def _without(blocks: Iterable[np.ndarray], first: int) -> Iterator[np.ndarray]:
    """Yield blocks without their first samples."""
    for block in blocks:
        if len(block) > first:
            yield block[first:]
        first = max(0, first - len(block))


def _sndfile_blocks(
    opened: soundfile.SoundFile, file: IO[bytes], name: str, what: str, first: int
) -> Iterator[np.ndarray]:
    number = min(first, opened.frames)
    try:
        if number:
            opened.seek(number)
        while len(block := opened.read(FRAMES, dtype="float32", always_2d=True)):
            number += len(block)
            yield block
    except (soundfile.LibsndfileError, OSError) as error:
        _check_disk(file, name)
        reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
        raise ValueError(f"{name}: cannot read {what} ({reason}); check or re-download it") from None
    if number < opened.frames:
        raise ValueError(f"{name}: truncated, {number} of {opened.frames} samples; re-download {what}")


def _av_blocks(file: IO[bytes], name: str, what: str) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield rate and block of the first sound track; the rate is always the same, and there is at least one block."""
    import av  # a fifth of a second, and most corpora do without

    try:
        with av.open(file, "r", options=SAFE) as container:
            if not container.streams.audio:
                raise ValueError(f"{name}: no sound in {what}; remove it or re-download")
            stream = container.streams.audio[0]
            declared, exact = _declared(container, stream)
            number, rate = 0, 0
            for rate, block in _joined(_av_frames(container.decode(stream))):
                # encoders fill up the last frame with silence, which is no part of the recording
                block = block[: round(declared * rate) - number] if exact else block
                number += len(block)
                if len(block):
                    yield rate, block
    except av.FFmpegError as error:
        _check_disk(file, name)
        reason = "no kind of audio" if isinstance(error, av.ArgumentError) else error.strerror
        raise ValueError(f"{name}: cannot read {what} ({reason}); check or re-download it") from None
    if not number:
        raise ValueError(f"{name}: 0 samples in {what}; remove it or re-download")
    if number / rate < declared - LOST:
        raise ValueError(f"{name}: truncated, {number / rate:.1f} of {declared:.1f} s; re-download {what}")


def _declared(container: "av.container.InputContainer", stream: "av.AudioStream") -> tuple[float, bool]:
    """Return the seconds that a file says it holds, 0 where it does not say; and whether that is true to the sample."""
    name = container.format.name
    if name.startswith("mov") and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base), True
    # Matroska and WebM say it in milliseconds, of all tracks together; what FFmpeg says of one of them is a guess
    if name.startswith("matroska") and len(container.streams) == 1 and stream.duration is None:
        return (container.duration or 0) / 1e6, False
    return 0.0, False


def _av_frames(frames: Iterable["av.AudioFrame"]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield rate and samples of each frame, (samples, channels) float32; rate and channels stay those of the first."""
    import av

    resampler: av.AudioResampler | None = None
    rate = 0
    for frame in itertools.chain(frames, [None]):  # None: what the resampler still holds
        if resampler is None and frame is not None:  # the header of the container may give another rate
            rate = frame.sample_rate
            resampler = av.AudioResampler("fltp", frame.layout, rate)
        for block in resampler.resample(frame) if resampler else []:
            yield rate, block.to_ndarray().T


def _joined(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield larger blocks than the twentieths of a second that decoders give."""
    waiting: list[np.ndarray] = []
    number = rate = 0
    for rate, block in blocks:
        waiting.append(block)
        number += len(block)
        if number >= FRAMES:
            yield rate, np.concatenate(waiting)
            waiting, number = [], 0
    if number:
        yield rate, np.concatenate(waiting)


def _check_disk(file: IO[bytes], name: str) -> None:
    """Raise a MachineError if the bytes of a file cannot be read: decoders do not tell that from damage."""
    try:
        file.seek(0)
        while file.read(1 << 20):
            pass
    except OSError as error:
        raise_if_of_machine(error, name)


class _Chunks(NamedTuple):
    """How a kind of file is divided into chunks.

    Attributes:
        start: offset of the first chunk.
        header: struct of a chunk's name and length.
        name: begin of the name of the chunk with the audio.
        multiple: chunks begin at multiples of so many bytes.
        inclusive: whether the length counts the chunk's header too.
    """

    start: int
    header: str
    name: bytes
    multiple: int
    inclusive: bool = False


CHUNKS = {
    b"RIFF": _Chunks(12, "<4sI", b"data", 2),
    b"FORM": _Chunks(12, ">4sI", b"SSND", 2),
    b"caff": _Chunks(8, ">4sq", b"data", 1),
    b"riff": _Chunks(40, "<16sQ", b"data", 8, inclusive=True),
}
"""By the first bytes: wav, aiff, caf, w64."""


def _check_size(file: IO[bytes], name: str, what: str) -> None:
    """Refuse an empty file, and one that declares more than it holds: libsndfile reads that without a word."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise ValueError(f"{name}: {what} is empty; re-download it")
    file.seek(0)
    head = file.read(HEAD)
    # the chunk is nearly always near the front; long headers are read only where they are
    declared = _data_chunk(head) or (_data_chunk(head + file.read(65536)) if head[:4] in CHUNKS else None)
    # 0, 2^32-1 and -1 are what streaming writers leave in the header when they cannot know the length
    if declared and declared[1] > 0 and declared[1] != 0xFFFFFFFF and sum(declared) > size:
        raise ValueError(f"{name}: truncated, {size - declared[0]} of {declared[1]} bytes of audio; re-download {what}")


def _data_chunk(head: bytes) -> tuple[int, int] | None:
    """Return (offset, declared bytes) of the audio in a file, or None where there is none to find."""
    if head[:4] == b".snd" and len(head) >= 12:  # au has no chunks
        return struct.unpack(">II", head[4:12])
    kind = CHUNKS.get(head[:4])
    if kind is None or (head[:4] == b"RIFF" and head[8:12] != b"WAVE"):  # avi files are RIFF too
        return None
    position, length_of_header = kind.start, struct.calcsize(kind.header)
    while position + length_of_header <= len(head):
        name, length = struct.unpack_from(kind.header, head, position)
        length -= length_of_header if kind.inclusive else 0
        position += length_of_header
        if name.startswith(kind.name):
            return position, length
        if length < 0:
            return None
        position += -(-length // kind.multiple) * kind.multiple
    return None
