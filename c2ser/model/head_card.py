"""The model card of an encoder with a head: README.md of its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from c2ser.model.model_card import INTENDED_USE, format_table
from c2ser.ratings import Target

HEAD = """---
license: other
tags: [speech-emotion-recognition, c2ser]
---

# {title}

{what} It is an encoder with a small head (projection, mean over time, linear layer), trained by `c2ser finetune`.

| part | what |
|---|---|
| encoder | {encoder} |
| of the encoder was trained | {tuned} |
| outputs | {outputs} |

```python
import c2ser

result = c2ser.load("this/folder").predict("speech.wav")
print({shown})
```
"""

TITLES: Mapping[Target, tuple[str, str, str]] = {
    "emotion": ("Emotions in speech", "Says which of its classes speech sounds like.",
                "result.emotion, result.probabilities"),
    "votes": ("Emotions in speech, as votes", "Says how many listeners of a hundred would choose each class.",
              "result.emotion, result.probabilities"),
    "dimensions": ("Dimensions of emotion in speech", "Gives numbers on the scale of the corpus.",
                   "result.probabilities  # the values"),
}  # fmt: skip
"""Heading, first sentence and what a program would print, by target."""

USE = f"""
## Intended use

{INTENDED_USE}

## Licence duties

These weights derive from the encoder named above and from the corpora that they were trained on; all their licences go
on to hold. Many emotion corpora allow research only.
"""


@dataclass
class HeadFacts:
    """What a card says beside the model itself.

    Attributes:
        encoder: which one, as it was given.
        tuned: what of it was trained.
        counts: utterances by class, by data set; empty for dimensions.
        figures: rows of the scores by set, as they are shown, by heading.
        training: settings, as config.yaml holds them.
        notes: what else a user should know, a sentence each.
    """

    encoder: str
    tuned: str
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def format_head_card(target: Target, outputs: Sequence[str], facts: HeadFacts) -> str:
    """Return a model card as Markdown.

    Args:
        target: what the model learnt.
        outputs: its classes or dimensions.
        facts: what else is known.
    """
    title, what, shown = TITLES[target]
    head = HEAD.format(title=title, what=what, shown=shown, encoder=facts.encoder, tuned=facts.tuned,
                       outputs=", ".join(outputs))  # fmt: skip
    notes = "".join(f"\n* {note}" for note in facts.notes)
    settings = yaml.safe_dump(dict(facts.training), sort_keys=False, allow_unicode=True)
    training = f"\n## Training\n\n```yaml\n{settings}```\n"
    return "".join([head, f"{notes}\n" if notes else "", _data(facts, outputs), _scores(facts), training, USE])


def _data(facts: HeadFacts, outputs: Sequence[str]) -> str:
    if not facts.counts:
        return ""
    rows: list[list[object]] = [["set", *outputs, "all"]]
    rows += [[name, *(row.get(o, 0) for o in outputs), sum(row.values())] for name, row in facts.counts.items()]
    return "\n## Data\n\nUtterances by class.\n\n" + format_table(rows)


def _scores(facts: HeadFacts) -> str:
    if not facts.figures:
        return "\n## Scores\n\nNot measured.\n"
    headings = list(dict.fromkeys(heading for row in facts.figures.values() for heading in row))
    rows: list[list[object]] = [["set", *headings]]
    rows += [[name, *(row.get(heading, "") for heading in headings)] for name, row in facts.figures.items()]
    return "\n## Scores\n\nIn brackets: 95 % intervals, drawn by speakers.\n\n" + format_table(rows)
