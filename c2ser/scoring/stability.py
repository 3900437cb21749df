"""The stability report: what a model's answers are worth beside accuracy. `docs/metrics.md` defines each figure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2ser.emotions import UNPARSED
from c2ser.label_sets import SEVEN, LabelSet, read_label_set
from c2ser.log import get_logger
from c2ser.scoring.agreement import agreement, changes, reader_gap, same_text
from c2ser.scoring.bootstrap import intervals
from c2ser.scoring.calibration import calibration
from c2ser.scoring.faithfulness import answer_kinds, level_figures, rationale_figures, transcript_figures
from c2ser.scoring.groups import in_parts
from c2ser.scoring.labels import rationale, read_answer, read_label
from c2ser.scoring.metrics import scores
from c2ser.tables import read_table

logger = get_logger(__name__)

VARIANT = re.compile(r"(wording|noise|gain|speed)[-\d.]+")
"""How a set is called beside the one that it is a variant of: `test-noise20`, `test-wording3`."""


@dataclass
class Decoded:
    """What a model predicted for a set; tables that are not there are empty.

    Attributes:
        labels: emotion or "unparsed" by utterance.
        answers: its answers in words.
        probabilities: `utt2prob` rows.
        judge: labels that a language model read.
        rationales: emotions that stand before the conclusions, where a language model read them.
        variants: labels of the same utterances with another instruction or changed audio, by variant.
        classes: what answers can name.
    """

    labels: dict[str, str]
    answers: dict[str, str]
    probabilities: dict[str, str]
    judge: dict[str, str]
    rationales: dict[str, str]
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    classes: LabelSet = SEVEN


def read_decoded(exp: Path, name: str) -> dict[str, Decoded]:
    """Return what the models below `exp` predicted for a set, from their `decode_<set>` and `decode_<set>-<variant>`.

    Raises:
        ValueError: no model has labels of that set.
    """
    models = {}
    for folder in sorted(exp.glob(f"*/decode_{name}")):
        if not (folder / "utt2emo").exists():
            continue
        labels, answers, probabilities, judge, rationales = (
            _table(folder / table) for table in ("utt2emo", "answer", "utt2prob", "utt2judge", "utt2rationale")
        )
        decoded = models[folder.parent.name] = Decoded(labels, answers, probabilities, judge, rationales)
        decoded.classes = read_label_set(folder)
        for table in sorted(folder.parent.glob(f"decode_{name}-*/utt2emo")):
            variant = table.parent.name.removeprefix(f"decode_{name}-")
            if VARIANT.fullmatch(variant):
                decoded.variants[variant] = read_table(table)
    if not models:
        raise ValueError(f"{exp}: no model has labels in decode_{name}; run stages 8 and 9 first")
    return models


def _table(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def measure_stability(data: Path, models: Mapping[str, Decoded]) -> dict[str, Any]:
    """Return the figures of every model, and of the explicit and the implicit one together.

    Args:
        data: data directory; of its tables all but utt2emo may be missing.
        models: what was decoded, by model.

    Raises:
        ValueError: an emotion is no class of a model, or as `c2ser.scoring.metrics.scores`.
    """
    tables = {name: _table(data / name) for name in ("utt2emo", "text", "utt2lang", "utt2level", "utt2spk", "utt2dur")}
    figures = {model: _model_figures(decoded, tables) for model, decoded in models.items()}
    both = {}
    if "explicit" in models and "implicit" in models:
        labels, other_labels = models["explicit"].labels, models["implicit"].labels
        both = {"explicit_implicit": agreement(labels, other_labels, tables["utt2spk"])}
    return {"set": data.name, "utterances": len(tables["utt2emo"]), "models": figures, **both}


def _model_figures(decoded: Decoded, tables: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    reference, texts = tables["utt2emo"], tables["text"]
    for table in (reference, decoded.labels):
        decoded.classes.check_table(table, UNPARSED)
    accuracy = scores(reference, decoded.labels)
    figures: dict[str, Any] = {name: accuracy[name] for name in ("ua", "wa", "f1_reference", "f1_union")}
    if ends := intervals(reference, decoded.labels, tables["utt2spk"]):
        figures["intervals"] = ends
    parts = in_parts(reference, decoded.labels, tables)
    figures |= {part: rows for part, rows in parts.items() if len(rows) > 1}
    if decoded.answers:
        figures["answers"] = answer_kinds(decoded.answers, reference, decoded.labels, texts, decoded.classes)
        if explains(decoded.answers):
            figures |= _faithfulness(decoded, tables)
    if decoded.judge:
        figures["judge"] = reader_gap(reference, decoded.labels, decoded.judge, tables["utt2spk"])
    if texts and (parallel := same_text(reference, decoded.labels, texts)):
        figures["same_text"] = parallel
    if decoded.probabilities:
        figures["calibration"] = calibration(reference, decoded.probabilities, decoded.classes)
    if decoded.variants:
        figures |= changes(reference, decoded.labels, decoded.variants, tables["utt2spk"])
    return figures


def explains(answers: Mapping[str, str]) -> bool:
    """Return whether answers are explicit: half of them or more quote something or state a level."""
    readings = [read_answer(answer) for answer in answers.values()]
    return 2 * sum(reading.transcript is not None or bool(reading.levels) for reading in readings) >= len(readings) > 0


def _faithfulness(decoded: Decoded, tables: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    answers, texts = decoded.answers, tables["text"]
    figures: dict[str, Any] = {}
    if quoted := transcript_figures(answers, texts, tables["utt2lang"]):
        figures["transcripts"] = quoted
    if set(answers) & set(tables["utt2level"]):
        figures["levels"] = level_figures(answers, tables["utt2level"])
    classes = decoded.classes
    parsed = {
        name: read_label(rationale(answer, texts.get(name, ""), classes), labels=classes)
        for name, answer in answers.items()
    }
    figures["rationales"] = rationale_figures(decoded.rationales or parsed, decoded.labels)
    return figures
