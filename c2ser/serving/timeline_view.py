"""A timeline as HTML: stacked probabilities above the waveform, a list of segments, downloads.

Names and answers come from strangers and from models: all of them are escaped.
"""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import PurePath

import numpy as np

from c2ser.audio import SAMPLE_RATE
from c2ser.recordings.formats import voice_of
from c2ser.recordings.results import Segment, Timeline
from c2ser.scoring.palette import Look, class_looks
from c2ser.serving.shown import without_quotations

LINES_PER_SECOND, MOST_LINES = 20, 20_000
"""Of the picture of the waveform."""

SECOND_WIDTH = 12
"""Pixels of a second, at least: a finger can meet a segment; longer recordings are scrolled."""


def timeline_view(timeline: Timeline, wave: np.ndarray, downloads: Mapping[str, str]) -> str:
    """Return what the page shows of a recording.

    Args:
        timeline: its emotions.
        wave: its waveform at 16 kHz, (samples,) int16.
        downloads: text by the ending of its file, such as "srt".
    """
    looks = class_looks({name for segment in timeline.segments for name in segment.probabilities})
    bars = "".join(_bar(segment, timeline.seconds, looks) for segment in timeline.segments if segment.probabilities)
    rows = "".join(_row(segment, looks) for segment in timeline.segments)
    return f"""
<section class="c2ser-result">
<h2><bdi>{escape(timeline.name)}</bdi></h2>
<p>{escape(_summary(timeline))}</p>
<ul class="c2ser-legend" aria-label="Colours, from top to bottom">{_legend(looks)}</ul>
<div class="c2ser-scroll" tabindex="0" role="group" aria-label="Timeline; each segment is a button that plays it">
<div style="min-width: {SECOND_WIDTH * timeline.seconds:.0f}px">
<div class="c2ser-bars">{bars}</div>
{_waveform(wave)}
</div></div>
<ol class="c2ser-segments" aria-label="Segments">{rows}</ol>
<nav class="c2ser-downloads" aria-label="Downloads">Download {_links(timeline.name, downloads)}</nav>
</section>"""


def clock(seconds: float) -> str:
    """Return a time as people write it: 75.24 is "1:15.2"."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths // 10:02}.{tenths % 10}"


def _summary(timeline: Timeline) -> str:
    number = sum(bool(segment.probabilities) for segment in timeline.segments)
    parts = [clock(timeline.seconds), f"{number} segment{'s' * (number != 1)} of speech"]
    return ", ".join([*parts, f"on the whole {_emotion(timeline)}"] if number else parts)


def _emotion(found: Timeline | Segment) -> str:
    share = found.probabilities.get(found.emotion)
    return found.emotion if share is None else f"{found.emotion} {100 * share:.0f} %"


def _mark(look: Look | None) -> str:
    return f'<span class="c2ser-mark" style="background: {look.colour}"></span>' if look else ""


def _legend(looks: Mapping[str, Look]) -> str:
    return "".join(f"<li>{_mark(look)}{escape(name)}</li>" for name, look in looks.items())


def _times(segment: Segment) -> str:
    return f'data-start="{segment.start:.3f}" data-end="{segment.end:.3f}"'


def _bar(segment: Segment, seconds: float, looks: Mapping[str, Look]) -> str:
    parts = "".join(
        f'<i style="background: {look.colour}; flex-grow: {segment.probabilities.get(name, 0):.4f}"></i>'
        for name, look in looks.items()
    )
    left, width = 100 * segment.start / seconds, 100 * (segment.end - segment.start) / seconds
    title = escape(f"{clock(segment.start)} to {clock(segment.end)}: {_emotion(segment)}")
    return (
        f'<button type="button" {_times(segment)} style="left: {left:.3f}%; width: {width:.3f}%" title="{title}" '
        f'aria-label="Play {title}">{parts}</button>'
    )


def _row(segment: Segment, looks: Mapping[str, Look]) -> str:
    voice = voice_of(segment)
    differs = "<i>The answer differs: </i>" if segment.differs else ""
    return (
        f'<li><button type="button" {_times(segment)} aria-label="Play from {clock(segment.start)}">'
        f'<span aria-hidden="true">▶</span> {clock(segment.start)}</button>'
        f"<b>{_mark(looks.get(segment.emotion))}{escape(_emotion(segment))}</b>"
        f"{f'<span>{escape(voice)}</span>' if voice else ''}"
        f'<span class="c2ser-answer" dir="auto">{differs}{escape(without_quotations(segment.answer))}</span></li>'
    )


def _waveform(wave: np.ndarray) -> str:
    """Return the waveform as one path: a vertical line for each part of it."""
    number = max(1, min(MOST_LINES, len(wave), int(len(wave) / SAMPLE_RATE * LINES_PER_SECOND)))
    edges = np.linspace(0, len(wave), number, endpoint=False).astype(int)
    high, low = np.maximum.reduceat(wave, edges), np.minimum.reduceat(wave, edges)
    scale = 50 / max(1, int(high.max()), -int(low.min()))
    lines = "".join(
        f"M{column + 0.5} {50 - scale * top:.0f}V{50.5 - scale * bottom:.1f}"
        for column, (top, bottom) in enumerate(zip(high.tolist(), low.tolist(), strict=True))
    )
    return (
        f'<svg viewBox="0 0 {number} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{lines}" vector-effect="non-scaling-stroke"/></svg>'
    )


def _links(name: str, downloads: Mapping[str, str]) -> str:
    """Return links whose files stand in them: nothing of a result has to be kept on the server."""
    stem = escape(PurePath(name).stem)
    return "".join(
        f'<a href="data:application/octet-stream;base64,{base64.b64encode(text.encode("utf-8")).decode("ascii")}" '
        f'download="{stem}.{ending}">{ending}</a>'
        for ending, text in downloads.items()
    )
