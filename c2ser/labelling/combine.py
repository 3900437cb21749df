"""The automatic label: the emotion on which sound and words agree (section IV.A)."""

from collections import Counter
from collections.abc import Mapping

from c2ser.emotions import EMOTIONS


def combine_labels(
    by_sound: Mapping[str, str], by_words: Mapping[str, str], minimum: float = 0.0
) -> tuple[dict[str, str], dict[str, str]]:
    """Keep the labels on which two tables agree.

    Args:
        by_sound: `<emotion> <probability>` by utterance, from the sound.
        by_words: emotion or "unparsed" by utterance, from the words.
        minimum: the probability that the sound's label must have.

    Returns:
        emotion by utterance, where both tables have the same one of the seven; and reason by utterance, for all others
        of both tables.

    Raises:
        ValueError: a row of `by_sound` is not an emotion and a probability.
    """
    agreed, reasons = {}, {}
    for name in sorted(set(by_sound) | set(by_words)):
        if name not in by_sound or name not in by_words:
            reasons[name] = f"no label from the {'sound' if name not in by_sound else 'words'}"
            continue
        try:
            emotion, probability = by_sound[name].split()
            certain = float(probability) >= minimum
        except ValueError:
            row = by_sound[name]
            raise ValueError(f"{name}: '{row}' is not an emotion and a probability; label it again") from None
        if emotion not in EMOTIONS or emotion != by_words[name]:
            reasons[name] = f"the sound says {emotion}, the words say {by_words[name]}"
        elif not certain:
            reasons[name] = f"probability {probability} under {minimum:g}"
        else:
            agreed[name] = emotion
    return agreed, reasons


def count_pairs(by_sound: Mapping[str, str], by_words: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return how many utterances have each pair of labels, by the label of the sound, then of the words."""
    pairs = Counter((by_sound[name].split()[0], by_words[name]) for name in set(by_sound) & set(by_words))
    table: dict[str, dict[str, int]] = {}
    for (sound, words), number in sorted(pairs.items()):
        table.setdefault(sound, {})[words] = number
    return table
