"""Folds: published ones, or each speaker or session left out in turn; and who is heard on both sides."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from c2ser.corpus import Utterance

Folds = Literal["published", "speaker", "session", "none"]
"""What `utt2fold` says: the corpus' published folds, who speaks, in which session, or nothing."""


def with_folds(utterances: Iterable[Utterance], folds: Folds) -> Iterator[Utterance]:
    """Yield the utterances with their folds.

    Raises:
        ValueError: the corpus has no sessions.
    """
    for utterance in utterances:
        if folds == "session" and utterance.session is None:
            raise ValueError(f"{utterance.id}: this corpus has no sessions; use --folds speaker")
        chosen = {"published": utterance.fold, "speaker": utterance.speaker, "session": utterance.session, "none": None}
        yield dataclasses.replace(utterance, fold=chosen[folds])


def overlaps(groups: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], list[str]]:
    """Return the speakers that two groups share, for each pair of groups that shares any.

    Args:
        groups: speakers by set or fold.
    """
    speakers = {name: set(members) for name, members in groups.items()}
    names = sorted(speakers)
    pairs = {(a, b): sorted(speakers[a] & speakers[b]) for i, a in enumerate(names) for b in names[i + 1 :]}
    return {pair: shared for pair, shared in pairs.items() if shared}


def shared_speakers(kept: Mapping[str, Mapping[str, Utterance]]) -> list[str]:
    """Return a warning for each two sets that have a speaker in common."""
    sets = {name: {u.speaker for u in part.values()} for name, part in sorted(kept.items()) if part}
    return [
        f"{a} and {b} share speakers ({_some(both)}), and results on known voices are better; give each speaker one "
        "set, or say so beside the results"
        for (a, b), both in overlaps(sets).items()
    ]


def overlap_report(kept: Mapping[str, Mapping[str, Utterance]]) -> str:
    """Return lines that say how many speakers each set and fold has, and which are in several."""
    sets = {name: {u.speaker for u in part.values()} for name, part in sorted(kept.items()) if part}
    lines = [f"speakers: {', '.join(f'{name} {len(members)}' for name, members in sets.items())}"]
    shared = overlaps(sets)
    lines += [f"  {a} and {b} share {len(both)}: {_some(both)}" for (a, b), both in shared.items()]
    lines += ["  no speaker is in two sets"] * (len(sets) > 1 and not shared)
    everything = [u for part in kept.values() for u in part.values()]
    sizes = Counter(u.fold for u in everything if u.fold is not None)
    if sizes:
        ordered = sorted(sizes, key=lambda fold: (len(fold), fold))
        shown = _some([f"{fold} ({sizes[fold]})" for fold in ordered], 12)
        lines.append(f"folds: {len(sizes)}, with so many utterances: {shown}")
        members: dict[str, set[str]] = defaultdict(set)
        for utterance in everything:
            members[utterance.fold or "without"].add(utterance.speaker)
        several = sorted({speaker for both in overlaps(members).values() for speaker in both})
        lines.append(f"  {len(several)} speakers are in several folds: {_some(several)}" if several
                     else "  no speaker is in two folds")  # fmt: skip
    return "\n".join(lines)


def _some(names: list[str], number: int = 5) -> str:
    return ", ".join(names[:number]) + (", …" if len(names) > number else "")
