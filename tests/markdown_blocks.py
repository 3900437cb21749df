"""Fenced blocks of Markdown pages, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, the comment above it, and what it holds."""

    page: Path
    line: int
    language: str
    comment: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        return self.comment.removeprefix("not run:").strip() if self.comment.startswith("not run:") else None


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    result, lines = [], page.read_text("utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    assert len(fences) % 2 == 0, f"{page}: a block that does not end"
    for start, end in zip(fences[::2], fences[1::2], strict=True):
        comment = re.fullmatch(r"<!-- (.*) -->", lines[max(start - 1, 0)].strip())
        language, body = lines[start].strip().strip("`"), lines[start + 1 : end]
        if language == "console":  # the other lines are what the commands print
            body = [line.removeprefix("$ ") for line in body if line.startswith("$ ")]
        text = "".join(f"{line}\n" for line in body)
        result.append(Block(page, start + 1, language, comment[1] if comment else "", text))
    return result


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands of a block, each with the folder, from the project's root, in which it runs."""
    folder, outer, command, target = Path(), [], [], False
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|()<>"):
                command += [] if target else [word]
                target = False
                continue
            target = bool(set(word) & set("<>"))  # a file is named next
            while command and (command[0] == "do" or re.match(r"\w+=", command[0])):
                command = command[1:]
            if command and command[0] == "cd":
                folder = folder / command[1]
            elif command:
                yield folder.as_posix().replace("egs/mycorpus", "egs/TEMPLATE"), command
            command = []
            outer += [folder] * word.count("(")
            folder = outer.pop() if ")" in word else folder
