"""Sets and folds for a corpus that has none: no speaker is in two of them, and they never change."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from c2ser.corpus import Utterance

FOLDS = 5
"""Folds that speakers are dealt to: a fifth of the utterances each to test and to validate on."""

SETS = {
    "train": "train", "training": "train", "trn": "train", "valid": "valid", "validation": "valid", "val": "valid",
    "dev": "valid", "development": "valid", "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
"""Sets by the names that tables have for them, in lower case; `test1` and the like stay as they are."""


def set_of(name: str) -> str | None:
    """Return the data directory that a table means by the name of a set; None if that is not known."""
    name = name.strip().lower()
    numbered = name.startswith("test") and name.removeprefix("test").strip("_-").isdigit()
    return SETS.get(name) or (name if numbered else None)


def with_sets(utterances: Sequence[Utterance], emotions: Mapping[str, str | None]) -> tuple[list[Utterance], str]:
    """Return the utterances with the sets that were missing, and a sentence that says what was done.

    Where a table names no sets, all utterances are of the set "train", and they get folds too. Speakers are dealt to
    folds of about the same size, the first fold is tested and the second validated on.

    Args:
        utterances: with those sets that are known.
        emotions: emotion by label, None for a label that is rejected; such utterances do not count for the size.

    Raises:
        ValueError: there are fewer speakers than sets.
    """
    given = {utterance.set for utterance in utterances}
    missing = [name for name in ("test", "valid") if not any(known.startswith(name) for known in given)]
    if "train" not in given or not missing:
        return [*utterances], ""
    learnt = [utterance for utterance in utterances if utterance.set == "train"]
    folds = deal_speakers(learnt, emotions)
    if not folds:  # who writes the corpus says why every utterance is rejected
        return [*utterances], ""
    number = len(set(folds.values()))
    if number <= len(missing):
        raise ValueError(f"speakers with labels: {number}, too few for {len(missing) + 1} sets that share none; name "
                         "the set of each row in a column 'split', or put all into one set with --into")  # fmt: skip
    places = {str(fold): name for fold, name in enumerate(missing, start=1)}
    result = []
    for utterance in utterances:
        if utterance.set == "train":
            fold = folds[utterance.speaker]
            kept = fold if len(missing) == 2 and utterance.fold is None else utterance.fold
            utterance = dataclasses.replace(utterance, set=places.get(fold, "train"), fold=kept)
        result.append(utterance)
    shares = Counter(places.get(fold, "train") for fold in folds.values())
    shown = ", ".join(f"{name} {shares[name]}" for name in ("train", *reversed(missing)))
    return result, f"no set {' and '.join(reversed(missing))} in the table; by speakers: {shown}"


def deal_speakers(utterances: Sequence[Utterance], emotions: Mapping[str, str | None]) -> dict[str, str]:
    """Return the fold of each speaker, "1" and so on: those with most utterances first, each into the smallest fold.

    There is none for anybody where nobody has an utterance that counts.
    """
    sizes = Counter({utterance.speaker: 0 for utterance in utterances})
    sizes.update(u.speaker for u in utterances if u.emotion is None or emotions.get(u.emotion))
    totals = [0] * min(FOLDS, sum(size > 0 for size in sizes.values()))
    folds: dict[str, str] = {}
    if not totals:
        return folds
    for speaker, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        smallest = totals.index(min(totals))
        totals[smallest] += size
        folds[speaker] = str(smallest + 1)
    return folds
