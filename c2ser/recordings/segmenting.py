"""Cuts recordings, which come in blocks, into pieces that a model can take; only the piece in work is in memory."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.data.datasets import MIN_SECONDS
from c2ser.recordings.turns import Turn, speaker_at, split
from c2ser.recordings.vad import FRAME, MARGIN, ON, Detector, Regions

Span = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True)
class Piece:
    """A part of a recording for the model, up to 30 s; one or more of them make a segment.

    Attributes:
        segment: number of its segment in the channel, in the order of the output.
        start: seconds.
        end: seconds.
        wave: (samples,) at 16 kHz; None where nobody speaks.
        speaker: who speaks; None if that is not known.
    """

    segment: int
    start: float
    end: float
    wave: np.ndarray | None
    speaker: str | None = None


class Cutter(ABC):
    """Cuts one channel, which comes in blocks, into pieces.

    Args:
        turns: who speaks when.
    """

    def __init__(self, turns: Sequence[Turn] = ()) -> None:
        self.turns, self.detector = turns, Detector()
        self.wave, self.offset = np.zeros(0, np.float32), 0  # what is kept of the recording, and where that begins

    @property
    def end(self) -> int:
        """The number of samples that have come."""
        return self.offset + len(self.wave)

    def push(self, block: np.ndarray, last: bool = False) -> Iterator[Piece]:
        """Take the next samples, (samples,); yield the pieces that are complete."""
        self.wave = np.concatenate([self.wave, block])
        yield from self._cut(self.detector.push(block, last), last)

    def _part(self, start: int, end: int) -> np.ndarray:
        return self.wave[start - self.offset : end - self.offset]

    def _forget(self, start: int) -> None:
        """Drop what comes before a sample."""
        if start > self.offset:
            self.wave, self.offset = self.wave[start - self.offset :].copy(), start

    @abstractmethod
    def _cut(self, probabilities: np.ndarray, last: bool) -> Iterator[Piece]: ...


class SpeechCutter(Cutter):
    """Cuts a channel into stretches of speech."""

    def __init__(self, turns: Sequence[Turn] = ()) -> None:
        super().__init__(turns)
        self.regions, self.number, self.done = Regions(), 0, 0

    def _cut(self, probabilities: np.ndarray, last: bool) -> Iterator[Piece]:
        for region in self.regions.push(probabilities.tolist(), last):
            start = max(self.done, (region.start - MARGIN) * FRAME)
            yield from self._emit(start, min(region.end * FRAME, self.end))
        if self.regions.start is None:
            self._forget(max(self.done, self.end - (MARGIN + 2) * FRAME))
            return
        # speech without a pause: what can be cut off for certain leaves the memory
        start = max(self.done, (self.regions.start - MARGIN) * FRAME, self.offset)
        known = min(self.regions.voiced * FRAME, self.end)
        while place := audio.first_cut(self._part(start, known)):
            yield from self._emit(start, start + place)
            start = self.done
        self._forget(start)

    def _emit(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the pieces of a stretch of speech; each is a segment of its own."""
        self.done = max(self.done, end)
        for left, right, speaker in split(start / SAMPLE_RATE, end / SAMPLE_RATE, self.turns):
            begin = round(left * SAMPLE_RATE)
            for wave in audio.pieces(self._part(begin, round(right * SAMPLE_RATE))):
                place = begin / SAMPLE_RATE, (begin + len(wave)) / SAMPLE_RATE
                yield Piece(self.number, *place, wave.copy(), speaker)
                self.number, begin = self.number + 1, begin + len(wave)


class SpanCutter(Cutter):
    """Cuts given spans out of a channel; they may overlap.

    Args:
        spans: the spans, each a segment; an endless iterator must be in order.
        turns: who speaks when.
    """

    def __init__(self, spans: Iterable[Span], turns: Sequence[Turn] = ()) -> None:
        super().__init__(turns)
        self.voiced: list[int] = []  # frames
        numbered = enumerate(spans) if isinstance(spans, Iterator) else sorted(enumerate(spans), key=lambda s: s[1])
        self.coming = iter(numbered)
        self.next = next(self.coming, None)
        self.open: dict[int, list[int]] = {}  # by number: the sample from which on it is to be cut, and its end
        self.frames = 0

    def _cut(self, probabilities: np.ndarray, last: bool) -> Iterator[Piece]:
        self.voiced += (np.flatnonzero(probabilities >= ON) + self.frames).tolist()
        self.frames += len(probabilities)
        while self.next is not None and self.next[1][0] * SAMPLE_RATE < self.end:
            number, (start, end) = self.next
            self.open[number] = [round(start * SAMPLE_RATE), _sample(end)]
            self.next = next(self.coming, None)
        for number, (start, end) in [*self.open.items()]:
            yield from self._window(number, start, end, last)
        oldest = min((start for start, _ in self.open.values()), default=self.end)
        self._forget(min(oldest, self.end))
        self.voiced = [frame for frame in self.voiced if (frame + 1) * FRAME > self.offset]

    def _window(self, number: int, start: int, end: int, last: bool) -> Iterator[Piece]:
        """Yield what is complete of a span."""
        whole = last or end <= self.frames * FRAME
        until = min(end, self.end) if whole else min(self.frames * FRAME, self.end)
        if whole:
            del self.open[number]
            for wave in audio.pieces(self._part(start, until)):
                yield self._piece(number, start, wave)
                start += len(wave)
            return
        while place := audio.first_cut(self._part(start, until)):
            yield self._piece(number, start, self._part(start, start + place))
            start += place
        self.open[number][0] = start

    def _piece(self, number: int, start: int, wave: np.ndarray) -> Piece:
        end = start + len(wave)
        voiced = any(start < (frame + 1) * FRAME and frame * FRAME < end for frame in self.voiced)
        usable = voiced and len(wave) >= MIN_SECONDS * SAMPLE_RATE
        times = start / SAMPLE_RATE, end / SAMPLE_RATE
        return Piece(number, *times, wave.copy() if usable else None, speaker_at(*times, self.turns))


def _sample(seconds: float) -> int:
    return round(min(seconds * SAMPLE_RATE, 2**62))


def grid(seconds: float) -> Iterator[Span]:
    """Yield consecutive spans of so many seconds, without end."""
    return ((number * seconds, (number + 1) * seconds) for number in itertools.count())
