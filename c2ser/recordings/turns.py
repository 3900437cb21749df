"""Who speaks when: the turns of an RTTM file, which the user brings."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

SHORTEST = 0.2
"""Seconds; a turn's start or end that is nearer to another cut makes none."""


@dataclass(frozen=True)
class Turn:
    """A stretch in which one person speaks.

    Attributes:
        start: seconds.
        end: seconds.
        speaker: who.
    """

    start: float
    end: float
    speaker: str


def read_rttm(path: Path) -> dict[str, list[Turn]]:
    """Read the turns of an RTTM file by the recording's name in it.

    Raises:
        ValueError: it is no text, a line of type SPEAKER has too few fields or no times, or there is no such line.
    """
    turns: dict[str, list[Turn]] = defaultdict(list)
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; convert the file") from None
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, seconds, speaker = float(fields[3]), float(fields[4]), fields[7]
        except (IndexError, ValueError):
            raise ValueError(f"{path}:{number}: no turn; RTTM has SPEAKER, name, channel, start, seconds, <NA>, <NA>, "
                             "speaker") from None  # fmt: skip
        if not (0 <= start < float("inf") and 0 < seconds < float("inf")):
            raise ValueError(f"{path}:{number}: a turn of {seconds:g} s at {start:g} s; correct the line")
        turns[fields[1]].append(Turn(start, start + seconds, speaker))
    if not turns:
        raise ValueError(f"{path}: no line of type SPEAKER; give a file in RTTM")
    return dict(turns)


def turns_of(name: str, turns: Mapping[str, Sequence[Turn]]) -> Sequence[Turn] | None:
    """Return the turns of a recording: those under its whole name, its file's, or that without the ending.

    A file with the turns of a single recording need not name it rightly only if there is nothing else to choose: the
    caller decides that. None where no name fits.
    """
    path = PurePath(name)
    for known in (name, str(path.with_suffix("")) if path.name else name, path.name, path.stem):
        if known in turns:
            return turns[known]
    return None


def split(start: float, end: float, turns: Sequence[Turn]) -> list[tuple[float, float, str | None]]:
    """Cut a segment where turns begin and end.

    Args:
        start: of the segment, in seconds.
        end: of the segment, in seconds.
        turns: of its recording.

    Returns:
        start, end and speaker of each part; None where nobody's turn is.
    """
    cuts = [start]
    for cut in sorted({time for turn in turns for time in (turn.start, turn.end)}):
        if cuts[-1] + SHORTEST <= cut <= end - SHORTEST:
            cuts.append(cut)
    parts: list[tuple[float, float, str | None]] = []
    for left, right in zip(cuts, [*cuts[1:], end], strict=True):
        speaker = speaker_at(left, right, turns)
        if parts and parts[-1][2] == speaker:
            left = parts.pop()[0]
        parts.append((left, right, speaker))
    return parts


def speaker_at(start: float, end: float, turns: Sequence[Turn]) -> str | None:
    """Return who speaks most between two times (s), None if nobody does for more than a moment."""
    shares: dict[str, float] = defaultdict(float)
    for turn in turns:
        shares[turn.speaker] += max(0.0, min(end, turn.end) - max(start, turn.start))
    speaker = max(shares, key=lambda speaker: shares[speaker], default=None)
    return speaker if speaker is not None and shares[speaker] >= min(SHORTEST, (end - start) / 2) else None
