"""The automatic label: what sound and words say alike (section IV.A)."""

from collections import Counter
from collections.abc import Mapping

from c2ser.emotions import EMOTIONS


def agree(
    heard: Mapping[str, str], read: Mapping[str, str], minimum: float = 0.0
) -> tuple[dict[str, str], dict[str, str]]:
    """Intersect two tables of labels.

    Args:
        heard: `<emotion> <probability>` by utterance, from the sound.
        read: emotion or "unparsed" by utterance, from the words.
        minimum: the probability that the sound's label must have.

    Returns:
        emotion by utterance where both are the same one of the seven, and for all others why not. Together they are the
        utterances of both tables.

    Raises:
        ValueError: a row of `heard` is not an emotion and a probability.
    """
    agreed, reasons = {}, {}
    for name in sorted(set(heard) | set(read)):
        if name not in heard or name not in read:
            reasons[name] = f"no label from the {'sound' if name not in heard else 'words'}"
            continue
        try:
            emotion, probability = heard[name].split()
            sure = float(probability) >= minimum
        except ValueError:
            raise ValueError(f"{name}: '{heard[name]}' is not an emotion and a probability; label it again") from None
        if emotion not in EMOTIONS or emotion != read[name]:
            reasons[name] = f"the sound says {emotion}, the words say {read[name]}"
        elif not sure:
            reasons[name] = f"probability {probability} under {minimum:g}"
        else:
            agreed[name] = emotion
    return agreed, reasons


def counts(heard: Mapping[str, str], read: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return how often each label of the sound met each label of the words."""
    pairs = Counter((heard[name].split()[0], read[name]) for name in set(heard) & set(read))
    firsts = sorted({one for one, _ in pairs})
    return {one: {other: pairs[one, other] for other in sorted({o for o, _ in pairs} | {o for _, o in pairs})
                  if pairs[one, other]} for one in firsts}  # fmt: skip
