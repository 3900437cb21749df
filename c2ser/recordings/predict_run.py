"""A run of `c2ser predict`: recordings go in, results go out, and a line says how it went."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
from tqdm import tqdm

from c2ser.log import get_logger
from c2ser.recordings.assembly import Options
from c2ser.recordings.output import Output
from c2ser.recordings.pooling import POOL_SECONDS, Outcome, Recording, recognise_recordings
from c2ser.recordings.predict_journal import PredictJournal
from c2ser.recordings.results import Recogniser, Recognition, Unusable

logger = get_logger(__name__)

NAMED = 3
"""At most this many rejected recordings are named once more in the last line."""


def predict_recordings(
    recordings: Sequence[Recording],
    recognise: Recogniser,
    options: Options,
    output: Output,
    settings: Mapping[str, Any],
    resume: bool = False,
    pool_seconds: float = POOL_SECONDS,
) -> None:
    """Recognise recordings and write the results; what is rejected is logged with the reason.

    Args:
        recordings: in the order of the output.
        recognise: the model's function.
        options: how they are cut and what is said about them.
        output: where the results go.
        settings: what else decides the results; a run that is resumed must have had the same.
        resume: whether to go on with an interrupted run.
        pool_seconds: as in `recognise_recordings`.

    Raises:
        ValueError: no recording is usable, or the run before was another one.
    """
    start = time.monotonic()
    known = {**settings, **asdict(options), "format": output.format, "pool_seconds": pool_seconds}
    known = {name: str(value) for name, value in known.items()}
    journal = None if output.out is None else PredictJournal(output.out, known, resume)
    outcomes: list[Outcome] = []
    with journal or nullcontext(), tqdm(total=len(recordings), unit="file", disable=None) as bar:
        groups = _groups(recordings, _shown(recognise, bar), options, journal, pool_seconds)
        try:
            for group in groups:
                outcomes += group
                for unusable in (unusable for outcome in group for unusable in outcome.rejected):
                    logger.warning("rejected: %s", unusable.error)
                output.add(group)
                bar.update(len(group))
        except KeyboardInterrupt:
            if journal is not None:
                logger.error("%d of %d recordings are finished; go on with --resume", len(outcomes), len(recordings))
            raise
        usable = any(outcome.timeline for outcome in outcomes)
        if usable:
            output.finish()
    if not usable:
        raise ValueError(
            f"{recordings[0].name}: not one of {len(recordings)} recordings is usable; "
            "mend what the lines above say of each"
        )
    logger.info("%s", _summary(outcomes, time.monotonic() - start))


def _groups(
    recordings: Sequence[Recording],
    recognise: Recogniser,
    options: Options,
    journal: PredictJournal | None,
    pool_seconds: float,
) -> Iterator[list[Outcome]]:
    """Yield groups of finished recordings: first those of the run before, then new ones, which are noted."""
    before = journal.finished(recordings) if journal else []
    if before:
        logger.info("%d of %d recordings were finished before; going on", len(before), len(recordings))
        yield before
    for group in recognise_recordings(recordings, recognise, options, pool_seconds, len(before)):
        if journal:
            journal.write(group)
        yield group


def _shown(recognise: Recogniser, bar: tqdm) -> Recogniser:
    """Return the model's function, which then shows the name of the last recording and the time in it."""

    def shown(waves: Mapping[str, np.ndarray]) -> Mapping[str, Recognition]:
        """Show the last recording of these, then recognise."""
        name, _, seconds = [*waves][-1].partition(":")[2].rsplit(":", 2)
        bar.set_postfix_str(f"{name} {float(seconds):.0f} s")
        return recognise(waves)

    return shown


def _summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    timelines = [outcome.timeline for outcome in outcomes if outcome.timeline]
    rejected: list[Unusable] = [unusable for outcome in outcomes for unusable in outcome.rejected]
    hours = sum(timeline.seconds for timeline in timelines) / 3600
    segments = sum(len(timeline.segments) for timeline in timelines)
    shown = "; ".join(unusable.error for unusable in rejected[:NAMED]) + ("; …" if len(rejected) > NAMED else "")
    text = f"{len(timelines)} of {len(outcomes)} recordings, {hours:.2f} hours, {segments} segments, {seconds:.1f} s"
    return text + (f"; rejected {len(rejected)}: {shown}" if rejected else "")
