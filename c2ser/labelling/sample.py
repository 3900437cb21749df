"""Samples with the same number of utterances of each emotion in each language."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping

from c2ser.log import get_logger

logger = get_logger(__name__)


def draw_sample(emotions: Mapping[str, str], languages: Mapping[str, str], number: int, seed: int = 1) -> list[str]:
    """Return `number` utterances of each emotion in each language, or all of them if there are fewer.

    A hash of seed and utterance decides. So the draw does not depend on the order of the utterances, and a larger
    sample contains the smaller one.

    Args:
        emotions: emotion by utterance.
        languages: language by utterance.
        number: how many of each.
        seed: decides the draw.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, emotion in emotions.items():
        groups[languages.get(name, ""), emotion].append(name)
    drawn = []
    for (language, emotion), names in sorted(groups.items()):
        if len(names) < number:
            logger.warning("%s in %s: %d utterances of %d", emotion, language or "no language", len(names), number)
        drawn += sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:number]
    return sorted(drawn, key=str.encode)
