"""Every reply is kept as soon as it comes, so that nothing is asked twice after a kill."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from c2ser.chat.protocol import Chat, Line, Prompt, Reply, Sampling, may_pass, read_reply, request
from c2ser.log import get_logger

logger = get_logger(__name__)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the JSON objects of a file; lines that are none, such as one that a kill cut off, are passed over."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                logger.warning("%s: a line is not JSON; passed over", path)
                continue
            if isinstance(line, dict):
                yield line


class Journal:
    """Asks a model and remembers its replies until the work is done.

    Args:
        folder: where replies are kept; removed on a clean exit.
        chat: the way to the model.
        sampling: how it is asked.
    """

    def __init__(self, folder: Path, chat: Chat, sampling: Sampling) -> None:
        self.path = folder / "journal.jsonl"
        self.chat, self.sampling = chat, sampling
        self.known: dict[str, Reply] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> "Journal":
        """Open the journal, taking over the replies of a killed run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.known = {str(line.get("custom_id")): read_reply(line) for line in read_lines(self.path)}
            logger.info("%s: %d replies were there before", self.path, len(self.known))
        self._file = open(self.path, "a", encoding="utf-8")
        if self._file.tell():
            self._file.write("\n")  # ends a line that a kill cut off
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Forget the replies if the work went through."""
        if self._file is not None:
            self._file.close()
        if kind is None:
            shutil.rmtree(self.path.parent)

    def ask(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Reply]]:
        """Yield each prompt once with its reply, in any order.

        Responses to nobody and second responses are left aside and counted; a prompt without a response has a reply
        that says so.
        """
        waiting = {}
        for prompt in prompts:
            line = request(prompt, self.sampling)
            if line["custom_id"] in self.known:
                yield prompt, self.known[line["custom_id"]]
            else:
                waiting[line["custom_id"]] = (prompt, line)
        surplus = 0
        for answered in self.chat.responses([line for _, line in waiting.values()]) if waiting else ():
            found = waiting.pop(str(answered.get("custom_id")), None)
            if found is None:
                surplus += 1
                continue
            yield found[0], self._keep(found[1]["custom_id"], answered)
        if surplus:
            logger.warning("%d responses were second ones or to requests that nobody made; left aside", surplus)
        yield from ((prompt, Reply("", "the model did not reply")) for prompt, _ in waiting.values())

    def _keep(self, custom_id: str, answered: dict[str, Any]) -> Reply:
        """Note what came back, unless another try may mend it."""
        reply = read_reply(answered)
        if self._file is None:
            raise RuntimeError("Journal is used outside its with block")
        if not may_pass(answered):
            self.known[custom_id] = reply
            self._file.write(json.dumps(answered) + "\n")
            self._file.flush()
        return reply
