"""Labels as people write them, and the emotion that each means."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2ser.emotions import EMOTIONS
from c2ser.label_sets import LabelSet
from c2ser.prep.describe import Labels
from c2ser.yaml_files import read_yaml

SYNONYMS = {
    "anger": "angry|ang|mad|rage|fury|furious|wut|wütend|ärger|verärgert|zorn|zornig|愤怒|生气",
    "happiness": "happy|hap|joy|joyful|joyous|freude|fröhlich|freudig|glücklich|高兴|快乐|开心|喜悦",
    "neutral": "neu|neutrality|中性|中立",
    "sadness": "sad|sorrow|sorrowful|trauer|traurig|traurigkeit|悲伤|伤心|难过",
    "surprise": "surprised|sur|pleasant surprise|pleasantly surprised|astonished|astonishment|amazed|amazement|"
                "überraschung|überrascht|erstaunt|惊讶|惊喜|吃惊",
    "disgust": "disgusted|dis|ekel|angeekelt|厌恶|恶心",
    "fear": "fearful|fea|scared|afraid|frightened|terrified|anxiety/fear|fear/anxiety|angst|ängstlich|furcht|恐惧|害怕",
}  # fmt: skip
"""Other names of the seven emotions; no single letters, for A is Angst in one corpus and anger in another."""

OUTSIDE = frozenset(
    "calm calmness boredom bored contempt contemptuous excited excitement exc frustrated frustration fru other others "
    "unknown anxious anxiety amused amusement sleepy sleepiness disappointed disappointment confused confusion".split()
)
"""Names of emotions that are none of the seven; columns with these headings hold votes all the same."""

MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "-", "?"})
"""What tables write where they have no value, in lower case."""


def is_missing(value: str) -> bool:
    """Return whether a cell of a table says that there is no value."""
    return value.strip().casefold() in MISSING


def _key(label: str) -> str:
    """Return a label without differences in case, blanks and forms of its characters."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label).casefold()).strip()


class LabelNames:
    """The class that each label of a table means.

    Args:
        own: emotion by label, over the synonyms; None for a label that is none of the seven.
    """

    def __init__(self, own: Mapping[str, str | None] | None = None) -> None:
        self._known: dict[str, str | None] = {emotion: emotion for emotion in EMOTIONS}
        for emotion, names in SYNONYMS.items():
            self._known |= dict.fromkeys(map(_key, names.split("|")), emotion)
        self._known |= {_key(label): emotion for label, emotion in (own or {}).items()}

    def class_of(self, label: str) -> str:
        """Return one of the seven emotions or, for a label that is none of them, its own name without blanks."""
        key = _key(label)
        name = key.replace(" ", "_").replace(":", "_")
        return self._known.get(key) or (f"own_{name}" if name in EMOTIONS else name)  # the user's map says it is none

    def names_class(self, heading: str) -> bool:
        """Return whether a heading of a table is the name of an emotion."""
        return _key(heading) in self._known or _key(heading) in OUTSIDE


def chosen_classes(labels: str) -> tuple[Labels, LabelSet | None]:
    """Return which classes `--labels` asks for: seven, raw, or the file of a label set, whose classes alone are kept.

    Raises:
        ValueError: there is no such file, or it holds no classes.
    """
    if labels == "seven" or labels == "raw":
        return labels, None
    return "raw", LabelSet.from_json(_read(Path(labels)), labels)


def read_labels(labels: str) -> tuple[Labels, LabelSet | None, LabelNames]:
    """Return the same of a table's import, where the file may also map labels to the seven, and what labels mean."""
    if labels == "seven" or labels == "raw":
        return labels, None, LabelNames()
    content = _read(Path(labels))
    if isinstance(content, dict) and isinstance(content.get("names"), list):
        kept = LabelSet.from_json(content, labels)
        return "raw", kept, LabelNames({form: name for name in kept for form in kept.forms(name)})
    return "seven", None, LabelNames(_label_map(content, Path(labels)))


def _read(path: Path) -> Any:
    """Return what a YAML or JSON file holds."""
    try:
        return read_yaml(path)
    except OSError as error:
        raise ValueError(f"--labels {path}: {error.strerror}; give seven, raw or a YAML or JSON file") from None


def _label_map(content: Any, path: Path) -> dict[str, str | None]:
    """Return one of the seven emotions by label, None for a label that is none of them.

    Raises:
        ValueError: the file's content is something else; the message names the label.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{path}: no emotion by label; write lines such as 'livid: anger'")
    for label, emotion in content.items():
        if emotion is not None and emotion not in EMOTIONS:
            raise ValueError(f"{path}: {label}: '{emotion}' is none of {', '.join(EMOTIONS)}; name one, or null")
    return {str(label): emotion for label, emotion in content.items()}
