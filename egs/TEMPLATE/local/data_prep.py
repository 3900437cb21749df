"""TODO: name of the corpus and how its files are named."""

from collections.abc import Iterator
from pathlib import Path

from c2ser.prep import Corpus, Utterance, files, prepare

EMOTIONS = {"ang": "anger", "hap": "happiness", "neu": "neutral", "sad": "sadness", "bor": None}
"""TODO: the corpus' labels; None for those that are none of the seven emotions."""


def utterances(db_root: Path) -> Iterator[Utterance]:
    """Yield the corpus' utterances. TODO: this reads <set>/<speaker>/<name>_<label>.wav with <name>_<label>.txt."""
    for path in files(db_root, "*/*/*.wav"):
        set_name, speaker, label = path.parts[-3], path.parts[-2], path.stem.rpartition("_")[2]
        text = path.with_suffix(".txt").read_text("utf-8")
        yield Utterance(set_name, speaker, path.stem, path, label, "en", text)


if __name__ == "__main__":
    prepare(utterances, Corpus(layout=("*/*/*.wav",), emotions=EMOTIONS))
