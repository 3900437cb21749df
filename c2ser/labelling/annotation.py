"""A page on which experts label utterances, and how their labels are combined (section IV.B)."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2ser.corpus import Utterance, read_data_dir
from c2ser.emotions import EMOTIONS
from c2ser.tables import read_json, write_bytes, write_text

NONE = "none"
"""The label of an utterance that has none of the seven emotions, or cannot be judged."""

CONFIDENCE = {1: "a guess", 2: "fairly sure", 3: "sure"}
"""How sure an expert is of a label."""

PLAYED = (".wav", ".mp3", ".flac", ".ogg", ".opus")
"""Audio files that browsers play."""


@dataclass(frozen=True)
class Annotations:
    """What an expert heard.

    Attributes:
        labels: the main label by utterance.
        more: further labels by utterance, where there are any.
        confidence: how sure the expert is by utterance, as in `CONFIDENCE`; files of older pages have none.
    """

    labels: dict[str, str]
    more: dict[str, list[str]]
    confidence: dict[str, int]

    def surest(self, minimum: int) -> dict[str, str]:
        """Return the main labels of which the expert is at least that sure; one without a confidence counts as sure."""
        return {i: label for i, label in self.labels.items() if self.confidence.get(i, max(CONFIDENCE)) >= minimum}


def make_page(data: Path, out: Path, title: str) -> None:
    """Write `index.html` and the audio that it plays; the folder works anywhere, without a server.

    The page shows no automatic label, and the order of the utterances tells nothing about them.

    Args:
        data: data directory with the utterances.
        out: folder of the page.
        title: its heading.

    Raises:
        ValueError: an audio file is missing, or browsers cannot play it; the message names the utterance.
    """
    utterances = read_data_dir(data)
    ordered = sorted(utterances, key=lambda i: hashlib.sha256(i.encode()).digest())
    (out / "audio").mkdir(parents=True, exist_ok=True)
    items = []
    for number, i in enumerate(ordered):
        name = f"audio/{number:05}{_suffix(i, utterances[i])}"
        write_bytes(out / name, Path(utterances[i].wav).read_bytes())
        items.append({"id": i, "audio": name, "text": utterances[i].text})
    content: dict[str, Any] = {"set": digest(utterances), "title": title, "labels": [*EMOTIONS, NONE], "items": items}
    content["confidence"] = list(CONFIDENCE.items())
    embedded = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")  # so that no text can end the script
    template = (Path(__file__).parent / "page.html").read_text("utf-8")
    write_text(out / "index.html", template.replace("@DATA@", embedded))


def _suffix(i: str, utterance: Utterance) -> str:
    path = Path(utterance.wav)
    if path.suffix.lower() not in PLAYED:
        raise ValueError(f"{i}: browsers do not play {path.suffix or 'this file'}; convert it to wav first")
    if not path.is_file():
        raise ValueError(f"{i}: no file {path}; check wav.scp")
    return path.suffix.lower()


def digest(utterances: Mapping[str, Any]) -> str:
    """Return a hash of the ids of a set, which shows whether labels belong to this set."""
    return hashlib.sha256("\n".join(sorted(utterances)).encode()).hexdigest()[:16]


def read_annotations(paths: Sequence[Path], utterances: Mapping[str, Any]) -> dict[str, Annotations]:
    """Return what the experts heard, by expert; files of older pages have one label for each utterance, and no more.

    Raises:
        ValueError: a file is not from this page, has an unknown label, confidence or utterance, or two files have one
            expert.
    """
    experts: dict[str, Annotations] = {}
    for path in paths:
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
            raise ValueError(f"{path}: not a file that the page saved; let the expert save again")
        if content.get("set") != digest(utterances):
            raise ValueError(
                f"{path}: its labels are for another set of utterances; give the data directory of its page"
            )
        expert = " ".join(str(content.get("expert", "")).split())
        if not expert or expert in experts:
            raise ValueError(f"{path}: the expert '{expert}' comes twice or has no name; correct it in the file")
        experts[expert] = _checked(path, content, utterances)
    return experts


def _checked(path: Path, content: Mapping[str, Any], utterances: Mapping[str, Any]) -> Annotations:
    labels, more, confidence = (content.get(part, {}) for part in ("labels", "more", "confidence"))
    if not isinstance(more, dict) or not isinstance(confidence, dict):
        raise ValueError(f"{path}: not a file that the page saved; let the expert save again")
    for i, label in labels.items():
        others = more.get(i, [])
        given = [label, *others] if isinstance(others, list) else [others]
        strange = next((word for word in given if word not in (*EMOTIONS, NONE)), None)
        if i not in utterances or strange is not None or len({*given}) < len(given):
            wrong = label if strange is None else strange
            raise ValueError(f"{i}: '{wrong}' in {path} is no label of an utterance of this set; save again")
    stray = next((i for i in (*more, *confidence) if i not in labels), None)
    unsure = next((i for i, value in confidence.items() if value not in [*CONFIDENCE]), stray)
    if unsure is not None:
        raise ValueError(f"{unsure}: a confidence or a further label in {path} belongs to no label; save again")
    return Annotations(labels, more, confidence)


def votes(experts: Mapping[str, Annotations], utterances: Mapping[str, Any]) -> dict[str, str]:
    """Return the share of the experts who named each label, by utterance that one of them labelled.

    Further labels count as the main one does, so that the numbers of a row may sum to more than one.

    Returns:
        a table whose rows have a number for each of `EMOTIONS`, then one for `NONE`.
    """
    rows = {}
    for i in utterances:
        named = [{a.labels[i], *a.more.get(i, [])} for a in experts.values() if i in a.labels]
        if named:
            shares = (sum(label in given for given in named) / len(named) for label in (*EMOTIONS, NONE))
            rows[i] = " ".join(f"{share:.3g}" for share in shares)
    return rows


def unanimous(
    experts: Mapping[str, Mapping[str, str]], utterances: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the emotion by utterance, if all experts gave the same one, and the reason by utterance for all others.

    Raises:
        ValueError: there are no labels.
    """
    if not experts:
        raise ValueError("no file of an expert; give what the page saved")
    kept, reasons = {}, {}
    for i in utterances:
        given = Counter(labels.get(i, "nothing") for labels in experts.values())
        label = next(iter(given))
        if len(given) == 1 and label in EMOTIONS:
            kept[i] = label
        else:
            reasons[i] = "experts say " + ", ".join(f"{label} ({count})" for label, count in given.most_common())
    return kept, reasons


def fleiss_kappa(experts: Mapping[str, Mapping[str, str]], utterances: Mapping[str, Any]) -> float | None:
    """Return the experts' agreement beyond chance, over the utterances that all of them labelled.

    Returns:
        (P − Pₑ)/(1 − Pₑ): P is the mean share of agreeing pairs of experts, Pₑ the sum of the squared shares of the
        labels; None with fewer than two experts, without common utterances, or if all gave one label to all.
    """
    common = [i for i in utterances if all(i in labels for labels in experts.values())]
    number = len(experts)
    if number < 2 or not common:
        return None
    rows = [Counter(labels[i] for labels in experts.values()) for i in common]
    pairs = sum(sum(count * (count - 1) for count in row.values()) for row in rows)
    observed = pairs / (len(common) * number * (number - 1))
    shares = [count / (len(common) * number) for count in sum(rows, Counter()).values()]
    chance = sum(share**2 for share in shares)
    return None if chance == 1 else (observed - chance) / (1 - chance)
