"""Write docs/errors.md: what every error says, from the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from c2ser.cli import run

ROOT = Path(__file__).resolve().parents[1]

KINDS = ("ValueError", "OSError", "FileNotFoundError")
"""Exceptions that are told to users in one line."""

HEAD = """# What errors say

Made by `python tools/list_errors.py` from the source; a test checks that it is current. `…` stands for what only a run
knows: a file, an utterance, a number. Each message names the thing first and a remedy last. The last column names tests
that hold a piece of the message.

"""


def main(out: Path = ROOT / "docs/errors.md") -> None:
    """Write the table.

    Args:
        out: the page.
    """
    out.write_text(page(), "utf-8")


def page() -> str:
    """Return the page: a table for each module and script that ends with errors."""
    tests = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "tests").glob("test_*.py"))}
    parts = []
    for path in sources():
        texts = [*dict.fromkeys(shell_errors(path) if path.suffix == ".sh" else python_errors(path))]
        if texts:
            rows = [f"| {_cell(text)} | {', '.join(_raised_in(text, tests))} |" for text in texts]
            parts.append(f"## {path.relative_to(ROOT)}\n\n| message | tests |\n| --- | --- |\n" + "\n".join(rows))
    return HEAD + "\n\n".join(parts) + "\n"


def sources() -> list[Path]:
    """Return the files whose errors users meet."""
    patterns = ("c2ser/**/*.py", "egs/*/local/*.py", "utils/*.py", "utils/*.sh", "local/*.sh", "egs/*/*.sh")
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def python_errors(path: Path) -> Iterator[str]:
    """Yield the messages of the exceptions that a module raises for users."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            if isinstance(node.exc.func, ast.Name) and node.exc.func.id in KINDS:
                text = message(node.exc.args[-1])
                if text.strip("… "):
                    yield text


def message(node: ast.expr) -> str:
    """Return the text of an expression, with … for what is not written there."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(message(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return message(node.left) + message(node.right)
    return "…"


def shell_errors(path: Path) -> Iterator[str]:
    """Yield what a script gives to `die` or `usage`."""
    text = re.sub(r"\$\([^()]*\)", "…", path.read_text("utf-8").replace("\\\n", ""))
    for match in re.finditer(r"\b(?:die|usage) ((?:\"(?:[^\"\\]|\\.)*\"\s*)+)", text):
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', match[1])
        yield re.sub(r"\$\(+[^()]*\)+|\$\{[^}]*\}|\$\w+|\$[\d@*#]", "…", " ".join(words))


def _cell(text: str) -> str:
    return re.sub(r"…(\s*…)+", "…", " ".join(text.split())).replace("|", "\\|").replace("<", "&lt;")


def _raised_in(text: str, tests: dict[str, str]) -> list[str]:
    """Return the tests that hold some words of a message: its longest pieces, or three words in a row."""
    pieces = [piece.strip(" :;,.()'\"") for piece in re.split("…|;", text)]
    pieces = [piece for piece in pieces if len(piece) >= 12]
    for piece in list(pieces):
        words = piece.split()
        pieces += [" ".join(words[place : place + 3]) for place in range(len(words) - 3)]
    return [name for name, content in tests.items() if any(len(one) >= 12 and one in content for one in pieces)]


if __name__ == "__main__":
    run(main)
