"""The roles of each corpus in the paper: which sets of its recipe are for training, for tests and for folds.

Of a corpus with official sets, only the training set is for training (section IV.A), and the development set selects
the best checkpoint. IEMOCAP and MER2024 have no official sets, and the paper does not test on them, so their recipes'
test sets are for training too. Their `valid`, and that of ESD, is held out by the recipes: session 4, a tenth of the
clips, two speakers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

WHOLE = "all"
"""As a test set: the whole corpus, utterances of any length."""

PUBLISHED: Final = "published"
"""As folds: those of the recipe."""

OFFICIAL = {"train": "train", "valid": "valid", "test": "1"}
"""One fold with a validation set of its own."""

DRAWN = {"train": "train", "valid": "train", "test": "1"}
"""One fold; EmoBox draws its validation set from the training set, where our recipes have a validation set."""


@dataclass(frozen=True)
class Roles:
    """The uses of a corpus.

    Attributes:
        train: sets of its recipe for training; none if the corpus is only for tests.
        valid: its set that selects the best checkpoint.
        test: its set for Table VI, or `WHOLE`; None if the corpus is only for training.
        folds: the folds of EmoBox for Table V: `PUBLISHED`, or the fold of each set in utt2fold.
    """

    train: tuple[str, ...] = ()
    valid: str | None = None
    test: str | None = None
    folds: Literal["published"] | Mapping[str, str] | None = None


CORPORA = {
    "iemocap": Roles(("train", "test"), "valid"),
    "meld": Roles(("train",), "valid", "test", OFFICIAL),
    "msp_podcast": Roles(("train",), "valid"),
    "biic_podcast": Roles(("train",), "valid"),
    "esd": Roles(("train",), "valid", "test", PUBLISHED),
    "mer2024": Roles(("train", "test"), "valid"),
    "m3ed": Roles(test="test", folds=OFFICIAL),
    "casia": Roles(test=WHOLE, folds=PUBLISHED),
    "emovdb": Roles(test=WHOLE, folds=DRAWN),
    "asvp_esd": Roles(test=WHOLE, folds=DRAWN | {f"{name}_other": fold for name, fold in DRAWN.items()}),
    "emovo": Roles(test=WHOLE, folds=PUBLISHED),
    "mesd": Roles(test=WHOLE, folds=DRAWN),
    "emo_emilia": Roles(test=WHOLE, folds=PUBLISHED),
}
"""By the names of their recipes."""
