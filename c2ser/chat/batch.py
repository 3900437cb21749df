"""A model that is asked through files, such as `vllm run-batch`; the files may travel to another machine."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from c2ser.chat.journal import read_lines
from c2ser.chat.protocol import Line
from c2ser.log import get_logger
from c2ser.tables import write_text

logger = get_logger(__name__)


@dataclass
class BatchConfig:
    """Who answers the files.

    Attributes:
        command: words of a program that takes `-i requests -o responses --model name`, such as "vllm run-batch"; empty
            leaves that to you: the requests are written, and the next call reads the responses.
    """

    command: str = ""


class BatchChat:
    """Writes `requests.jsonl` into a folder and reads `replies*.jsonl` there.

    Args:
        config: who answers.
        model: name of the model.
        folder: where the files are.
    """

    def __init__(self, config: BatchConfig, model: str, folder: Path) -> None:
        self.config, self.model, self.folder = config, model, folder

    def responses(self, requests: Sequence[Line]) -> Iterator[Line]:
        """Yield what the files of replies hold, then what the program answers to the rest; see `Chat`.

        Raises:
            OSError: requests are left and no program is named, or it failed.
        """
        left = {line["custom_id"]: line for line in requests}
        yield from self._read(left)
        if not left:
            return
        questions, answers = self.folder / "requests.jsonl", self.folder / "replies.jsonl"
        write_text(questions, "".join(f"{json.dumps(line)}\n" for line in left.values()))
        words = ["-i", str(questions), "-o", str(answers), "--model", self.model]
        if not self.config.command:
            command = " ".join(map(shlex.quote, words))
            raise OSError(f"{questions}: {len(left)} requests wait for replies; let them be answered, for example by "
                          f"vllm run-batch {command}, then run this again")  # fmt: skip
        done = subprocess.run([*shlex.split(self.config.command), *words], check=False)
        if done.returncode != 0:
            raise OSError(f"{questions}: '{self.config.command}' ended with status {done.returncode}; see its messages "
                          "above, then run this again")  # fmt: skip
        yield from self._read(left)

    def _read(self, left: dict[str, Line]) -> Iterator[Line]:
        for path in sorted(self.folder.glob("replies*.jsonl")):
            for line in read_lines(path):
                left.pop(str(line.get("custom_id")), None)
                yield line
            path.rename(path.with_suffix(".read"))  # its replies are in the journal now
            logger.info("%s: read", path)
