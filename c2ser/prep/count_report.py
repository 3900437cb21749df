"""The report of stage 0: counts beside the expected ones, rejected utterances, speakers in two sets."""

import itertools
from collections import Counter
from collections.abc import Mapping

from c2ser.emotions import EMOTIONS, ordered
from c2ser.log import get_logger
from c2ser.prep.describe import ALL, Corpus, Labels
from c2ser.prep.folds import overlap_report, shared_speakers
from c2ser.prep.writer import Rejected, Written

logger = get_logger(__name__)

KINDS = {
    "label": "for their label", "unknown": "for a label that the recipe does not know",
    "recipe": "as known to be unusable", "length": "over 20 s", "audio": "as unreadable",
}  # fmt: skip

ALARMING = {"unknown": "with an unknown label", "audio": "unreadable"}
"""Kinds that are a warning, because a whole corpus has none of them."""


def report(written: Written, corpus: Corpus, labels: Labels, into: str | None) -> None:
    """Log the table of counts, a warning for each set that differs, and the rejected utterances.

    Args:
        written: the data directories.
        corpus: the description of its recipe.
        labels: which classes.
        into: the one set that all utterances went to, or None.
    """
    found, expected = counts(written), corpus.expected(labels, into)
    if ALL in expected:
        found[ALL] = total_counts(written, corpus, labels)
    lines = [_table(found, expected, written)]
    lines += [f"note: {note}" for note in corpus.notes]
    lines += [f"{name}: {line}" for name in written.sets for line in _rejected_lines(written.rejected[name])]
    if any(written.rejected.values()):
        lines.append("each of these is named with its reason in the table `rejected` of its set")
    lines.append(overlap_report(written.kept))
    logger.info("%s", "\n".join(lines))
    for warning in [*differences(found, expected), *shared_speakers(written.kept)]:
        logger.warning("%s", warning)
    for name, (kind, what) in itertools.product(written.sets, ALARMING.items()):
        reasons = [f"{i}: {row.reason}" for i, row in written.rejected[name].items() if row.kind == kind]
        if reasons:
            logger.warning(
                "%s: %d %s, named in its table `rejected`; the first is %s", name, len(reasons), what, reasons[0]
            )


def counts(written: Written) -> dict[str, Counter]:
    """Return utterances by class, and under `ALL` all utterances, rejected ones too, by set."""
    result = {}
    for name in written.sets:
        result[name] = Counter(u.emotion or "unlabelled" for u in written.kept[name].values())
        result[name][ALL] = len(written.kept[name]) + len(written.rejected[name])
    return result


def total_counts(written: Written, corpus: Corpus, labels: Labels) -> Counter:
    """Return utterances by class over all sets, those that are too long for training among them."""
    total = sum(counts(written).values(), Counter())
    long = [row.utterance for part in written.rejected.values() for row in part.values() if row.kind == "length"]
    return total + Counter(corpus.class_of(utterance.emotion, labels, utterance.id) for utterance in long)


def differences(found: Mapping[str, Counter], expected: Mapping[str, Counter]) -> list[str]:
    """Return a sentence for each set with fewer utterances than expected anywhere, and for each with more."""
    lines = []
    for name, row in expected.items():
        there = found.get(name, Counter())
        wrong = [what for what in [*ordered({*row} - {ALL}), ALL] if there[what] != row[what]]
        for why, some in (
            ("is the corpus complete?", [what for what in wrong if there[what] < row[what]]),
            ("does the folder hold copies, or another version?", [what for what in wrong if there[what] > row[what]]),
        ):
            cells = [f"{'in corpus' if what == ALL else what} {there[what]} of {row[what]}" for what in some]
            lines += [f"{name}: found {', '.join(cells)} utterances; {why}"] if cells else []
    return lines


def _table(found: Mapping[str, Counter], expected: Mapping[str, Counter], written: Written) -> str:
    classes = ordered({*EMOTIONS, *(name for row in [*found.values(), *expected.values()] for name in row)} - {ALL})
    rows = [["set", *classes, "all", "rejected", "in corpus"]]
    for name in sorted({*found, *expected}):
        row, wanted = found.get(name, Counter()), expected.get(name, Counter())
        kept, hoped = row.total() - row[ALL], wanted.total() - wanted[ALL]
        whole = hoped and {c for c in row if row[c]} <= {*wanted}
        cells = [_cell(row[c], wanted.get(c)) for c in classes]
        cells += [_cell(kept, hoped if whole else None), str(len(written.rejected.get(name, {})))]
        rows.append([name, *cells, _cell(row[ALL], wanted[ALL] or None)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "utterances by set and emotion, found/expected\n" + "\n".join(lines)


def _cell(found: int, expected: int | None) -> str:
    return str(found) if expected is None else f"{found}/{expected}"


def _rejected_lines(rejected: Mapping[str, Rejected]) -> list[str]:
    lines = []
    for kind, why in KINDS.items():
        some = [row for row in rejected.values() if row.kind == kind]
        if some:
            labels = Counter(str(row.utterance.emotion) for row in some)
            shown = ", ".join(f"{label}: {number}" for label, number in sorted(labels.items()))
            lines.append(f"{len(some)} rejected {why} ({shown})")
    return lines
