"""Figures about labels and answers: UA, WA, macro F1, how long answers take."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from c2ser.emotions import UNPARSED, ordered
from c2ser.label_sets import LabelSet


def scores(reference: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Compare labels with the reference.

    Every utterance of the reference counts: one without a label (`missing`) or whose answer could not be read
    (`unparsed`) is wrong, so that a model gains nothing by silence. The classes are those that stand in the two tables,
    so that a corpus' own (`--labels raw`) count like the seven emotions.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.

    Returns:
        `ua` (mean recall of the reference's emotions), `wa` (accuracy), `f1_reference` and `f1_union` (macro F1 over
        the emotions of the reference, and over those of reference and labels), all fractions; the counts `utterances`,
        `unreadable`, `unparsed`, `missing`; `per_emotion` recall; `classes` (recall, precision, F1 and utterances of
        each of the reference's emotions); `confusion` (counts by true emotion, then by label).

    Raises:
        ValueError: the reference is empty, an emotion is missing, or a label is of no utterance of the reference.
    """
    # slow to import
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

    true, predicted = aligned(reference, labels)
    classes, union = ordered(true), ordered({*true, *predicted} - {UNPARSED})
    columns = [*union, UNPARSED]
    recalls = recall_score(true, predicted, labels=classes, average=None, zero_division=0.0)
    unparsed = sum(labels.get(utterance) == UNPARSED for utterance in reference)
    missing = sum(utterance not in labels for utterance in reference)
    counts = confusion_matrix(true, predicted, labels=columns)
    return {
        "ua": float(np.mean(recalls)),
        "wa": float(accuracy_score(true, predicted)),
        "f1_reference": float(f1_score(true, predicted, labels=classes, average="macro", zero_division=0.0)),
        "f1_union": float(f1_score(true, predicted, labels=union, average="macro", zero_division=0.0)),
        "utterances": len(true),
        "unreadable": unparsed + missing,
        "unparsed": unparsed,
        "missing": missing,
        "classes": _classes(true, predicted, classes),
        "per_emotion": {emotion: float(recall) for emotion, recall in zip(classes, recalls, strict=True)},
        "confusion": {
            emotion: {column: int(count) for column, count in zip(columns, row, strict=True) if count}
            for emotion, row in zip(columns, counts, strict=True)
            if emotion in classes
        },
    }


def _classes(true: list[str], predicted: list[str], classes: list[str]) -> dict[str, dict[str, float]]:
    from sklearn.metrics import precision_recall_fscore_support  # slow to import

    figures = precision_recall_fscore_support(true, predicted, labels=classes, average=None, zero_division=0.0)
    rows = zip(classes, *figures, strict=True)
    return {
        emotion: {"recall": float(recall), "precision": float(precision), "f1": float(f1), "utterances": int(count)}
        for emotion, precision, recall, f1, count in rows
    }


def aligned(reference: Mapping[str, str], labels: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the true emotions and the labels in the reference's order; a missing label is "unparsed".

    Raises:
        ValueError: as `scores`.
    """
    if not reference:
        raise ValueError("the reference has no utterance; give the utt2emo of a data directory")
    strangers = sorted(set(labels) - set(reference))
    if strangers:
        raise ValueError(f"{strangers[0]}: labelled, but not in the reference ({len(strangers)} such utterances); "
                         "score against the data directory that was decoded")  # fmt: skip
    blank = next((name for name, emotion in reference.items() if emotion in ("", UNPARSED)), None)
    blank = blank or next((name for name, label in labels.items() if not label), None)
    if blank is not None:
        raise ValueError(f"{blank}: no emotion; complete utt2emo")
    return list(reference.values()), [labels.get(utterance, UNPARSED) for utterance in reference]


def seven_scores(
    reference: Mapping[str, str], labels: Mapping[str, str], classes: LabelSet
) -> dict[str, float | int] | None:
    """Return UA, WA and macro F1 by the seven emotions that classes come nearest to, to compare with other corpora.

    Args:
        reference: true class by utterance; those that come near none of the seven do not count.
        labels: class or "unparsed" by utterance.
        classes: the classes, and which of the seven they are.

    Returns:
        `ua`, `wa`, `f1_reference` and `utterances`; None where the classes are not mapped to the seven.
    """
    if not classes.seven:
        return None
    true = {name: emotion for name, label in reference.items() if (emotion := classes.emotion_of(label))}
    said = {name: classes.emotion_of(labels[name]) or UNPARSED for name in true if name in labels}
    figures = scores(true, said)
    return {name: figures[name] for name in ("ua", "wa", "f1_reference", "utterances")}


def timing(rows: Mapping[str, str]) -> dict[str, float]:
    """Summarise `utt2ms` (milliseconds and tokens of each answer).

    Raises:
        ValueError: a row is not two numbers.
    """
    values = []
    for utterance, row in rows.items():
        try:
            milliseconds, tokens = (float(number) for number in row.split())
        except ValueError:
            milliseconds = tokens = math.nan
        if not math.isfinite(milliseconds + tokens):
            raise ValueError(f"{utterance}: '{row}' is not milliseconds and tokens; decode again")
        values.append((milliseconds, tokens))
    if not values:
        raise ValueError("the timing table is empty; decode again")
    milliseconds, tokens = np.array(values).T
    return {
        "ms_mean": float(milliseconds.mean()),
        "ms_median": float(np.median(milliseconds)),
        "tokens_mean": float(tokens.mean()),
    }
