"""All free corpora, prepared by their own recipes: data/{train,valid}, and a test set of each, data/<corpus>_test.

data/corpora/<corpus>   the sets of its recipe; of an unheard corpus, one set of all utterances
data/train, data/valid  sets of all training corpora joined, up to 20 s; ids begin with the corpus
data/<corpus>_test      the recipe's test set of a training corpus; the whole of an unheard one
"""

from pathlib import Path

from recipes import located, prepare

from c2ser.cli import run
from c2ser.log import get_logger
from c2ser.prep.describe import MAX_TRAINING_SECONDS
from c2ser.prep.join import Source, join

logger = get_logger(__name__)

WHOLE = "all"
"""The one set of an unheard corpus."""


def main(
    out: Path,
    train: list[str],
    unheard: list[str],
    db_root: Path | None = None,
    roots: Path | None = None,
    nj: int = 8,
) -> None:
    """Write the data directories.

    Args:
        out: the folder to write them to.
        train: corpora to train on.
        unheard: corpora for tests alone.
        db_root: a folder that holds corpora in folders with the names of their recipes.
        roots: table of the corpora's folders; one that db_root holds too is taken from there.
        nj: how many headers are read at once.
    """
    both = sorted({*train} & {*unheard})
    if both:
        raise ValueError(f"{both[0]}: to train on and never to be heard; name it in one of the lists")
    places = located([*train, *unheard], out / "corpora", db_root, roots)
    for name, place in places.items():
        folder = out / "corpora" / name
        prepare(name, place, folder, folder / "audio", "seven", WHOLE if name in unheard else None, nj)
        test = folder / (WHOLE if name in unheard else "test")
        if (test / "wav.scp").exists():
            join([Source(test, name)], out / f"{name}_test")
    for part in ("train", "valid"):
        sets = {name: out / "corpora" / name / part for name in train if name in places}
        sources = [Source(folder, name) for name, folder in sets.items() if (folder / "wav.scp").exists()]
        if not sources:
            raise ValueError(f"{part}: no corpus to train on is there; name one of {', '.join(train)}")
        joined = join(sources, out / part, MAX_TRAINING_SECONDS)
        logger.info("%s: %d utterances of %d corpora", out / part, len(joined), len(sources))


if __name__ == "__main__":
    run(main)
