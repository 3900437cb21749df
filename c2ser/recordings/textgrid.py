"""Praat's TextGrid, in its long text form."""

from collections import defaultdict
from collections.abc import Iterable

Interval = tuple[float, float, str]
"""Start and end in seconds, and a text."""


def textgrid(seconds: float, intervals: Iterable[tuple[float, float, str, str]]) -> str:
    """Return a TextGrid with a tier for each voice, and a further one where intervals of a voice overlap.

    Args:
        seconds: length of the recording.
        intervals: start, end (s), voice and text of each, in order of their starts.
    """
    voices: dict[str, list[list[Interval]]] = defaultdict(list)
    for start, end, voice, text in intervals:
        tiers = voices[voice]
        tier = next((tier for tier in tiers if tier[-1][1] <= start), None)
        if tier is None:
            tiers.append(tier := [])
        tier.append((start, end, text))
    named = [
        (f"{voice or 'emotion'}{f' ({number})' if number > 1 else ''}", tier)
        for voice, tiers in voices.items()
        for number, tier in enumerate(tiers, start=1)
    ]
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {seconds:.3f}\n'
    head += f"tiers? <exists>\nsize = {len(named)}\nitem []:\n"
    return head + "".join(_tier(number, name, tier, seconds) for number, (name, tier) in enumerate(named, start=1))


def _tier(number: int, name: str, intervals: list[Interval], seconds: float) -> str:
    whole = _with_gaps(intervals, seconds)
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(name)}",
        "        xmin = 0",
        f"        xmax = {seconds:.3f}",
        f"        intervals: size = {len(whole)}",
    ]
    for place, (start, end, text) in enumerate(whole, start=1):
        lines += [
            f"        intervals [{place}]:",
            f"            xmin = {start:.3f}",
            f"            xmax = {end:.3f}",
            f"            text = {_quoted(text)}",
        ]
    return "\n".join(lines) + "\n"


def _with_gaps(intervals: list[Interval], seconds: float) -> list[Interval]:
    """Return intervals without gaps: a tier covers the whole recording, without a text where nothing is said."""
    whole, last = [], 0.0
    for start, end, text in intervals:
        if start > last:
            whole.append((last, start, ""))
        whole.append((start, end, text))
        last = end
    return [*whole, (last, seconds, "")] if last < seconds else whole


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace('"', '""') + '"'
