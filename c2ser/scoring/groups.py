"""Figures of parts of a set: its languages, and utterances of similar duration."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from c2ser.corpus import table_number
from c2ser.scoring.bootstrap import Metric, intervals
from c2ser.scoring.metrics import scores

DURATIONS = {"under 2 s": 2.0, "2 to 5 s": 5.0, "5 to 10 s": 10.0, "10 s and more": float("inf")}
"""Groups of durations, each with its end in seconds."""

METRICS: tuple[Metric, ...] = ("ua", "wa", "f1_reference")
"""The figures that are given for parts, with intervals."""


def duration_group(seconds: float) -> str:
    """Return the group of `DURATIONS` that a duration belongs to."""
    return next(name for name, end in DURATIONS.items() if seconds < end)


def in_parts(
    reference: Mapping[str, str], labels: Mapping[str, str], tables: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return the figures of each of a set's `languages` and of its `durations`, the shortest first; see `slices`.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.
        tables: utt2lang, utt2dur and utt2spk of the data directory; an empty one gives no parts, or no intervals.
    """
    lengths = {
        name: duration_group(table_number(name, "utt2dur", seconds)) for name, seconds in tables["utt2dur"].items()
    }
    durations = slices(reference, labels, lengths, tables["utt2spk"])
    return {
        "languages": slices(reference, labels, tables["utt2lang"], tables["utt2spk"]),
        "durations": {name: durations[name] for name in DURATIONS if name in durations},
    }


def slices(
    reference: Mapping[str, str],
    labels: Mapping[str, str],
    groups: Mapping[str, str],
    speakers: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return UA, WA and macro F1 of each group of utterances, with `intervals` where it has several speakers.

    A group's interval draws its own speakers: it is that of a set which holds the group alone.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.
        groups: group by utterance, for example its language; utterances without one are left out.
        speakers: speaker by utterance.
    """
    members: dict[str, dict[str, str]] = defaultdict(dict)
    for utterance, emotion in reference.items():
        if groups.get(utterance):
            members[groups[utterance]][utterance] = emotion
    rows: dict[str, dict[str, Any]] = {}
    for group, part in sorted(members.items()):
        predicted = {utterance: labels[utterance] for utterance in part if utterance in labels}
        figures = scores(part, predicted)
        rows[group] = {name: figures[name] for name in (*METRICS, "utterances", "unreadable")}
        if ends := intervals(part, predicted, speakers, METRICS):
            rows[group]["intervals"] = ends
    return rows
