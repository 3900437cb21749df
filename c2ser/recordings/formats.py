"""Timelines as text: tables, JSON, subtitles, Praat's TextGrid, RTTM.

Names, answers and columns are whatever somebody wrote; in no format can they end a line, a field or a tag.
"""

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import Any

from c2ser.emotions import EMOTIONS, ordered
from c2ser.recordings.results import NO_SPEECH, Segment, Timeline
from c2ser.recordings.textgrid import textgrid

FORMATS = ("tsv", "csv", "json", "jsonl", "srt", "vtt", "textgrid", "rttm")

SINGLE = ("srt", "vtt", "textgrid")
"""Formats whose files describe one recording each."""

STREAMED = ("tsv", "csv", "jsonl", "rttm")
"""Formats of which a part can be written before the rest is known."""

FIRST = ("file", "start", "end", "channel", "speaker", "emotion")
LAST = ("answer", "differs")
"""The columns of a table before and after those of the probabilities; then come the columns of the input list."""

ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
"""What a field of a tab-separated table may not hold as it is."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are not the same in every one.

    Attributes:
        classes: the emotions that have probabilities.
        given: headings of the input list.
    """

    classes: tuple[str, ...] = EMOTIONS
    given: tuple[str, ...] = ()

    @classmethod
    def of(cls, timelines: Iterable[Timeline]) -> "Columns":
        """Return the columns that some timelines need."""
        segments = [segment for timeline in timelines for segment in timeline.segments]
        classes = ordered(chain.from_iterable(segment.probabilities for segment in segments))
        given = dict.fromkeys(chain.from_iterable(segment.columns for segment in segments))
        return cls(tuple(classes) or EMOTIONS, tuple(given))

    def headings(self) -> list[str]:
        """Return all headings; those of the input list that would stand there twice begin with `input_`."""
        own = [*FIRST, *self.classes, *LAST]
        return [*own, *(f"input_{name}" if name in own else name for name in self.given)]


def render(timelines: Sequence[Timeline], format: str, columns: Columns | None = None) -> str:
    """Return timelines as the text of a file.

    Args:
        timelines: of recordings, in the order of the output.
        format: one of `FORMATS`.
        columns: of a table; None for those that the timelines need.

    Raises:
        ValueError: there is no such format, or it holds one recording and there are several.
    """
    if format in SINGLE:
        if len(timelines) != 1:
            raise ValueError(f"{format}: a file holds one recording, not {len(timelines)}; write one file for each")
        return WRITERS[format](timelines[0])
    if format == "json":
        return json.dumps([as_dict(timeline) for timeline in timelines], ensure_ascii=False, indent=2) + "\n"
    if format not in STREAMED:
        raise ValueError(f"{format}: no such format; choose {', '.join(FORMATS)}")
    columns = columns or Columns.of(timelines)
    return head(format, columns) + "".join(body(timeline, format, columns) for timeline in timelines)


def head(format: str, columns: Columns) -> str:
    """Return what stands before the first timeline in one of the `STREAMED` formats."""
    return _table([columns.headings()], format) if format in ("tsv", "csv") else ""


def body(timeline: Timeline, format: str, columns: Columns) -> str:
    """Return a timeline in one of the `STREAMED` formats."""
    if format == "jsonl":
        return json.dumps(as_dict(timeline), ensure_ascii=False) + "\n"
    if format == "rttm":
        return _rttm(timeline)
    return _table((_row(timeline.name, segment, columns) for segment in timeline.segments), format)


