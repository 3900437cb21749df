"""The paper's data: every corpus that exists, prepared by its own recipe, in its roles in the paper, and joined.

data/corpora/<corpus>, data/corpora/<corpus>_raw   the sets of its recipe, of seven emotions and of its own classes
data/<corpus>/train, data/<corpus>/valid           sets of a training corpus, up to 20 s
data/train, data/valid                             sets of all corpora joined; ids begin with the corpus
data/<corpus>_test, data/<corpus>_raw              test sets of Table VI and Table V
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
        out: the folder to write them to.
        train: corpora to train on.
        test: corpora to test on.
        db_root: a folder that holds corpora in folders with the names of their recipes.
        roots: table of the corpora's folders; one that db_root holds too is taken from there.
        nj: how many headers are read at once.
    """
    for names, role in ((train, "train"), (test, "test")):
        for name in names:
            if not getattr(CORPORA.get(name), role, None):
                raise ValueError(f"{name}: no corpus to {role} on; see its roles in local/corpora.py")
    places = located([*dict.fromkeys([*train, *test])], out / "corpora", db_root, roots)
    for name, place in places.items():
        folder, into = out / "corpora" / name, WHOLE if CORPORA[name].test == WHOLE else None
        prepare(name, place, folder, folder / "audio", "seven", into, nj)
        if name in test:
            prepare(name, place, out / f"corpora/{name}_raw", folder / "audio", "raw", None, nj)
    for name in places:
        write_roles(name, out, name in train, name in test)
    for part in ("train", "valid"):
        folders = {name: out / name / part for name in train if name in places}
        sources = [Source(path, name) for name, path in folders.items() if (path / "wav.scp").exists()]
        if sources:
            logger.info("%s", overview(join(sources, out / part), out / part))
        else:
            logger.warning("%s: no corpus has it; only stage 5 with a ready encoder can be run", out / part)


def write_roles(name: str, out: Path, train: bool, test: bool) -> None:
    """Write the data directories of a corpus for its roles in the paper, from the sets of its recipe."""
    roles, folder, raw = CORPORA[name], out / "corpora" / name, out / f"corpora/{name}_raw"
    if train:
        for part, sets in (("train", roles.train), ("valid", (roles.valid,) if roles.valid else ())):
            assemble(name, [Source(folder / set_name) for set_name in sets], out / name / part, MAX_TRAINING_SECONDS)
    if test and roles.test:
        assemble(name, [Source(folder / roles.test, name)], out / f"{name}_test")
        folds: dict[str, str | None] = {path.parent.name: None for path in raw.glob("*/wav.scp")}
        if roles.folds and roles.folds != PUBLISHED:
            folds = dict(roles.folds)
        sources = [Source(raw / set_name, fold=fold) for set_name, fold in sorted(folds.items())]
        assemble(name, sources, out / f"{name}_raw")


def assemble(name: str, sources: Sequence[Source], out: Path, max_seconds: float = float("inf")) -> None:
    """Join the sets that exist; if there is none, log a warning."""
    present = [source for source in sources if (source.folder / "wav.scp").exists()]
    if present:
        join(present, out, max_seconds)
    else:
        logger.warning("%s: %s is left out; the corpus has no set %s", name, out, sources[0].folder.name)


def overview(utterances: Mapping[str, Utterance], folder: Path) -> str:
    """Return a sentence about a joined set: hours, shares of emotions and languages, utterances without transcripts."""
    hours = sum(utterance.duration or 0.0 for utterance in utterances.values()) / 3600
    parts = [f"{folder}: {len(utterances)} utterances, {hours:.2f} h"]
    for column in ("emotion", "language"):
        number = Counter(getattr(utterance, column) for utterance in utterances.values())
        parts.append(", ".join(f"{value} {100 * number[value] / len(utterances):.1f} %" for value in ordered(number)))
    without_text = sum(not utterance.text for utterance in utterances.values())
    if without_text:
        percent = 100 * without_text // len(utterances) + 5
        parts.append(f"{without_text} have no transcript: stage 1 rejects them, and they teach Emotion2Vec-S alone; if "
                     f"they are more than a tenth, give --max-rejected {percent}")  # fmt: skip
    return "; ".join(parts)


if __name__ == "__main__":
    run(main)
