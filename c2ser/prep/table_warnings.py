"""What to tell the user about tables of recordings that can be used, and yet are not as they should be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from c2ser.corpus import Utterance
from c2ser.emotions import ordered
from c2ser.prep.table_recordings import REJECTED, Recording, cell
from c2ser.prep.writer import Written

OUTSIDE_REMEDY = "say with --labels FILE which of the seven they mean, or keep them as classes with --labels raw"
"""What to do about labels beyond the seven emotions."""


def gaps(recordings: Sequence[Recording], assumed_language: str | None) -> Iterator[str]:
    """Yield a sentence for each of speaker, language and transcript that recordings lack.

    Args:
        recordings: all of them.
        assumed_language: what is taken where a row has no language; None if the user has said it.
    """
    consequences = {
        "speaker": "each of their files counts as a speaker of its own, so that one person may be in several sets and "
        "scores may be too good; name the column with --columns.speaker",
        "language": f"{assumed_language} is assumed; give --language, such as de",
        "text": "explicit chains of thought need transcripts; name the column with --columns.text",
    }
    if not assumed_language:
        consequences.pop("language")
    for role, consequence in consequences.items():
        places = [row.place for one in recordings for row, roles in one.rows[:1] if not cell(row, roles, role)]
        if places:
            word = "transcript" if role == "text" else role
            yield f"{len(places)} of {len(recordings)} recordings, such as {places[0]}, have no {word}: {consequence}"


def missing_files(recordings: Sequence[Recording]) -> Iterator[str]:
    """Yield how many files are not there, and where the first is named."""
    missing = [one for one in recordings if not one.path.exists()]
    if missing:
        yield (f"{len(missing)} of {len(recordings)} recordings, such as {missing[0].rows[0][0].place}, have no file: "
               f"{missing[0].path}; correct the table, or give the folder of the files with --audio-root")  # fmt: skip


def doubled_rows(recordings: Sequence[Recording]) -> Iterator[str]:
    """Yield what is made of several rows of one recording."""
    rows = sum(len(one.rows) for one in recordings)
    if rows > len(recordings):
        yield f"{rows} rows are {len(recordings)} recordings: rows of the same recording are votes of annotators"
    copies = 0
    for one in recordings:
        texts = Counter(tuple(row.cells.items()) for row, roles in one.rows if "annotator" not in roles.columns)
        copies += texts.total() - len(texts)
    if copies:
        yield (f"{copies} rows are copies of another row, and count as votes too; remove them, or name the column of "
               "annotators with --columns.annotator")  # fmt: skip


def outside_labels(utterances: Sequence[Utterance], emotions: Mapping[str, str | None]) -> Iterator[str]:
    """Yield which labels are none of the classes, with their numbers."""
    labels = Counter(u.emotion for u in utterances if u.emotion and emotions[u.emotion] is None)
    labels = Counter({label: number for label, number in labels.items() if label not in REJECTED})
    if labels:
        yield f"labels that are none of the classes are rejected: {counted(labels)}; {OUTSIDE_REMEDY}"


def absent_classes(written: Written) -> Iterator[str]:
    """Yield the classes that a set has no utterance of, while another one has."""
    classes = {name: {u.emotion for u in part.values() if u.emotion} for name, part in sorted(written.kept.items())}
    everywhere = set().union(*classes.values())
    for name, own in classes.items():
        absent = ", ".join(ordered(everywhere - own))
        if absent:
            yield f"set {name}: no utterance of {absent}, which other sets have; choose the sets in a column 'split'"


def counted(labels: Mapping[str, int]) -> str:
    """Return labels with their numbers, those with most first, twelve at most."""
    most = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} ({number})" for label, number in most[:12]) + (", …" if len(most) > 12 else "")
