"""The command `c2ser`: `c2ser VERB …` runs the entry point of that name in c2ser/bin."""

import ast
import difflib
import importlib
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import c2ser

BIN = Path(__file__).parent / "bin"
"""Each public module of this folder is a verb."""

GROUPS = ("Use a model", "Prepare data", "Train", "Decode and score", "Label and annotate speech", "Other")
"""Headings of the list of verbs, in order; `GROUP` in a module says where its verb stands."""

USAGE = "usage: c2ser VERB [OPTION]...   (c2ser VERB --help describes the options of a verb)"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args`, by default that of the process.

    Raises:
        SystemExit: with status 2 if there is no such verb, or with the status of the verb.
    """
    verb, *rest = [*(sys.argv[1:] if args is None else args)] or [""]
    if verb in ("-h", "--help", "help"):
        print(overview())
    elif verb in ("-V", "--version"):
        print(f"c2ser {c2ser.__version__}")
    elif verb.replace("-", "_") in verbs():
        _run(verb.replace("-", "_"), rest)
    else:
        print(f"c2ser: {_refusal(verb)}", file=sys.stderr)
        raise SystemExit(2)


def verbs() -> dict[str, Path]:
    """Return the file of each verb, by the verb's name with underscores."""
    return {path.stem: path for path in sorted(BIN.glob("[a-z]*.py"))}


def overview() -> str:
    """Return the list of verbs, each with the first line of its module's docstring; no module is imported."""
    rows: dict[str, list[str]] = {group: [] for group in GROUPS}
    names = verbs()
    width = max(map(len, names))
    for name, path in names.items():
        summary, group = describe(path)
        indent = " " * (width + 4)
        text = f"  {name.replace('_', '-'):{width}}  {summary}"
        rows[group] += textwrap.wrap(text, 110, subsequent_indent=indent, break_on_hyphens=False)
    parts = [f"{group}:\n" + "\n".join(lines) for group, lines in rows.items() if lines]
    return "\n\n".join([USAGE, *parts, "c2ser --version prints the version."])


def describe(path: Path) -> tuple[str, str]:
    """Return the first line of a module's docstring, and the group that its `GROUP` names."""
    tree = ast.parse(path.read_text("utf-8"))
    group = GROUPS[-1]
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GROUP":
            group = ast.literal_eval(node.value)
    return (ast.get_docstring(tree) or "").partition("\n")[0], group


def _refusal(verb: str) -> str:
    """Return what is wrong with a verb that does not exist."""
    if not verb:
        return "a verb is missing; c2ser --help lists them"
    near = difflib.get_close_matches(verb.replace("_", "-"), [name.replace("_", "-") for name in verbs()])
    return f"{verb}: no such verb; " + (f"did you mean {' or '.join(near)}?" if near else "c2ser --help lists them")


def _run(name: str, args: list[str]) -> None:
    """Import the module of a verb, and run it."""
    from c2ser import cli  # takes longer than `c2ser --help` does

    module = importlib.import_module(f"c2ser.bin.{name}")
    program = f"c2ser {name.replace('_', '-')}"
    cli.run(module.main, getattr(module, "PATHS", None), program, args)


if __name__ == "__main__":
    main()
