"""A model that is asked through files, with `vllm run-batch` for example; the files may be answered elsewhere."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from c2ser.chat.config import BatchConfig
from c2ser.chat.journal import read_lines
from c2ser.chat.protocol import Line
from c2ser.log import get_logger
from c2ser.tables import write_text

logger = get_logger(__name__)


class BatchChat:
    """Writes `requests.jsonl` into a folder and reads `replies*.jsonl` there.

    Args:
        config: which program answers.
        model: name of the model.
        folder: holds the files.
    """

    def __init__(self, config: BatchConfig, model: str, folder: Path) -> None:
        self.config, self.model, self.folder = config, model, folder

    def responses(self, requests: Sequence[Line]) -> Iterator[Line]:
        """Yield the responses in the files, then those that the program gives to the other requests; see `Chat`.

        Raises:
            OSError: requests have no response and no program is named, or the program failed.
        """
        waiting = {line["custom_id"]: line for line in requests}
        yield from self._read(waiting)
        if not waiting:
            return
        requests_path, replies_path = self.folder / "requests.jsonl", self.folder / "replies.jsonl"
        write_text(requests_path, "".join(f"{json.dumps(line)}\n" for line in waiting.values()))
        arguments = ["-i", str(requests_path), "-o", str(replies_path), "--model", self.model]
        if not self.config.command:
            command = shlex.join(arguments)
            raise OSError(f"{requests_path}: {len(waiting)} requests wait for replies; answer them, for example with "
                          f"vllm run-batch {command}, then run this again")  # fmt: skip
        done = subprocess.run([*shlex.split(self.config.command), *arguments], check=False)
        if done.returncode != 0:
            raise OSError(f"{requests_path}: '{self.config.command}' ended with status {done.returncode}; see its "
                          "messages above, then run this again")  # fmt: skip
        yield from self._read(waiting)

    def _read(self, waiting: dict[str, Line]) -> Iterator[Line]:
        for path in sorted(self.folder.glob("replies*.jsonl")):
            for line in read_lines(path):
                waiting.pop(str(line.get("custom_id")), None)
                yield line
            path.rename(path.with_suffix(".read"))  # its replies are in the journal now
            logger.info("%s: read", path)
