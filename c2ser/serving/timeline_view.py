"""A timeline as HTML: stacked probabilities above the waveform, a list of segments, downloads."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from c2ser.audio import SAMPLE_RATE
from c2ser.recordings.formats import caption, voice_of
from c2ser.recordings.results import Segment, Timeline
from c2ser.scoring.palette import class_looks
from c2ser.serving.shown import without_quotations
from c2ser.serving.templates import fill

LINES_PER_SECOND, MOST_LINES = 20, 20_000
"""Of the picture of the waveform."""

SECOND_WIDTH = 12
"""Pixels of a second, at least: a finger can meet a segment; longer recordings are scrolled."""


@dataclass(frozen=True)
class Waveform:
    """The picture of a waveform.

    Attributes:
        width: of the picture; its height is 100.
        path: vertical lines, as SVG writes them.
    """

    width: int
    path: str


def timeline_view(timeline: Timeline, wave: np.ndarray, downloads: Mapping[str, str]) -> str:
    """Return what the page shows of a recording.

    Args:
        timeline: its emotions.
        wave: its waveform at 16 kHz, (samples,) int16.
        downloads: text by the ending of its file, such as "srt".
    """

    def place(segment: Segment) -> str:
        """Return where a segment stands in the picture, as CSS."""
        left, width = segment.start / timeline.seconds, (segment.end - segment.start) / timeline.seconds
        return f"left: {left:.3%}; width: {width:.3%}"

    return fill(
        "timeline.html",
        timeline=timeline,
        summary=_summary(timeline),
        # values on dimensions are no shares that could be stacked
        looks=class_looks({name for segment in timeline.segments if segment.emotion for name in segment.probabilities}),
        width=round(SECOND_WIDTH * timeline.seconds),
        waveform=_waveform(wave),
        downloads={ending: _link(text) for ending, text in downloads.items()},
        stem=PurePath(timeline.name).stem,
        place=place,
        clock=clock,
        caption=caption,
        voice_of=voice_of,
        without_quotations=without_quotations,
    )


def clock(seconds: float) -> str:
    """Return a time as people write it: 75.24 is "1:15.2"."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths // 10:02}.{tenths % 10}"


def _summary(timeline: Timeline) -> str:
    number = sum(bool(segment.probabilities) for segment in timeline.segments)
    parts = [clock(timeline.seconds), f"{number} segment{'s' * (number != 1)} of speech"]
    return ", ".join([*parts, f"on the whole {caption(timeline)}"] if number else parts)


def _waveform(wave: np.ndarray) -> Waveform:
    number = max(1, min(MOST_LINES, len(wave), int(len(wave) / SAMPLE_RATE * LINES_PER_SECOND)))
    edges = np.linspace(0, len(wave), number, endpoint=False).astype(int)
    high, low = np.maximum.reduceat(wave, edges), np.minimum.reduceat(wave, edges)
    scale = 50 / max(1, int(high.max()), -int(low.min()))
    lines = [
        f"M{column + 0.5} {50 - scale * top:.0f}V{50.5 - scale * bottom:.1f}"
        for column, (top, bottom) in enumerate(zip(high.tolist(), low.tolist(), strict=True))
    ]
    return Waveform(number, "".join(lines))


def _link(text: str) -> str:
    """Return a link with a file in it: nothing of a result has to be kept on the server."""
    return f"data:application/octet-stream;base64,{base64.b64encode(text.encode('utf-8')).decode('ascii')}"
