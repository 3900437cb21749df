"""A timeline as HTML: stacked probabilities above the waveform, a list of segments, downloads.

Names and answers come from strangers and from models: all of them are escaped.
"""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import PurePath

import numpy as np

from c2ser.emotions import EMOTIONS
from c2ser.recordings.timeline import Segment, Timeline
from c2ser.scoring.palette import LOOKS
from c2ser.serving.shown import without_quotations

PEAKS_PER_SECOND = 20
"""Vertical lines of the picture of the waveform."""

MOST_PEAKS = 20_000


def view(timeline: Timeline, wave: np.ndarray, downloads: Mapping[str, str]) -> str:
    """Return what the page shows of a recording.

    Args:
        timeline: its emotions.
        wave: its waveform at 16 kHz, (samples,) float32.
        downloads: text by the ending of its file, such as "srt".
    """
    segments = timeline.segments
    bars = "".join(_bar(segment, timeline.seconds) for segment in segments)
    rows = "".join(_row(segment) for segment in segments)
    return f"""
<section class="c2ser-result">
<h2><bdi>{escape(timeline.name)}</bdi></h2>
<p class="c2ser-summary">{escape(_summary(timeline))}</p>
{_legend()}
<div class="c2ser-scroll" tabindex="0" role="group" aria-label="Timeline; its segments are buttons that play them">
<div class="c2ser-timeline" style="min-width: {12 * timeline.seconds:.0f}px">
<div class="c2ser-bars">{bars}</div>
{_waveform(wave)}
</div></div>
<ol class="c2ser-segments" aria-label="Segments">{rows}</ol>
{_links(timeline.name, downloads)}
</section>"""


def _summary(timeline: Timeline) -> str:
    number = len(timeline.segments)
    if not number:
        return f"{clock(timeline.seconds)} long, {timeline.emotion}"
    shares = f" ({timeline.probabilities[timeline.emotion]:.0%})" if timeline.emotion in EMOTIONS else ""
    parts = f"{number} segment{'s' * (number > 1)}"
    return f"{clock(timeline.seconds)} long, {parts}, on the whole {timeline.emotion}{shares}"


def clock(seconds: float) -> str:
    """Return a time as people write it: 75.24 is "1:15.2"."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{rest // 10:02}.{rest % 10}"


def _title(segment: Segment) -> str:
    share = f", {segment.probabilities[segment.emotion]:.0%}" if segment.emotion in EMOTIONS else ""
    return f"{clock(segment.start)} to {clock(segment.end)}: {segment.emotion}{share}"


def _times(segment: Segment) -> str:
    return f'data-start="{segment.start:.3f}" data-end="{segment.end:.3f}"'


def _bar(segment: Segment, seconds: float) -> str:
    parts = "".join(
        f'<i style="background: {LOOKS[emotion].colour}; flex-grow: {segment.probabilities[emotion]:.4f}"></i>'
        for emotion in EMOTIONS
    )
    left, width = 100 * segment.start / seconds, 100 * (segment.end - segment.start) / seconds
    title = escape(_title(segment))
    return (
        f'<button type="button" {_times(segment)} style="left: {left:.3f}%; width: {width:.3f}%" title="{title}" '
        f'aria-label="Play {title}">{parts}</button>'
    )


def _row(segment: Segment) -> str:
    colour = LOOKS[segment.emotion].colour if segment.emotion in EMOTIONS else "transparent"
    answer = escape(without_quotations(segment.answer))
    return (
        f'<li><button type="button" {_times(segment)}><span aria-hidden="true">▶</span> {clock(segment.start)}</button>'
        f'<span class="c2ser-mark" style="background: {colour}"></span><b>{escape(_label(segment))}</b>'
        f'<span class="c2ser-answer" dir="auto">{answer}</span></li>'
    )


def _label(segment: Segment) -> str:
    return _title(segment).partition(": ")[2]


def _legend() -> str:
    marks = "".join(
        f'<li><span class="c2ser-mark" style="background: {LOOKS[emotion].colour}"></span>{emotion}</li>'
        for emotion in EMOTIONS
    )
    return f'<ul class="c2ser-legend" aria-label="Colours, from top to bottom">{marks}</ul>'


def _waveform(wave: np.ndarray) -> str:
    """Return the waveform as one path: a vertical line for each part of it."""
    number = int(min(MOST_PEAKS, max(1, len(wave) / 16000 * PEAKS_PER_SECOND)))
    edges = np.linspace(0, len(wave), number + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(wave, edges), np.minimum.reduceat(wave, edges)
    scale = 50 / max(1e-4, float(np.abs(wave).max()))
    lines = "".join(
        f"M{column + 0.5:g} {50 - scale * top:.0f}V{50 - scale * bottom + 0.5:.1f}"
        for column, (top, bottom) in enumerate(zip(high, low, strict=True))
    )
    return (
        f'<svg viewBox="0 0 {number} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{lines}" vector-effect="non-scaling-stroke"/></svg>'
    )


def _links(name: str, downloads: Mapping[str, str]) -> str:
    """Return links whose files stand in them: nothing of a recording has to be kept on the server."""
    links = "".join(
        f'<a href="data:application/octet-stream;base64,{base64.b64encode(text.encode()).decode()}" '
        f'download="{escape(PurePath(name).stem)}.{ending}">{ending}</a>'
        for ending, text in downloads.items()
    )
    return f'<nav class="c2ser-downloads" aria-label="Downloads">Download as {links}</nav>'
