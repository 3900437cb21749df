"""Stage 0: what a recipe's `local/data_prep.py` needs to turn a corpus into data directories."""

from c2ser.corpus import Utterance
from c2ser.prep.describe import ALL, Corpus
from c2ser.prep.download import Archive
from c2ser.prep.layout import files, in_share, read_rows, read_text, speaker_id
from c2ser.prep.prepare import prepare
from c2ser.ratings import DIMENSIONS

__all__ = [
    "ALL", "DIMENSIONS", "Archive", "Corpus", "Utterance", "files", "in_share", "prepare", "read_rows", "read_text",
    "speaker_id",
]  # fmt: skip
