"""What each corpus is in the paper: which of its recipe's sets are learnt from, tested on, and cross-validated.

Of corpora with official sets the training set alone is learnt from (section IV.A) and the development set chooses the
best weights. IEMOCAP and MER2024 have none, and the paper does not test on them: what their recipes keep for tests is
learnt from too. Their `valid` and ESD's are what the recipes hold out: session 4, a tenth of the clips, two speakers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WHOLE = "all"
"""As a set to test on: the whole corpus, of whatever length."""

PUBLISHED = "published"
"""As folds: those that the recipe knows."""

OFFICIAL = {"train": "train", "valid": "valid", "test": "1"}
"""One fold with a validation set of its own."""

DRAWN = {"train": "train", "valid": "train", "test": "1"}
"""One fold; EmoBox draws its validation set from what is learnt from, where our recipes have a set of their own."""


@dataclass(frozen=True)
class Roles:
    """What a corpus is used for.

    Attributes:
        train: sets of its recipe that are learnt from; none if it is for tests alone.
        valid: its set that chooses the best weights.
        test: its set that answers are scored on (Table VI), or `WHOLE`; None if it is for training alone.
        folds: how EmoBox cross-validates it (Table V): `PUBLISHED`, or what utt2fold says of each set.
    """

    train: tuple[str, ...] = ()
    valid: str | None = None
    test: str | None = None
    folds: str | Mapping[str, str] | None = None


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
