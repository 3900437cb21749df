"""The command line of a recipe's `local/data_prep.py`."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from c2ser import cli
from c2ser.corpus import Utterance
from c2ser.prep.count_report import report
from c2ser.prep.describe import Corpus, Labels
from c2ser.prep.download import fetch
from c2ser.prep.folds import Folds, with_folds
from c2ser.prep.label_names import chosen_classes
from c2ser.prep.layout import find_top
from c2ser.prep.writer import Written, write_corpus


def prepare(generator: Callable[[Path], Iterable[Utterance]], corpus: Corpus | None = None) -> None:
    """Command line of a recipe's `local/data_prep.py`: `--db-root DIR [--out data] …`.

    Args:
        generator: takes the corpus' own top folder, yields its utterances.
        corpus: the description of the corpus.
    """
    description = corpus or Corpus()

    def main(
        db_root: Path,
        out: Path = Path("data"),
        labels: str = "seven",
        folds: Folds = "published",
        into: str | None = None,
        download: bool = False,
        nj: int = 8,
    ) -> None:
        """Write the data directories of this corpus.

        Args:
            db_root: the folder that holds the corpus, or one above it.
            out: where the data directories go.
            labels: "seven" emotions, "raw" for the corpus' own classes, as EmoBox has them, or a labels.json that
                names those to keep.
            folds: what utt2fold says: "published", "speaker" or "session" (each left out in turn), or "none".
            into: put all utterances into one data directory of this name, instead of the recipe's sets.
            download: fetch the corpus into db_root first, where its licence allows it.
            nj: how many headers are read at once.
        """
        if download:
            _fetch(description, db_root)
        if description.makes_audio:
            db_root.mkdir(parents=True, exist_ok=True)
        chosen, kept = chosen_classes(labels)
        wanted = dataclasses.replace(description, kept=kept)
        write_data(generator, wanted, db_root, out, chosen, folds, into, nj)

    cli.run(main)


def write_data(
    generator: Callable[[Path], Iterable[Utterance]],
    corpus: Corpus,
    db_root: Path,
    out: Path,
    labels: Labels = "seven",
    folds: Folds = "published",
    into: str | None = None,
    nj: int = 8,
    sound: Path | None = None,
) -> Written:
    """Write the data directories of a corpus and log the report; arguments as those of `prepare` and its command line.

    `sound` is where the sound of videos goes, as `write_corpus` has it.

    Raises:
        ValueError: the corpus is not there, or what it yields makes no data directory.
    """
    utterances = with_folds(generator(find_top(db_root, corpus.layout)), folds)
    if into:
        utterances = (dataclasses.replace(utterance, set=into) for utterance in utterances)
    written = write_corpus(utterances, out, corpus, labels, nj, sound)
    report(written, corpus, labels, into)
    return written


def _fetch(corpus: Corpus, db_root: Path) -> None:
    if not corpus.archives:
        raise ValueError(f"{db_root}: this corpus cannot be downloaded by a command; {corpus.how_to_get}, "
                         "then give its folder with --db-root")  # fmt: skip
    fetch(corpus.archives, db_root)
