"""Recordings go in, timelines come out: pieces of several recordings are recognised together."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from c2ser.audio import SAMPLE_RATE
from c2ser.data.datasets import check_seconds
from c2ser.log import one_line
from c2ser.machine import raise_if_of_machine
from c2ser.recordings.assembly import Assembly, Options
from c2ser.recordings.results import Recogniser, Recognition, Timeline, Unusable
from c2ser.recordings.segmenting import Cutter, Piece, Span
from c2ser.recordings.sources import Source, blocks
from c2ser.recordings.turns import Turn
from c2ser.tables import NOT_FINITE

POOL_SECONDS = 60.0
"""Speech that is recognised together, unless somebody wants more: a CPU gains nothing by that."""

POOL_RECORDINGS = 64
"""At most this many recordings wait for one another."""

SLACK = 0.1
"""Seconds that a span may reach beyond the end of the recording: lists are rounded."""

EMPTY = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Recording:
    """A recording to be recognised.

    Attributes:
        name: for results and messages.
        source: the file, or what else holds it.
        rate: samples per second of an array.
        spans: the parts of it that are to be recognised, in seconds; None for all.
        columns: what a list says about it: one row for each span, or one for all; there may be none.
        turns: who speaks when.
        place: the path of a result file of its own, below the folder of these files and without its ending.
    """

    name: str
    source: Source
    rate: int | None = None
    spans: Sequence[Span] | None = None
    columns: Sequence[Mapping[str, str]] = ()
    turns: Sequence[Turn] = ()
    place: str = ""


class Pool:
    """Pieces that wait to be recognised."""

    def __init__(self) -> None:
        self.waves: dict[str, np.ndarray] = {}
        self.places: dict[str, tuple[Assembly, int | None, Piece]] = {}
        self.seconds = 0.0

    def add(self, assembly: Assembly, key: str, channel: int | None, piece: Piece) -> None:
        """Take a piece with speech."""
        if piece.wave is not None:
            self.waves[key], self.places[key] = piece.wave, (assembly, channel, piece)
            self.seconds += piece.end - piece.start

    def join(self, other: "Pool") -> None:
        """Take over the pieces of another pool."""
        self.waves |= other.waves
        self.places |= other.places
        self.seconds += other.seconds

    def recognise(self, recognise: Recogniser) -> None:
        """Recognise all pieces; the pool is empty then."""
        for key, result in (recognise(self.waves) if self.waves else {}).items():
            assembly, channel, piece = self.places[key]
            assembly.recognised(channel, piece, result)
        self.waves, self.places, self.seconds = {}, {}, 0.0


@dataclass
class Outcome:
    """What became of a recording.

    Attributes:
        recording: which.
        timeline: None if it is unusable.
        recognition: of the whole; None if it is unusable.
        rejected: why it, or single spans of it, are not in the timeline.
    """

    recording: Recording
    timeline: Timeline | None = None
    recognition: Recognition | None = None
    rejected: list[Unusable] = field(default_factory=list)


class Reader:
    """Reads a recording and cuts it into pieces.

    Attributes:
        seconds: how much was read.
        channels: those that are cut; None stands for the mean of all.
        error: why the recording is unusable; None as long as it is not.
    """

    def __init__(self, recording: Recording, options: Options) -> None:
        self.recording, self.options = recording, options
        self.seconds = 0.0
        self.channels: list[int | None] = []
        self.error: str | None = None

    def pieces(self) -> Iterator[tuple[int | None, Piece]]:
        """Yield channel and piece; an error of the recording ends it and is kept."""
        try:
            yield from self._pieces()
        except (ValueError, OSError) as error:
            raise_if_of_machine(error, self.recording.name)
            self.error = one_line(error, 1000)

    def _pieces(self) -> Iterator[tuple[int | None, Piece]]:
        recording, mean = self.recording, self.options.channels == "mean"
        cutters: list[Cutter] = []
        for block in blocks(recording.source, recording.rate, recording.name):
            block = block.mean(axis=1, keepdims=True) if mean else block
            if not cutters:
                self.channels = [None] if mean else [*range(block.shape[1])]
                cutters = [self.options.cutter(recording.spans, recording.turns) for _ in self.channels]
            self.seconds += len(block) / SAMPLE_RATE
            for place, cutter in enumerate(cutters):
                yield from ((self.channels[place], piece) for piece in cutter.push(block[:, place]))
        for place, cutter in enumerate(cutters):
            yield from ((self.channels[place], piece) for piece in cutter.push(EMPTY, last=True))
        check_seconds(self.seconds, recording.name, float("inf"))


def recognise_recordings(
    recordings: Sequence[Recording],
    recognise: Recogniser,
    options: Options,
    pool_seconds: float = POOL_SECONDS,
    first: int = 0,
) -> Iterator[list[Outcome]]:
    """Yield what becomes of the recordings, in order; those that were recognised together come together.

    What is recognised together depends on the recordings from the first one that was not yielded on alone: who begins
    again with that one gets the same results to the last bit.

    Args:
        recordings: what to recognise.
        recognise: the model's function.
        options: how they are cut and what is said about them.
        pool_seconds: speech that is recognised together, about.
        first: the number of the recording to begin with.
    """
    earlier, waiting = Pool(), list[tuple[Assembly, Reader]]()
    for number, recording in enumerate(recordings[first:], start=first):
        current, reader = Pool(), Reader(recording, options)
        assembly = Assembly(recording.name, options, recording.columns, recording.spans is not None)
        for channel, piece in reader.pieces():
            assembly.add(channel, piece)
            current.add(assembly, f"{number:09}:{recording.name}:{channel}:{piece.start:.3f}", channel, piece)
            if waiting and earlier.seconds + current.seconds > pool_seconds:
                earlier.recognise(recognise)
                yield [_outcome(*item) for item in waiting]
                waiting = []
            if current.seconds > pool_seconds:
                current.recognise(recognise)
        if reader.error is None:
            earlier.join(current)
        waiting.append((assembly, reader))
        if len(waiting) == POOL_RECORDINGS:
            earlier.recognise(recognise)
            yield [_outcome(*item) for item in waiting]
            waiting = []
    earlier.recognise(recognise)
    if waiting:
        yield [_outcome(*item) for item in waiting]


def _outcome(assembly: Assembly, reader: Reader) -> Outcome:
    recording = reader.recording
    if reader.error is not None:
        return Outcome(recording, rejected=[Unusable(recording.name, reader.error)])
    seconds = reader.seconds
    late = {
        number: span
        for number, span in enumerate(recording.spans or ())
        if span[0] >= seconds or seconds + SLACK < span[1] < float("inf")
    }
    rejected = [
        Unusable(
            recording.name, f"{recording.name}: {start:g} to {end:g} s, but it lasts {seconds:.2f} s; correct the list"
        )
        for start, end in late.values()
    ]
    timeline = assembly.timeline(seconds, reader.channels, late)
    recognition = assembly.recognition()
    if not all(map(math.isfinite, recognition.probabilities.values())):
        return Outcome(recording, rejected=[Unusable(recording.name, f"{recording.name}: {NOT_FINITE}")])
    return Outcome(recording, timeline, recognition, rejected)
