"""Figures about labels and answers: UA, WA, macro F1, what explicit answers name, how long answers take."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from c2ser.emotions import ATTRIBUTES, EMOTIONS, UNPARSED, check_emotion
from c2ser.scoring.labels import read_answer


def scores(reference: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Compare labels with the reference.

    Every utterance of the reference counts: one without a label (`missing`) or whose answer could not be read
    (`unparsed`) is wrong, so that a model gains nothing by silence.

    Args:
        reference: true emotion by utterance.
        labels: emotion or "unparsed" by utterance.

    Returns:
        `ua` (mean recall of the reference's emotions), `wa` (accuracy), `f1_reference` and `f1_union` (macro F1 over
        the emotions of the reference, and over those of reference and labels), all fractions; the counts `utterances`,
        `unreadable`, `unparsed`, `missing`; `per_emotion` recall; `confusion` (counts by true emotion, then by label).

    Raises:
        ValueError: the reference is empty, an emotion is unknown, or a label is of no utterance of the reference.
    """
    true, said = _aligned(reference, labels)
    classes = [emotion for emotion in EMOTIONS if emotion in true]
    union = [emotion for emotion in EMOTIONS if emotion in true or emotion in said]
    columns = [*EMOTIONS, UNPARSED]
    recalls = recall_score(true, said, labels=classes, average=None, zero_division=0.0)
    unparsed = sum(labels.get(utterance) == UNPARSED for utterance in reference)
    missing = sum(utterance not in labels for utterance in reference)
    counts = confusion_matrix(true, said, labels=columns)
    return {
        "ua": float(np.mean(recalls)),
        "wa": float(accuracy_score(true, said)),
        "f1_reference": float(f1_score(true, said, labels=classes, average="macro", zero_division=0.0)),
        "f1_union": float(f1_score(true, said, labels=union, average="macro", zero_division=0.0)),
        "utterances": len(true),
        "unreadable": unparsed + missing,
        "unparsed": unparsed,
        "missing": missing,
        "per_emotion": {emotion: float(recall) for emotion, recall in zip(classes, recalls, strict=True)},
        "confusion": {
            emotion: {column: int(count) for column, count in zip(columns, row, strict=True) if count}
            for emotion, row in zip(columns, counts, strict=True)
            if emotion in classes
        },
    }


def _aligned(reference: Mapping[str, str], labels: Mapping[str, str]) -> tuple[list[str], list[str]]:
    if not reference:
        raise ValueError("the reference has no utterance; give the utt2emo of a data directory")
    strangers = sorted(set(labels) - set(reference))
    if strangers:
        raise ValueError(f"{strangers[0]}: labelled, but not in the reference ({len(strangers)} such utterances); "
                         "score against the data directory that was decoded")  # fmt: skip
    for table in (reference, {name: label for name, label in labels.items() if label != UNPARSED}):
        for utterance, emotion in table.items():
            check_emotion(emotion, utterance)
    return list(reference.values()), [labels.get(utterance, UNPARSED) for utterance in reference]


def explicit_figures(
    answers: Mapping[str, str], levels: Mapping[str, str], texts: Mapping[str, str]
) -> dict[str, float]:
    """Compare what explicit answers name with what is known.

    Args:
        answers: answer by utterance.
        levels: the true `utt2level` rows.
        texts: the true transcripts.

    Returns:
        `names_all` (share of the answers that name a transcript and three levels), `level_accuracy` (share of right
        levels among all, a level that is not named being wrong), `wer` (word error rate of the transcripts; characters
        count as words in scripts without spaces).

    Raises:
        ValueError: no answer has both levels and a transcript to compare with.
    """
    common = sorted(set(answers) & set(levels) & set(texts))
    if not common:
        raise ValueError("no answer has a level and a transcript to compare with; check --levels and --text")
    readings = {utterance: read_answer(answers[utterance]) for utterance in common}
    complete = [bool(r.transcript) and len(r.levels) == len(ATTRIBUTES) for r in readings.values()]
    right = [
        readings[utterance].levels.get(attribute) == level
        for utterance in common
        for attribute, level in zip(ATTRIBUTES, levels[utterance].split(), strict=True)
    ]
    return {
        "names_all": float(np.mean(complete)),
        "level_accuracy": float(np.mean(right)),
        "wer": _word_error_rate([texts[u] for u in common], [readings[u].transcript or "" for u in common]),
    }


def _word_error_rate(true: list[str], said: list[str]) -> float:
    import jiwer  # in the extra [eval], and slow to import

    return float(jiwer.wer([_words(text) for text in true], [_words(text) for text in said]))


def _words(text: str) -> str:
    spaced = "".join(f" {sign} " if "\u3040" <= sign <= "\u9fff" else sign for sign in text.lower())
    return " ".join("".join(sign if sign.isalnum() or sign == "'" else " " for sign in spaced).split())


def timing(rows: Mapping[str, str]) -> dict[str, float]:
    """Summarise `utt2ms` (milliseconds and tokens of each answer).

    Raises:
        ValueError: a row is not two numbers.
    """
    values = []
    for utterance, row in rows.items():
        try:
            milliseconds, tokens = (float(word) for word in row.split())
        except ValueError:
            raise ValueError(f"{utterance}: '{row}' is not milliseconds and tokens; decode again") from None
        values.append((milliseconds, tokens))
    if not values:
        raise ValueError("the timing table is empty; decode again")
    milliseconds, tokens = np.array(values).T
    return {
        "ms_mean": float(milliseconds.mean()),
        "ms_median": float(np.median(milliseconds)),
        "tokens_mean": float(tokens.mean()),
    }
