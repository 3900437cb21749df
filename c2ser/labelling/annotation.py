"""A page on which experts label utterances, and how their labels are combined (section IV.B)."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from c2ser.corpus import Utterance, read_data_dir
from c2ser.emotions import EMOTIONS
from c2ser.tables import read_json, write_text

NONE = "none"
"""The label of an utterance that has none of the seven emotions, or cannot be judged."""

PLAYED = (".wav", ".mp3", ".flac", ".ogg", ".opus")
"""Audio files that browsers play."""


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
        shutil.copyfile(utterances[i].wav, out / name)
        items.append({"id": i, "audio": name, "text": utterances[i].text})
    content = {"set": digest(utterances), "title": title, "labels": [*EMOTIONS, NONE], "items": items}
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


def read_annotations(paths: Sequence[Path], utterances: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the experts' labels, by expert and utterance.

    Raises:
        ValueError: a file is not from this page, has an unknown label or utterance, or two files have one expert.
    """
    experts: dict[str, dict[str, str]] = {}
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
        for i, label in content["labels"].items():
            if i not in utterances or label not in (*EMOTIONS, NONE):
                raise ValueError(f"{i}: '{label}' in {path} is no label of an utterance of this set; save again")
        experts[expert] = content["labels"]
    return experts


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