def _table(rows: Iterable[Sequence[str]], format: str) -> str:
    if format == "tsv":
        return "".join("\t".join(field.translate(ESCAPES) for field in row) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _row(name: str, segment: Segment, columns: Columns) -> list[str]:
    channel = "" if segment.channel is None else str(segment.channel)
    place = [f"{segment.start:.3f}", f"{segment.end:.3f}", channel, segment.speaker or ""]
    found = segment.probabilities
    probabilities = [f"{found[emotion]:.4f}" if emotion in found else "" for emotion in columns.classes]
    said = [" ".join(segment.answer.split()), "yes" if segment.differs else ""]
    given = [segment.columns.get(column, "") for column in columns.given]
    return [name, *place, segment.emotion, *probabilities, *said, *given]


def as_dict(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as JSON has it: seconds with three decimals, probabilities with four."""
    whole = {"file": timeline.name, "seconds": round(timeline.seconds, 3), **_result(timeline)}
    return whole | {"segments": [_segment(segment) for segment in timeline.segments]}


def _segment(segment: Segment) -> dict[str, Any]:
    place = {"start": round(segment.start, 3), "end": round(segment.end, 3)}
    who = {"channel": segment.channel, "speaker": segment.speaker}
    given = {"columns": dict(segment.columns)} if segment.columns else {}
    return place | who | _result(segment) | given


def _result(found: Segment | Timeline) -> dict[str, Any]:
    probabilities = {emotion: round(value, 4) for emotion, value in found.probabilities.items()}
    return {
        "emotion": found.emotion,
        "probabilities": probabilities,
        "answer": found.answer,
        "differs": found.differs,
    }


def _srt(timeline: Timeline) -> str:
    cues = enumerate(_cues(timeline), start=1)
    return "".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_said(segment)}\n\n"
        for number, segment in cues
    )


def _said(segment: Segment) -> str:
    voice = voice_of(segment)
    return f"{voice}: {caption(segment)}" if voice else caption(segment)


def _vtt(timeline: Timeline) -> str:
    lines = ["WEBVTT\n"]
    for segment in _cues(timeline):
        voice = voice_of(segment)
        tag = f"<v {html.escape(voice)}>" if voice else ""
        lines.append(f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{tag}{caption(segment)}\n")
    return "\n".join(lines)


def _cues(timeline: Timeline) -> Iterator[Segment]:
    return (segment for segment in timeline.segments if segment.emotion != NO_SPEECH)


def _clock(seconds: float, point: str) -> str:
    """Return a time as subtitles have it, 01:02:03,456."""
    milliseconds = round(1000 * seconds)
    hours, minutes, rest = milliseconds // 3_600_000, milliseconds // 60_000 % 60, milliseconds % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def caption(found: Timeline | Segment) -> str:
    """Return the emotion with its probability in percent or, of a model of dimensions, its values."""
    if not found.emotion:
        return ", ".join(f"{name} {value:.2f}" for name, value in found.probabilities.items())
    probability = found.probabilities.get(found.emotion)
    return found.emotion if probability is None else f"{found.emotion} {100 * probability:.0f} %"


def voice_of(segment: Segment) -> str:
    """Return who speaks in a segment: the speaker, else the channel, "" if neither is known."""
    if segment.speaker is not None:
        return " ".join(segment.speaker.split())
    return "" if segment.channel is None else f"channel {segment.channel}"


def _textgrid(timeline: Timeline) -> str:
    return textgrid(
        timeline.seconds, [(s.start, s.end, voice_of(s), s.emotion or caption(s)) for s in timeline.segments]
    )


def _rttm(timeline: Timeline) -> str:
    lines = []
    for segment in _cues(timeline):
        confidence = f"{max(segment.probabilities.values(), default=0.0):.4f}" if segment.emotion else "<NA>"
        label = segment.emotion or caption(segment)
        label = f"{segment.speaker}/{label}" if segment.speaker else label
        place = f"{(segment.channel or 0) + 1} {segment.start:.3f} {segment.end - segment.start:.3f}"
        lines.append(f"SPEAKER {rttm_id(timeline.name)} {place} <NA> <NA> {_word(label)} {confidence} <NA>\n")
    return "".join(lines)


def rttm_id(name: str) -> str:
    """Return a recording's name as RTTM has it: without the ending of the file, "_" for blanks."""
    return _word(str(PurePath(name).with_suffix("")) if PurePath(name).name else name)


def _word(text: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f]+", "_", text) or "_"


WRITERS: dict[str, Callable[[Timeline], str]] = {"srt": _srt, "vtt": _vtt, "textgrid": _textgrid}
