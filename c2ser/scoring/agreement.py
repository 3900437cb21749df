"""How labels hold when something changes that should not matter, and whether a model hears more than the words."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from c2ser.emotions import EMOTIONS, UNPARSED
from c2ser.scoring.bootstrap import (
    Interval,
    count_pairs,
    difference,
    drawn_intervals,
    ends_by_name,
    intervals,
    several_speakers,
    speaker_places,
)
from c2ser.scoring.faithfulness import plain_words
from c2ser.scoring.metrics import scores


def flip_rate(labels: Mapping[str, str], other_labels: Mapping[str, str]) -> float:
    """Return the share of utterances whose label differs between two tables; no label is a label of its own.

    Raises:
        ValueError: the tables have no utterance in common.
    """
    pairs = _pairs(labels, other_labels)
    return float(np.mean([label != other_label for label, other_label in pairs.values()]))


def flip_intervals(
    labels: Mapping[str, str], variants: Sequence[Mapping[str, str]], speakers: Mapping[str, str]
) -> list[Interval]:
    """Return the flip rate of each variant, and last their mean, with intervals from the same drawn speakers.

    Args:
        labels: emotion or "unparsed" by utterance.
        variants: labels of the same utterances after a change, one table for each change.
        speakers: speaker by utterance.

    Raises:
        ValueError: an utterance has no speaker, or there is one speaker alone.
    """
    names = sorted(set(labels).union(*variants))
    counted = [[name in labels or name in variant for variant in variants] for name in names]
    flips = [[labels.get(name, UNPARSED) != variant.get(name, UNPARSED) for variant in variants] for name in names]
    rows = speaker_places(names, speakers)
    counts = np.zeros((rows.max() + 1, 2, len(variants)))
    np.add.at(counts, rows, np.stack([counted, flips], axis=1))

    def rates(sums: np.ndarray) -> np.ndarray:
        """Return the rate of each variant and their mean, (sums, variants + 1)."""
        each = sums[:, 1] / np.maximum(sums[:, 0], 1)
        return np.column_stack([each, each.mean(axis=1)])

    return drawn_intervals(counts, rates)


def changes(
    reference: Mapping[str, str],
    labels: Mapping[str, str],
    variants: Mapping[str, Mapping[str, str]],
    speakers: Mapping[str, str],
) -> dict[str, Any]:
    """Return what changed audio or another instruction does to labels and to their UA.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.
        variants: labels of each variant of the set, by its name; "wording1" and so on are paraphrases.
        speakers: speaker by utterance; with fewer than two there are no intervals.

    Returns:
        `variants`: of each its `flips`, `ua`, `ua_change` (its UA minus that without the change) and `intervals`;
        `wordings`, where there are any: their `number`, mean `flips` with its interval, and the `worst_ua` of all.
    """
    ua = scores(reference, labels)["ua"]
    rows = {name: _change(reference, labels, variant, speakers, ua) for name, variant in variants.items()}
    paraphrases = [name for name in variants if name.startswith("wording")]
    if not paraphrases:
        return {"variants": rows}
    flips = float(np.mean([rows[name]["flips"] for name in paraphrases]))
    worst = min(ua, *(rows[name]["ua"] for name in paraphrases))
    wordings = {"number": len(paraphrases), "flips": flips, "worst_ua": worst}
    if several_speakers(labels, speakers):
        ends = flip_intervals(labels, [variants[name] for name in paraphrases], speakers)
        wordings["intervals"] = ends_by_name(["flips"], ends[-1:])
    return {"variants": rows, "wordings": wordings}


def _change(
    reference: Mapping[str, str],
    labels: Mapping[str, str],
    variant: Mapping[str, str],
    speakers: Mapping[str, str],
    unchanged_ua: float,
) -> dict[str, Any]:
    """Return the figures of one variant; `unchanged_ua` is the UA without it."""
    ua = scores(reference, variant)["ua"]
    figures: dict[str, Any] = {"flips": flip_rate(labels, variant), "ua": ua, "ua_change": ua - unchanged_ua}
    if several_speakers({*labels, *variant}, speakers):
        ends = [flip_intervals(labels, [variant], speakers)[0], difference(reference, variant, labels, speakers)]
        figures["intervals"] = ends_by_name(["flips", "ua_change"], ends)
    return figures


def reader_gap(
    reference: Mapping[str, str],
    parsed: Mapping[str, str],
    judged: Mapping[str, str],
    speakers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compare the judge's labels with the parser's.

    Args:
        reference: true emotion by utterance.
        parsed: emotion or "unparsed" by utterance, as the parser read the answers.
        judged: the same as the judge read them.
        speakers: speaker by utterance; without, or with one speaker alone, there are no intervals.

    Returns:
        the judge's `ua`, `wa`, `f1_reference`, `f1_union` and `unreadable`; `gap_ua` and `gap_wa`, its figures minus
        the parser's; `kappa`, Cohen's, of the two (1 where they are the same); `differ`, of how many utterances they
        read different labels; `intervals` of its figures and of the gaps.
    """
    of_judge, of_parser = scores(reference, judged), scores(reference, parsed)
    both = [[labels.get(utterance, UNPARSED) for utterance in reference] for labels in (judged, parsed)]
    figures = {
        **{name: of_judge[name] for name in ("ua", "wa", "f1_reference", "f1_union", "unreadable")},
        "gap_ua": of_judge["ua"] - of_parser["ua"],
        "gap_wa": of_judge["wa"] - of_parser["wa"],
        "kappa": _kappa(*both),
        "differ": sum(label != other_label for label, other_label in zip(*both, strict=True)),
    }
    if speakers and several_speakers(reference, speakers):
        gaps = [difference(reference, judged, parsed, speakers, metric) for metric in ("ua", "wa")]
        ends = intervals(reference, judged, speakers)
        figures["intervals"] = {**ends, **ends_by_name(("gap_ua", "gap_wa"), gaps)}
    return figures


