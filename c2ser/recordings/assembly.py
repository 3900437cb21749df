"""From pieces and what is recognised in them to timelines."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from c2ser.recordings.results import NO_SPEECH, UNSURE, Recognition, Segment, Timeline
from c2ser.recordings.segmenting import Cutter, Piece, Span, SpanCutter, SpeechCutter, grid
from c2ser.recordings.turns import Turn

Channels = Literal["mean", "each"]


@dataclass(frozen=True)
class Options:
    """How a recording is cut and what is said about it.

    Attributes:
        segments: "vad" for stretches of speech, "fixed:SECONDS", or "none" for the whole.
        channels: "mean" mixes them, "each" treats each alone, as in calls with a speaker on each.
        min_confidence: an emotion with a smaller probability is `UNSURE`.
        among: the emotions to choose from; None for all that the model knows.
    """

    segments: str = "vad"
    channels: Channels = "mean"
    min_confidence: float = 0.0
    among: Collection[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        self.span_seconds()
        if self.channels not in ("mean", "each"):
            raise ValueError(f"channels {self.channels!r}: no such choice; give mean or each")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence {self.min_confidence!r}: no probability; give 0 to 1")

    def span_seconds(self) -> float | None:
        """Return the seconds of a span, None where speech is looked for.

        Raises:
            ValueError: there is no such way to cut.
        """
        kind, _, number = self.segments.partition(":")
        if self.segments in ("vad", "none"):
            return None if kind == "vad" else float("inf")
        try:
            seconds = float(number) if kind == "fixed" else 0.0
        except ValueError:
            seconds = 0.0
        if not 0.5 <= seconds < float("inf"):
            raise ValueError(f"segments {self.segments!r}: no way to cut; give vad, none, or fixed:10 for 10 s (0.5 s "
                             "and more)")  # fmt: skip
        return seconds

    def cutter(self, spans: Sequence[Span] | None = None, turns: Sequence[Turn] = ()) -> Cutter:
        """Return what cuts a channel.

        Args:
            spans: given ones, which go before `segments`.
            turns: who speaks when.
        """
        seconds = self.span_seconds()
        if spans is None and seconds is None:
            return SpeechCutter(turns)
        if spans is None and seconds is not None:
            spans_of_all = iter([(0.0, seconds)]) if seconds == float("inf") else grid(seconds)
            return SpanCutter(spans_of_all, turns)
        return SpanCutter(spans or (), turns)


@dataclass
class Part:
    """A segment in the making.

    Attributes:
        start: seconds.
        end: seconds.
        speaker: who speaks in its first piece.
        found: what is recognised in each of its pieces with speech, with the piece's seconds.
    """

    start: float
    end: float
    speaker: str | None
    found: list[tuple[float, Recognition]] = field(default_factory=list)


class Assembly:
    """Collects what is recognised in the pieces of a recording.

    Args:
        name: of the recording.
        options: how it is cut and what is said about it.
        columns: of its rows in a list: one for each given span, or one for the whole recording.
        spans: whether spans were given, so that segments stay in their order.
    """

    def __init__(
        self, name: str, options: Options, columns: Sequence[Mapping[str, str]] = (), spans: bool = False
    ) -> None:
        self.name, self.options, self.columns, self.spans = name, options, columns, spans
        self.parts: dict[tuple[int, int | None], Part] = {}

    def add(self, channel: int | None, piece: Piece) -> None:
        """Take a piece; if it has speech, `recognised` follows."""
        part = self.parts.setdefault((piece.segment, channel), Part(piece.start, piece.end, piece.speaker))
        part.end = max(part.end, piece.end)

    def recognised(self, channel: int | None, piece: Piece, result: Recognition) -> None:
        """Take what was recognised in a piece."""
        self.parts[piece.segment, channel].found.append((piece.end - piece.start, result))

    def timeline(self, seconds: float, channels: Sequence[int | None], without: Collection[int] = ()) -> Timeline:
        """Return the recording's timeline.

        Args:
            seconds: its length.
            channels: those that were cut.
            without: numbers of given spans that are left out.
        """
        self.parts = {key: part for key, part in self.parts.items() if key[0] not in without}
        segments = [self._segment(number, channel, part) for (number, channel), part in self._ordered()]
        for channel in channels if not self.spans else ():
            if not any(segment.channel == channel for segment in segments):
                segments.append(Segment(0.0, round(seconds, 3), channel, NO_SPEECH, {}, "", None, self._columns(0)))
        return Timeline(self.name, seconds, segments, *summary(self._found(), self.options))

    def recognition(self) -> Recognition:
        """Return what was recognised in the whole recording."""
        found = self._found()
        results = [result for _, result in found]
        emotion, probabilities, answer, said = summary(found, self.options)
        return Recognition(
            emotion,
            probabilities,
            answer,
            style=results[0].style if results else None,
            tokens=sum(result.tokens for result in results),
            milliseconds=sum(result.milliseconds for result in results),
            said=said,
        )

    def _found(self) -> list[tuple[float, Recognition]]:
        return [result for part in self.parts.values() for result in part.found]

    def _ordered(self) -> list[tuple[tuple[int, int | None], Part]]:
        def place(item: tuple[tuple[int, int | None], Part]) -> tuple[float, int]:
            """Return what a part is sorted by: its number or start, then its channel."""
            (number, channel), part = item
            return (number if self.spans else part.start), -1 if channel is None else channel

        return sorted(self.parts.items(), key=place)

    def _segment(self, number: int, channel: int | None, part: Part) -> Segment:
        emotion, probabilities, answer, said = summary(part.found, self.options)
        times = round(part.start, 3), round(part.end, 3)
        columns = self._columns(number)
        return Segment(*times, channel, emotion, probabilities, answer, part.speaker, columns, said)

    def _columns(self, number: int) -> Mapping[str, str]:
        if not self.columns:
            return {}
        return self.columns[number] if self.spans else self.columns[0]


def summary(found: Sequence[tuple[float, Recognition]], options: Options) -> tuple[str, dict[str, float], str, str]:
    """Return the emotion, the probabilities, the answer and what it says for several pieces together.

    Probabilities are means weighted by seconds. The answer is that of the piece with the largest weight for the most
    probable emotion: its probability there times the piece's seconds.

    A model of dimensions names no emotion: then there are means alone.

    Args:
        found: seconds and result of each piece with speech.
        options: the emotions to choose from, whose probabilities then add up to 1, and how probable one must be.
    """
    if not found:
        return NO_SPEECH, {}, "", ""
    total = sum(seconds for seconds, _ in found)
    classes = found[0][1].probabilities
    mean = {name: sum(s * result.probabilities[name] for s, result in found) / total for name in classes}
    if not found[0][1].emotion:
        return "", mean, "", ""
    if options.among is not None:
        chosen = {name: mean[name] for name in classes if name in options.among}
        whole = sum(chosen.values()) or 1.0
        mean = {name: share / whole for name, share in chosen.items()}
    best = max(mean, key=lambda name: mean[name])
    told = max(found, key=lambda item: item[0] * item[1].probabilities[best])[1]
    return best if mean[best] >= options.min_confidence else UNSURE, mean, told.answer, told.said
