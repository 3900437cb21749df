"""One label of several answers to the same utterance, such as those to VoxEmo's five prompts."""

from collections import Counter
from collections.abc import Mapping, Sequence

from c2ser.emotions import UNPARSED


def vote_labels(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the label that most tables give an utterance; of labels with as many votes, that of the first table.

    "unparsed" is no vote: an utterance is unparsed if it is so in all tables that have it.

    Args:
        tables: label by utterance; a table may lack utterances, whose answers failed.
    """
    voted = {}
    for name in dict.fromkeys(name for table in tables for name in table):
        votes = Counter(table[name] for table in tables if table.get(name, UNPARSED) != UNPARSED)
        voted[name] = max(votes, key=votes.__getitem__, default=UNPARSED)  # a counter keeps the order of the tables
    return voted
