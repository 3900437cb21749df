"""Writers of chains of thought, all with one interface: requests in, texts out."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from c2ser.cot.checks import problem
from c2ser.cot.prompts import Request, Style, sentence
from c2ser.log import progress
from c2ser.tables import TableMap

WriterName = Literal["template"]
"""The writers that configurations can name."""


class Writer(Protocol):
    """What writes chains of thought.

    Attributes:
        batch: how many requests it likes at once.
    """

    batch: int

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> list[str]:
        """Return a text for each request; `attempt` counts from 0 and lets a sampling writer vary."""
        ...


class TemplateWriter:
    """Fills in the example sentence of Table I; needs no language model and always says the same."""

    batch = 256

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> list[str]:
        """Return the sentence of each request."""
        return [sentence(request, style) for request in requests]


def make_writer(name: WriterName) -> Writer:
    """Return the writer of that name."""
    return {"template": TemplateWriter}[name]()


def write_all(writer: Writer, requests: Iterable[Request], style: Style, attempts: int, job: TableMap) -> None:
    """Fill a table with checked chains of thought.

    Args:
        writer: who writes.
        requests: what is wanted; requests that a killed run had finished are passed over.
        style: explicit or implicit.
        attempts: how often a text that fails its checks is written anew before its utterance is rejected.
        job: the table.
    """
    wanted = {request.utterance: request for request in requests}
    todo = job.todo(wanted)
    starts = range(0, len(todo), writer.batch)
    for start in progress(starts, f"batches of {writer.batch} chains of thought"):
        batch = [wanted[utterance] for utterance in todo[start : start + writer.batch]]
        _write_batch(writer, batch, style, attempts, job)


def _write_batch(writer: Writer, requests: Sequence[Request], style: Style, attempts: int, job: TableMap) -> None:
    reasons: dict[str, str] = {}
    left = list(requests)
    for attempt in range(attempts):
        failed = []
        for request, text in zip(left, writer.write(left, style, attempt), strict=True):
            reason = problem(request, style, text)
            if reason is None:
                job.write(request.utterance, text)
            else:
                reasons[request.utterance] = reason
                failed.append(request)
        left = failed
        if not left:
            return
    for request in left:
        job.reject(request.utterance, f"{reasons[request.utterance]} after {attempts} attempts")
