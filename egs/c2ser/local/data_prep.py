"""The paper's data: every corpus that is there, by its own recipe, in the roles it has in the paper, and joined.

data/corpora/<corpus>, data/corpora/<corpus>_raw   the sets of its recipe, of seven emotions and of its own classes
data/<corpus>/train, data/<corpus>/valid           what a training corpus gives, up to 20 s
data/train, data/valid                             those of all corpora; ids begin with the corpus
data/<corpus>_test, data/<corpus>_raw              what Table VI and Table V test on
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from corpora import CORPORA, PUBLISHED, WHOLE
from recipes import located, prepare

from c2ser.cli import run
from c2ser.corpus import Utterance
from c2ser.emotions import ordered
from c2ser.log import get_logger
from c2ser.prep.describe import MAX_TRAINING_SECONDS
from c2ser.prep.join import Source, join

logger = get_logger(__name__)


def main(
    out: Path,
    train: list[str],
    test: list[str],
    db_root: Path | None = None,
    roots: Path | None = None,
    nj: int = 8,
) -> None:
    """Write the data directories of the paper.

    Args:
        out: where they go.
        train: corpora to learn from.
        test: corpora to test on.
        db_root: a folder that holds corpora in folders with the names of their recipes.
        roots: table of the corpora's folders; one that db_root holds too is taken from there.
        nj: how many headers are read at once.
    """
    for names, role in ((train, "train"), (test, "test")):
        for name in names:
            if not getattr(CORPORA.get(name), role, None):
                raise ValueError(f"{name}: no corpus to {role} on; local/corpora.py says what each is used for")
    places = located([*dict.fromkeys([*train, *test])], out / "corpora", db_root, roots)
    for name, place in places.items():
        folder, into = out / "corpora" / name, WHOLE if CORPORA[name].test == WHOLE else None
        prepare(name, place, folder, folder / "audio", "seven", into, nj)
        if name in test:
            prepare(name, place, out / f"corpora/{name}_raw", folder / "audio", "raw", None, nj)
    for name in places:
        give(name, out, name in train, name in test)
    for part in ("train", "valid"):
        folders = {name: out / name / part for name in train if name in places}
        sources = [Source(path, name) for name, path in folders.items() if (path / "wav.scp").exists()]
        if sources:
            logger.info("%s", overview(join(sources, out / part), out / part))
        else:
            logger.warning("%s: no corpus gives it; nothing but stage 5 with a ready encoder can be run", out / part)


def give(name: str, out: Path, learnt: bool, tested: bool) -> None:
    """Write what a corpus is in the paper out of the sets of its recipe."""
    roles, folder, raw = CORPORA[name], out / "corpora" / name, out / f"corpora/{name}_raw"
    if learnt:
        for part, sets in (("train", roles.train), ("valid", [roles.valid])):
            assemble(name, [Source(folder / one) for one in sets], out / name / part, MAX_TRAINING_SECONDS)
    if tested:
        assemble(name, [Source(folder / roles.test, name)], out / f"{name}_test")
        folds = {path.parent.name: None for path in raw.glob("*/wav.scp")} if roles.folds == PUBLISHED else roles.folds
        assemble(name, [Source(raw / one, fold=fold) for one, fold in sorted(folds.items())], out / f"{name}_raw")


def assemble(name: str, sources: Sequence[Source], out: Path, max_seconds: float = float("inf")) -> None:
    """Join those of the sets that are there, or say that the corpus lacks them."""
    present = [source for source in sources if (source.folder / "wav.scp").exists()]
    if present:
        join(present, out, max_seconds)
    else:
        logger.warning("%s: %s is left out; the corpus has no set %s", name, out, sources[0].folder.name)


def overview(utterances: Mapping[str, Utterance], folder: Path) -> str:
    """Return a sentence about a joined set: hours, shares of emotions and languages, utterances without transcripts."""
    hours = sum(one.duration for one in utterances.values()) / 3600
    said = [f"{folder}: {len(utterances)} utterances, {hours:.2f} h"]
    for column in ("emotion", "language"):
        number = Counter(getattr(one, column) for one in utterances.values())
        said.append(", ".join(f"{value} {100 * number[value] / len(utterances):.1f} %" for value in ordered(number)))
    mute = sum(not one.text for one in utterances.values())
    if mute:
        said.append(f"{mute} have no transcript: stage 1 rejects them, and they teach Emotion2Vec-S alone; if they are "
                    f"more than a tenth, give --max-rejected {100 * mute // len(utterances) + 5}")  # fmt: skip
    return "; ".join(said)


if __name__ == "__main__":
    run(main)
