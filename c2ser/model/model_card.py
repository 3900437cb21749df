"""The model card: README.md of a model folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.config import C2SERConfig

HEAD = """---
license: other
tags: [speech-emotion-recognition, c2ser]
---

# C²SER model

Recognises {emotions} in speech{reasons} ({style} chain of thought).

| part | what |
|---|---|
| semantic encoder | {whisper} |
| acoustic encoder | {emotion2vec} |
| language model | {llm} ({inside}) |
| trained parts | {trainable} |

```python
from c2ser import C2SER

result = C2SER.from_pretrained("this/folder").predict("speech.wav")
print(result.emotion, result.probabilities, result.answer)
```
"""

INTENDED_USE = """
Research on speech emotion, and tools around it. A recognised emotion is a guess about how speech sounds to others, not
a fact about what a person feels. Accuracy differs between languages, speakers and recordings. Decide nothing about
people by it. In the European Union it is prohibited to infer emotions of people at work or in education from their
voice, save for medical or safety reasons (Regulation (EU) 2024/1689, Article 5(1)(f)); other uses are high-risk and
bring duties of transparency. Voices are personal data.
""".strip()

USE = f"""
## Intended use

{INTENDED_USE}

## Licence duties

These weights derive from the parts named above, and from the corpora and chains of thought that they were trained on;
all their licences go on to hold. As published: Whisper MIT; Qwen2-7B and Qwen2-7B-Instruct Apache-2.0, other sizes and
families their own; Emotion2Vec-S and C²SER Apache-2.0 by their model cards. Many emotion corpora allow research only.
Whoever distributes a model trained on texts by GLM-4-9B must show "Built with glm-4" and begin its name with "glm-4".
"""


def format_card(
    config: C2SERConfig,
    llm_inside: bool,
    labels: LabelSet = SEVEN,
    training: Mapping[str, Any] | None = None,
    counts: Mapping[str, Mapping[str, int]] | None = None,
    scores: Mapping[str, Mapping[str, Any]] | None = None,
    notes: str = "",
) -> str:
    """Return a model card as Markdown.

    Args:
        config: the model's settings.
        llm_inside: whether the folder holds the language model's own weights.
        labels: the classes that it knows.
        training: settings of its training, as `config.yaml` holds them.
        counts: utterances by emotion, by data set.
        scores: content of `scores.json` by test set.
        notes: what else a user should know, in its own section.
    """
    head = HEAD.format(
        emotions=", ".join(labels),
        reasons=" and gives its reasons in words" if config.style == "explicit" else "",
        style=config.style,
        whisper=config.whisper or "none",
        emotion2vec=_acoustic(config),
        llm=config.llm,
        inside="weights inside" if llm_inside else "weights from there, adapters inside",
        trainable=", ".join(config.trainable) or "none",
    )
    parts = [
        head,
        f"\n{notes.strip()}\n" if notes else "",
        _data(counts, labels),
        _scores(scores),
        _training(training),
        USE,
    ]
    return "".join(parts)


def _acoustic(config: C2SERConfig) -> str:
    if not config.emotion2vec:
        return "none"
    ours = config.acoustic in ("tokens", "first-frames")  # all encoders have frames
    return f"{'Emotion2Vec-S' if ours else Path(config.emotion2vec).name}, frozen ({config.acoustic})"


def _data(counts: Mapping[str, Mapping[str, int]] | None, labels: LabelSet) -> str:
    if not counts:
        return "\n## Data\n\nSee the training configuration; nothing more was recorded in this folder.\n"
    rows: list[list[object]] = [["set", *labels, "all"]]
    rows += [[name, *(count.get(e, 0) for e in labels), sum(count.values())] for name, count in counts.items()]
    return "\n## Data\n\nUtterances by emotion.\n\n" + format_table(rows)


def _scores(scores: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not scores:
        return "\n## Scores\n\nNot measured.\n"
    rows: list[list[object]] = [["test set", "UA %", "WA %", "utterances", "unreadable"]]
    for name, score in scores.items():
        rows.append(
            [name, f"{100 * score['ua']:.1f}", f"{100 * score['wa']:.1f}", score["utterances"], score["unreadable"]]
        )
    return "\n## Scores\n\nBy the emotion that the answer names.\n\n" + format_table(rows)


def format_table(rows: list[list[object]]) -> str:
    """Return rows as a table of Markdown, the first one as its heading."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def _training(training: Mapping[str, Any] | None) -> str:
    if not training:
        return "\n## Training\n\n`config.yaml`, where present, holds the settings.\n"
    shown = {key: value for key, value in training.items() if key not in ("train", "valid", "tests", "init", "model")}
    return f"\n## Training\n\n```yaml\n{yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)}```\n"
