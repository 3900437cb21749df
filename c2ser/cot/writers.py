"""Writers of chains of thought. All have one interface: they take requests and give texts."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from c2ser.chat.config import ChatConfig
from c2ser.chat.connect import describe_model, open_journal
from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Prompt, Reply
from c2ser.cot.checks import find_problem
from c2ser.cot.config import Fallback, Style, WriterName
from c2ser.cot.prompts import Request, request_prompt, sentence
from c2ser.log import get_logger, progress
from c2ser.tables import TableMap

logger = get_logger(__name__)


class Writer(Protocol):
    """A writer of chains of thought.

    Attributes:
        name: stands beside each of its texts.
    """

    name: str

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterable[tuple[Request, Reply]]:
        """Yield each request with a text, in any order; `attempt`, from 0, gives a model another seed."""
        ...


class TemplateWriter:
    """Fills in the example sentence of Table I, without a language model; its texts never vary."""

    name = "template"

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterator[tuple[Request, Reply]]:
        """Yield the sentence of each request."""
        for request in requests:
            yield request, Reply(sentence(request, style))


class ChatWriter:
    """Asks a language model.

    Args:
        journal: asks the model and keeps its replies.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.name = "-".join(Path(journal.sampling.model).name.split())

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterator[tuple[Request, Reply]]:
        """Yield the texts of the model as they come in."""
        request_of = {request.utterance: request for request in requests}
        prompts = [Prompt(name, request_prompt(request, style), attempt) for name, request in request_of.items()]
        for prompt, reply in self.journal.ask(prompts):
            yield request_of[prompt.name], reply


@contextmanager
def open_writer(name: WriterName, chat: ChatConfig, out: Path) -> Iterator[Writer]:
    """Open the writer of that name for a table; after a kill, texts that are there already are not asked for again."""
    if name == "template":
        yield TemplateWriter()
        return
    with open_journal(name, chat, out) as journal:
        yield ChatWriter(journal)


def describe(name: WriterName, chat: ChatConfig) -> dict[str, Any]:
    """Return the record of a writer that stands beside its table."""
    return {"writer": name, **({} if name == "template" else describe_model(chat))}


def write_all(
    writer: Writer,
    requests: Iterable[Request],
    style: Style,
    attempts: int,
    job: TableMap,
    fallback: Fallback = "reject",
) -> None:
    """Fill a table with checked chains of thought, and a second table with the writer and the attempt of each.

    Args:
        writer: writes the texts.
        requests: one for each utterance; those that an earlier, killed run finished are skipped.
        style: explicit or implicit.
        attempts: how often a text is written, at most; a text that fails its checks is written again.
        job: the two tables.
        fallback: whether utterances whose texts all fail are rejected or get the text of the template.
    """
    request_of = {request.utterance: request for request in requests}
    left = [request_of[utterance] for utterance in job.todo(request_of)]
    reasons: dict[str, str] = {}
    for attempt in range(attempts):
        failed = []
        what = f"chains of thought, attempt {attempt + 1}"
        for request, reply in progress(writer.write(left, style, attempt), what, len(left)):
            reason = reply.problem or find_problem(request, style, reply.text)
            if reason is None:
                job.write(request.utterance, reply.text, f"{writer.name} {attempt + 1}")
            else:
                reasons[request.utterance] = reason
                failed.append(request)
        left = failed
        if not left:
            return
    _finish_failed(left, reasons, style, attempts, job, fallback)


def _finish_failed(
    left: Sequence[Request],
    reasons: dict[str, str],
    style: Style,
    attempts: int,
    job: TableMap,
    fallback: Fallback,
) -> None:
    for request in left:
        if fallback == "template":
            job.write(request.utterance, sentence(request, style), f"{TemplateWriter.name} {attempts}")
        else:
            job.reject(request.utterance, f"{reasons[request.utterance]} after {attempts} attempts")
    if fallback == "template":
        logger.warning("%d texts failed %d times and are the template's, the first because: %s", len(left), attempts,
                       reasons[left[0].utterance])  # fmt: skip
