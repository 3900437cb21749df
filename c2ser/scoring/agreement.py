"""How labels hold when something changes that should not matter, and whether they hear more than words."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.faithfulness import plain_words


def flip_rate(labels: Mapping[str, str], others: Mapping[str, str]) -> float:
    """Return the share of utterances whose label differs between two tables; no label is a label of its own.

    Raises:
        ValueError: the tables have no utterance in common.
    """
    if not set(labels) & set(others):
        raise ValueError("two tables of labels have no utterance in common; decode the same set in both ways")
    names = sorted(set(labels) | set(others))
    return float(np.mean([labels.get(name, UNPARSED) != others.get(name, UNPARSED) for name in names]))


def agreement(labels: Mapping[str, str], others: Mapping[str, str]) -> dict[str, float | int]:
    """Return `agreement` (1 − flip rate), Cohen's `kappa` and `utterances` of two tables of labels."""
    flips = flip_rate(labels, others)
    names = sorted(set(labels) | set(others))
    both = [[table.get(name, UNPARSED) for name in names] for table in (labels, others)]
    kappa = 1.0 if flips == 0 else float(cohen_kappa_score(*both, labels=[*EMOTIONS, UNPARSED]))
    return {"agreement": 1 - flips, "kappa": kappa, "utterances": len(names)}


def same_text(
    reference: Mapping[str, str], labels: Mapping[str, str], texts: Mapping[str, str]
) -> dict[str, Any] | None:
    """Score labels among utterances that say the same words, where only hearing helps.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.
        texts: transcripts.

    Returns:
        `texts` that are spoken with two emotions or more, `utterances` of these, `accuracy` (mean over the texts of the
        mean recall of their emotions), `chance` (mean over the texts of one by the number of emotions: what reading
        alone can reach), `skill` (how far accuracy lies above chance, 1 being perfect); None where there is none.
    """
    groups: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for name, emotion in reference.items():
        if words := plain_words(texts.get(name, "")):
            groups[words][emotion].append(labels.get(name) == emotion)
    parallel = [emotions for emotions in groups.values() if len(emotions) > 1]
    if not parallel:
        return None
    accuracy = float(np.mean([np.mean([np.mean(right) for right in emotions.values()]) for emotions in parallel]))
    chance = float(np.mean([1 / len(emotions) for emotions in parallel]))
    return {
        "texts": len(parallel),
        "utterances": sum(len(right) for emotions in parallel for right in emotions.values()),
        "accuracy": accuracy,
        "chance": chance,
        "skill": (accuracy - chance) / (1 - chance),
    }
