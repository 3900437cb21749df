"""What explicit answers say beside the emotion, compared with what is known: transcripts, levels, rationales."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from c2ser.emotions import ATTRIBUTES, LEVELS, UNPARSED
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.scoring.labels import KINDS, read_answer, read_kind
from c2ser.transcripts import spoken


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
        "wer": word_error_rate([texts[u] for u in common], [readings[u].transcript or "" for u in common]),
    }


def word_error_rate(true: Sequence[str], transcripts: Sequence[str]) -> float:
    """Return errors per true word; characters count as words in scripts without spaces."""
    import jiwer  # in the extra [eval], and slow to import

    return float(jiwer.wer([plain_words(text) for text in true], [plain_words(text) for text in transcripts]))


def plain_words(text: str) -> str:
    """Return a text in lower case, without punctuation, each Chinese or Japanese character a word."""
    spaced = "".join(f" {sign} " if "\u3040" <= sign <= "\u9fff" else sign for sign in text.lower())
    return " ".join("".join(sign if sign.isalnum() or sign == "'" else " " for sign in spaced).split())


SPACELESS = ("zh", "ja", "yue")
"""Languages whose transcripts are compared by character (CER), all others by word (WER)."""


def transcript_figures(
    answers: Mapping[str, str], texts: Mapping[str, str], languages: Mapping[str, str]
) -> dict[str, float | int]:
    """Compare the transcripts that answers quote with the true ones.

    Args:
        answers: answer by utterance.
        texts: true transcripts; utterances without words in theirs are left out.
        languages: ISO 639-1 code by utterance.

    Returns:
        nothing where no utterance is left; else `quoted` (share of the answers that quote anything), and where there
        are such utterances `wer` and `wer_insertions` (errors and inserted words per true word) and `cer` and
        `cer_insertions` (per character, of Chinese and Japanese); an answer without a quotation has lost every word.
    """
    import jiwer  # in the extra [eval], and slow to import

    texts = {name: spoken(texts.get(name, "")) for name in sorted(answers)}
    names = [name for name in texts if plain_words(texts[name])]
    transcripts = {name: read_answer(answers[name], texts[name]).transcript for name in names}
    if not transcripts:
        return {}
    figures: dict[str, float | int] = {"quoted": _share([quoted is not None for quoted in transcripts.values()])}
    for unit in ("wer", "cer"):
        names = [name for name in transcripts if (languages.get(name, "") in SPACELESS) == (unit == "cer")]
        if names:
            errors = jiwer.process_words(
                [plain_words(texts[name]) for name in names], [plain_words(transcripts[name] or "") for name in names]
            )
            true = errors.hits + errors.substitutions + errors.deletions
            figures |= {unit: float(errors.wer), f"{unit}_insertions": errors.insertions / true}
    return figures


def level_figures(answers: Mapping[str, str], levels: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Compare the levels that answers state with the measured ones.

    Args:
        answers: answer by utterance.
        levels: `utt2level` rows.

    Returns:
        for each attribute `stated` (share of the answers that name one level), `balanced_accuracy` (mean over the
        measured levels of the share stated rightly, nothing stated being wrong), `contradicted` (share of the stated
        levels that are wrong; left out where nothing is stated).
    """
    common = sorted(set(answers) & set(levels))
    readings = {name: read_answer(answers[name]).levels for name in common}
    figures = {}
    for place, attribute in enumerate(ATTRIBUTES):
        true = {name: levels[name].split()[place] for name in common}
        stated = {name: readings[name].get(attribute) for name in common}
        recalls = [_share([stated[n] == level for n in common if true[n] == level]) for level in LEVELS]
        named = [name for name in common if stated[name] is not None]
        figures[attribute] = {
            "stated": len(named) / len(common),
            "balanced_accuracy": float(np.nanmean(recalls)),
            **({"contradicted": _share([stated[name] != true[name] for name in named])} if named else {}),
        }
    return figures


def rationale_figures(rationales: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, float | int]:
    """Compare the emotion of each rationale with that of its conclusion.

    Args:
        rationales: emotion or "unparsed" that stands before each conclusion.
        labels: emotion or "unparsed" of each answer.

    Returns:
        `compared`, how many have both, and if any `agreement`, the share in which they are the same.
    """
    both = [n for n, emotion in rationales.items() if UNPARSED not in (emotion, labels.get(n, UNPARSED))]
    agreed = {"agreement": _share([rationales[name] == labels[name] for name in both])} if both else {}
    return {"compared": len(both), **agreed}


def answer_kinds(
    answers: Mapping[str, str],
    reference: Mapping[str, str],
    labels: Mapping[str, str],
    texts: Mapping[str, str],
    classes: LabelSet = SEVEN,
) -> dict[str, float]:
    """Return what share of the reference's utterances has which kind of answer, if answers can name these classes.

    Returns:
        the share of each kind of `c2ser.scoring.labels.KINDS` but "label", of `missing` answers and of those
        `out_of_set`, whose label is none of the reference's emotions; `unreadable` is the sum of all but the last, and
        `invalid` the sum of all.
    """
    true, counts = set(reference.values()), dict.fromkeys(["missing", "out_of_set", *KINDS], 0)
    for name in reference:
        kind: Any = read_kind(answers[name], texts.get(name, ""), classes) if name in answers else "missing"
        if kind == "label" and labels.get(name, UNPARSED) not in {*true, UNPARSED}:
            kind = "out_of_set"
        counts[kind] += 1
    shares = {kind: count / len(reference) for kind, count in counts.items() if kind != "label"}
    unreadable = sum(share for kind, share in shares.items() if kind != "out_of_set")
    return {"invalid": sum(shares.values()), "unreadable": unreadable, **shares}


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")
