"""Numbers and durations of a labelled set, in the form of Table III."""

from collections import defaultdict
from collections.abc import Mapping

from c2ser.emotions import EMOTIONS
from c2ser.scoring.results_page import clock, pipe_table

NAMES = {"zh": "CN"}
"""Names of languages in Table III; other languages have their code in capitals."""


def statistics_table(emotions: Mapping[str, str], languages: Mapping[str, str], seconds: Mapping[str, float]) -> str:
    """Return samples and durations (HH:MM:SS) of each emotion and language as a Markdown table.

    Args:
        emotions: emotion by utterance.
        languages: language by utterance.
        seconds: duration by utterance.
    """
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name, emotion in emotions.items():
        groups[emotion, languages.get(name, "")].append(seconds[name])
    codes = sorted({language for _, language in groups}, key=lambda code: (code != "zh", code))
    titles = [NAMES.get(code, code.upper() or "?") for code in codes]
    rows = []
    for emotion in (emotion for emotion in EMOTIONS if any(groups.get((emotion, code)) for code in codes)):
        rows.append(_row(emotion.capitalize(), [groups.get((emotion, code), []) for code in codes], titles))
    totals = [[s for (_, language), values in groups.items() if language == code for s in values] for code in codes]
    rows.append(_row("Total", totals, titles))
    return "\n".join(pipe_table(["emotion", "# of samples", *(f"{title} duration" for title in titles)], rows))


def _row(name: str, groups: list[list[float]], titles: list[str]) -> list[str]:
    samples = "+".join(f"{len(group)}{title}" for group, title in zip(groups, titles, strict=True))
    return [name, samples, *(clock(sum(group)) for group in groups)]
