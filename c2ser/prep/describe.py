"""The description of a corpus by its recipe: labels, layout, counts, archives; and the counts that follow from it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from c2ser.label_sets import SEVEN, LabelSet
from c2ser.prep.download import Archive

ALL = "all"
"""In `Corpus.counts`: as a set, all sets together; as a label, utterances of labels that are not listed."""

MAX_TRAINING_SECONDS = 20.0
"""Longer utterances leave the sets whose name begins with `train` (section IV.A of the paper)."""

Labels = Literal["seven", "raw"]
"""Which classes a data directory has: the seven emotions, or the corpus' own."""


@dataclass(frozen=True)
class Corpus:
    """The description of a corpus by its recipe.

    Attributes:
        layout: patterns of what lies in the corpus' own top folder, each enough to know it by; none where any folder
            will do.
        emotions: emotion by the corpus' label, None for those that are none of the seven; without it, labels are
            emotions already.
        classes: the name of the class where `--labels raw` keeps one that `emotions` leaves out or merges.
        counts: utterances by set and label in the whole corpus, those over 20 s too; see `ALL`.
        long: those of `counts` that are over 20 s and leave the training sets.
        notes: what is said under the table of counts, such as where the paper differs.
        archives: what `--download true` fetches; none where the licence or the site does not allow it.
        how_to_get: one sentence for who asks for the download of a corpus that has none.
        remedy: what to do if every utterance is rejected.
        unlabelled: whether an utterance may have no emotion, because it has numbers on dimensions instead.
        scale: lowest and highest value of its dimensions; others reject an utterance. None for a scale of no ends.
        makes_audio: whether the generator writes the corpus itself, so that its folder need not exist.
        kept: the classes that the user asks for, which leaves out the corpus' others; None keeps all.
    """

    layout: tuple[str, ...] = ()
    emotions: Mapping[str, str | None] | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    long: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    how_to_get: str = ""
    remedy: str = "check --db-root against the layout in the recipe's README.md"
    unlabelled: bool = False
    scale: tuple[float, float] | None = None
    makes_audio: bool = False
    kept: LabelSet | None = None

    def class_of(self, label: str | None, labels: Labels, utterance: str) -> str | None:
        """Return the class of a corpus' label; None where it is none of the seven, or of `kept`.

        Raises:
            ValueError: the label is not known; the message names the utterance.
        """
        name = self._class_of(label, labels, utterance)
        return name if self.kept is None or name is None or name in self.kept else None

    def _class_of(self, label: str | None, labels: Labels, utterance: str) -> str | None:
        if label is None:
            return None
        if labels == "raw" and label in self.classes:
            return self.classes[label]
        if self.emotions is None:
            return label if labels == "raw" else SEVEN.check(label, utterance)
        if label not in self.emotions:
            raise ValueError(f"{utterance}: unknown label '{label}'; add it to EMOTIONS in local/data_prep.py")
        return self.emotions[label]

    def expected(self, labels: Labels, into: str | None = None) -> dict[str, Counter]:
        """Return how many utterances of each class each data directory should have, and under `ALL` how many in all.

        `ALL` counts rejected utterances too. The set `ALL`, which is all sets together, knows no limit of 20 s.

        Args:
            labels: which classes.
            into: the one set that all utterances go to; None for the recipe's own sets.
        """
        expected: dict[str, Counter] = {}
        counts = {ALL: self.counts[ALL]} if into and ALL in self.counts else self.counts
        # what a set adds to a class may not be known, and then how many the joined set has is not either
        vague = into and any({*count} == {ALL} for count in counts.values())
        for name, count in counts.items():
            row = expected.setdefault(into or name, Counter())
            for label, number in count.items():
                row[ALL] += number
                kept = None if vague or label == ALL else self.class_of(label, labels, name)
                if kept is not None:
                    row[kept] += number - self._over_limit(name, label, labels, into)
        return expected

    def _over_limit(self, name: str, label: str, labels: Labels, into: str | None) -> int:
        return self.long.get(name, {}).get(label, 0) if limit(into or name, labels) else 0


def limit(name: str, labels: Labels) -> float | None:
    """Return how many seconds an utterance of a set may last; None for any length.

    The limit is the paper's for training C²SER; EmoBox's protocol, which `raw` is for, has none at this stage.
    """
    return MAX_TRAINING_SECONDS if labels == "seven" and name.startswith("train") else None
