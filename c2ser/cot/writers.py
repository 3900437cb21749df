"""Writers of chains of thought, all with one interface: requests in, texts out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from c2ser.chat.config import ChatConfig
from c2ser.chat.connect import describe_model, open_journal
from c2ser.chat.journal import Journal
from c2ser.chat.protocol import Prompt, Reply
from c2ser.cot.checks import problem
from c2ser.cot.prompts import Request, Style, request_prompt, sentence
from c2ser.log import get_logger, progress
from c2ser.tables import TableMap

logger = get_logger(__name__)

WriterName = Literal["template", "local", "server", "batch"]
"""The writers that configurations can name."""

Fallback = Literal["reject", "template"]
"""What becomes of an utterance whose texts all failed."""


class Writer(Protocol):
    """What writes chains of thought.

    Attributes:
        name: who it is; stands beside each of its texts.
    """

    name: str

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterable[tuple[Request, Reply]]:
        """Yield each request with a text, in any order; `attempt` counts from 0 and lets a sampling writer vary."""
        ...


class TemplateWriter:
    """Fills in the example sentence of Table I; needs no language model and always says the same."""

    name = "template"

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterator[tuple[Request, Reply]]:
        """Yield the sentence of each request."""
        for request in requests:
            yield request, Reply(sentence(request, style))


class ChatWriter:
    """Lets a language model write.

    Args:
        journal: the way to it.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.name = "-".join(Path(journal.sampling.model).name.split())

    def write(self, requests: Sequence[Request], style: Style, attempt: int) -> Iterator[tuple[Request, Reply]]:
        """Yield what the model writes, as it comes in."""
        wanted = {request.utterance: request for request in requests}
        prompts = [Prompt(name, request_prompt(request, style), attempt) for name, request in wanted.items()]
        for prompt, reply in self.journal.ask(prompts):
            yield wanted[prompt.name], reply


@contextmanager
def open_writer(name: WriterName, chat: ChatConfig, out: Path) -> Iterator[Writer]:
    """Open the writer of that name for a table; what a killed run of it had written is not written again."""
    if name == "template":
        yield TemplateWriter()
        return
    with open_journal(name, chat, out) as journal:
        yield ChatWriter(journal)


def describe(name: WriterName, chat: ChatConfig) -> dict[str, Any]:
    """Return what is recorded about a writer beside its table."""
    return {"writer": name, **({} if name == "template" else describe_model(chat))}


def write_all(
    writer: Writer,
    requests: Iterable[Request],
    style: Style,
    attempts: int,
    job: TableMap,
    fallback: Fallback = "reject",
) -> None:
    """Fill a table with checked chains of thought, and a second one with who wrote each and in which attempt.

    Args:
        writer: who writes.
        requests: what is wanted; requests that a killed run had finished are passed over.
        style: explicit or implicit.
        attempts: how often a text that fails its checks is written anew.
        job: the two tables.
        fallback: whether utterances whose texts all fail are rejected or get the template's text.
    """
    wanted = {request.utterance: request for request in requests}
    left = [wanted[utterance] for utterance in job.todo(wanted)]
    reasons: dict[str, str] = {}
    for attempt in range(attempts):
        failed = []
        what = f"chains of thought, attempt {attempt + 1}"
        for request, reply in progress(writer.write(left, style, attempt), what, len(left)):
            reason = reply.problem or problem(request, style, reply.text)
            if reason is None:
                job.write(request.utterance, reply.text, f"{writer.name} {attempt + 1}")
            else:
                reasons[request.utterance] = reason
                failed.append(request)
        left = failed
        if not left:
            return
    _give_up(left, reasons, style, attempts, job, fallback)


def _give_up(
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
