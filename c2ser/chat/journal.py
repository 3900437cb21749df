"""Replies are written down as they come, so that nothing is asked twice after a kill."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from c2ser.chat.config import Sampling
from c2ser.chat.protocol import Chat, Line, Prompt, Reply, may_pass, read_reply, request
from c2ser.log import get_logger

logger = get_logger(__name__)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the JSON objects of a file; other lines, such as one that a kill cut off, are skipped."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                logger.warning("%s: a line is not JSON; skipped", path)
                continue
            if isinstance(line, dict):
                yield line


class Journal:
    """Asks a model and remembers its replies until the work is done.

    Args:
        folder: where replies are kept; removed after a run without errors.
        chat: the way to the model.
        sampling: how it is asked.
    """

    def __init__(self, folder: Path, chat: Chat, sampling: Sampling) -> None:
        self.path = folder / "journal.jsonl"
        self.chat, self.sampling = chat, sampling
        self.replies: dict[str, Reply] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> "Journal":
        """Open the journal, taking over the replies of a killed run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.replies = {str(line.get("custom_id")): read_reply(line) for line in read_lines(self.path)}
            logger.info("%s: %d replies of an earlier run", self.path, len(self.replies))
        self._file = open(self.path, "a", encoding="utf-8")
        if self._file.tell():
            self._file.write("\n")  # ends a line that a kill cut off
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the replies if the work is done."""
        if self._file is not None:
            self._file.close()
        if kind is None:
            shutil.rmtree(self.path.parent)

    def ask(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Reply]]:
        """Yield each prompt once with its reply, in any order.

        Second responses, and responses that no request asked for, are ignored and counted. A prompt without a response
        gets a reply that says so.
        """
        waiting = {}
        for prompt in prompts:
            line = request(prompt, self.sampling)
            if line["custom_id"] in self.replies:
                yield prompt, self.replies[line["custom_id"]]
            else:
                waiting[line["custom_id"]] = (prompt, line)
        surplus = 0
        for outcome in self.chat.responses([line for _, line in waiting.values()]) if waiting else ():
            custom_id = str(outcome.get("custom_id"))
            if custom_id not in waiting:
                surplus += 1
                continue
            prompt, _ = waiting.pop(custom_id)
            yield prompt, self._keep(custom_id, outcome)
        if surplus:
            logger.warning("%d responses came twice or belong to no request; ignored", surplus)
        yield from ((prompt, Reply("", "the model did not reply")) for prompt, _ in waiting.values())

    def _keep(self, custom_id: str, outcome: dict[str, Any]) -> Reply:
        """Write a response down, unless it is a failure that may pass; return its reply."""
        reply = read_reply(outcome)
        if self._file is None:
            raise RuntimeError("Journal is used outside its with block")
        if not may_pass(outcome):
            self.replies[custom_id] = reply
            self._file.write(json.dumps(outcome) + "\n")
            self._file.flush()
        return reply