def agreement(
    labels: Mapping[str, str], other_labels: Mapping[str, str], speakers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Compare two tables of labels.

    Args:
        labels: emotion or "unparsed" by utterance.
        other_labels: the second table.
        speakers: speaker by utterance; without, or with one speaker alone, there are no intervals.

    Returns:
        `agreement` (1 − flip rate), Cohen's `kappa`, `utterances`, and the `intervals` of the first two.
    """
    pairs = _pairs(labels, other_labels)
    kappa = _kappa(*zip(*pairs.values(), strict=True))
    figures: dict[str, Any] = {
        "agreement": 1 - flip_rate(labels, other_labels),
        "kappa": kappa,
        "utterances": len(pairs),
    }
    if speakers and several_speakers(pairs, speakers):
        readings = _readings(chain.from_iterable(pairs.values()))
        first, second = np.array([[readings.index(label) for label in pair] for pair in pairs.values()]).T
        counts = count_pairs(speaker_places([*pairs], speakers), first, second, len(readings))
        figures["intervals"] = ends_by_name(("agreement", "kappa"), drawn_intervals(counts, _agreements))
    return figures


def _pairs(labels: Mapping[str, str], other_labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return both labels of each utterance that either table has."""
    if not set(labels) & set(other_labels):
        raise ValueError("two tables of labels have no utterance in common; decode the same set in both ways")
    names = sorted(set(labels) | set(other_labels))
    return {name: (labels.get(name, UNPARSED), other_labels.get(name, UNPARSED)) for name in names}


def _kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Return Cohen's kappa of two readings of the same utterances; 1 where they are the same throughout."""
    from sklearn.metrics import cohen_kappa_score  # slow to import

    # chance is 1 where both say one label alone, and sklearn gives NaN
    return (
        1.0 if [*first] == [*second] else float(cohen_kappa_score(first, second, labels=_readings([*first, *second])))
    )


def _readings(labels: Iterable[str]) -> list[str]:
    """Return what can be read in an answer: the seven emotions, nothing, and what else stands in tables."""
    return [*EMOTIONS, UNPARSED, *sorted({*labels} - {*EMOTIONS, UNPARSED})]


def _agreements(counts: np.ndarray) -> np.ndarray:
    """Return observed agreement and Cohen's kappa, (sums, 2), of counted pairs (sums, labels, labels)."""
    shares = counts / counts.sum(axis=(1, 2), keepdims=True)
    observed = np.trace(shares, axis1=1, axis2=2)
    chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    alike = observed > 1 - 1e-12  # also where both say one label alone, and chance is 1
    kappa = np.where(alike, 1.0, (observed - chance) / np.where(alike, 1.0, 1 - chance))
    return np.column_stack([observed, kappa])


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
