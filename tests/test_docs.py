"""The documentation: every command block runs or says why it does not, its options exist, its links lead somewhere.

A block is fenced and names its language. A comment directly above may say `<!-- slow -->` (it takes over 5 s) or
`<!-- not run: REASON -->` with a reason of `REASONS`; the options of such a block are checked all the same.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("egs/*/README.md")])
LINKING = sorted({*PAGES, *ROOT.glob("*.md"), *ROOT.glob(".github/**/*.md")})
REASONS = {"needs a corpus", "needs the paper's corpora", "needs a GPU", "needs a cluster", "needs a hub", "minutes"}
COMMANDS = {"sh", "bash", "console", "python"}
OTHER_PROGRAMS = {"cat", "cp", "done", "export", "for", "pip", "printf", "sed", "source", "$EDITOR"}
FOREIGN_OPTIONS = {"no_feats"}
"""Options in the text that belong to other programs, such as Kaldi's."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, the comment above it, and what it holds."""

    page: Path
    line: int
    language: str
    comment: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        return self.comment.removeprefix("not run:").strip() if self.comment.startswith("not run:") else None


def blocks(page: Path) -> list[Block]:
    found, lines, start = [], page.read_text("utf-8").splitlines(), None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        comment = re.fullmatch(r"<!-- (.*) -->", lines[start - 1].strip()) if start else None
        body = "\n".join(lines[start + 1 : number]) + "\n"
        language = lines[start].strip().removeprefix("```")
        found.append(Block(page, start + 1, language, comment[1] if comment else "", body))
        start = None
    assert start is None, f"{page}:{start}: a block that does not end"
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMAND_BLOCKS = [block for block in BLOCKS if block.language in COMMANDS]
RUN = [block for block in COMMAND_BLOCKS if block.reason is None]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_has_a_language_and_every_mark_a_meaning(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(\A|\n\n)( {4}|\t)", prose), "an indented block; fence it and name its language"
    assert "~~~" not in prose
    for block in blocks(page):
        assert block.language in COMMANDS | {"text"}, f"{block}: name the language: {', '.join(COMMANDS)} or text"
        assert block.reason in {None, *REASONS}, f"{block}: no such reason; give one of {REASONS}"
        assert block.reason or block.comment in {"", "slow"}, f"{block}: unknown comment {block.comment}"


def test_blocks_were_found():
    assert len(COMMAND_BLOCKS) > 20 and len(RUN) >= 6
    assert {block.page.name for block in RUN} >= {"README.md", "model.md", "new_corpus.md"}


# ---- blocks that run: in a copy of the project, with what stands for the reader's models, recordings and corpora


def noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=16000), 16000)


def make_model(folder: Path) -> None:
    """Write a model folder with tiny random parts."""
    from c2ser.cot.prompts import SENTENCES
    from c2ser.emotions import EMOTIONS, WORDS
    from c2ser.model.c2ser import C2SER, C2SERConfig
    from c2ser.model.connector import ConnectorConfig
    from c2ser.model.tiny import TinyLlm, TinyWhisper, make
    from c2ser.tables import write_table

    languages = SENTENCES["implicit"]
    answers = {f"{e}-{code}": languages[code].format(emotion=WORDS[e][code]) for e in EMOTIONS for code in languages}
    write_table(folder / "data/cot_implicit", answers)
    make(folder / "data", folder, TinyWhisper(32, 1, 2), TinyLlm(32, 2, 2, vocabulary=360), seed=1)
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
    parts = {"whisper": str(folder / "whisper"), "llm": str(folder / "llm"), "emotion2vec": None}
    C2SER.build(C2SERConfig(connector=connector, style="implicit", **parts)).save_pretrained(folder / "implicit")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder)
    return folder / "implicit"


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A corpus as egs/TEMPLATE expects it: <set>/<speaker>/<name>_<label>.wav with a text beside it."""
    for part, label in itertools.product(("train", "valid", "test"), ("ang", "sad")):
        path = tmp_path / f"corpus/{part}/{part}1/1_{label}.wav"
        noise(path)
        path.with_suffix(".txt").write_text("A short sentence.")
    return tmp_path / "corpus"


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project, with an environment in tools/venv that is the one of this test."""

    def ignored(folder, names):
        made = {"data", "exp", "db"} if Path(folder).parent == ROOT / "egs" else set()
        return [n for n in names if n in made | {"venv", "penn", "__pycache__"} or n.startswith(".")]

    folder = shutil.copytree(ROOT, tmp_path / "project", ignore=ignored)
    programs = folder / "tools/venv/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f"PATH={shlex.quote(str(programs))}:$PATH\n")
    installed = Path(sys.prefix, "bin/c2ser")
    command = f"'{installed}'" if installed.exists() else f"'{sys.executable}' -m c2ser"
    (programs / "c2ser").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (programs / "c2ser").chmod(0o755)
    return folder


def environment(root: Path) -> dict[str, str]:
    """Return the variables of a reader who has activated the environment, and who has no network."""
    paths = f"{root}/tools/venv/bin:{sys.prefix}/bin:{os.environ['PATH']}"
    added = {"PATH": paths, "PYTHONPATH": str(root), "VIRTUAL_ENV": sys.prefix, "EDITOR": "true", "HF_HUB_OFFLINE": "1"}
    return os.environ | added


@pytest.mark.parametrize(
    "block", [pytest.param(b, marks=[pytest.mark.slow] if b.comment == "slow" else []) for b in RUN], ids=str
)
def test_the_block_runs(block, project, corpus, request):
    text = block.text.replace("/path/to/corpus", str(corpus))
    if re.search(r"exp/implicit", text):
        for place in ("exp", "egs/mini/exp"):
            shutil.copytree(request.getfixturevalue("model"), project / place / "implicit")
        for path in ("speech.wav", "recordings/a.wav", "recordings/b.wav", "egs/mini/db/linda/en-anger-1.wav"):
            noise(project / path)
    if "egs/mycorpus" in text and "cp -r egs/TEMPLATE" not in text:
        shutil.copytree(project / "egs/TEMPLATE", project / "egs/mycorpus")
    command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    if "predict" in text:
        answers = done.stdout + "".join(path.read_text() for path in project.glob("*.tsv"))
        assert re.search(r"anger|happiness|neutral|sadness|surprise|disgust|fear", answers)


def test_the_example_of_a_new_corpus_is_the_recipe():
    example = next(block.text for block in blocks(ROOT / "docs/new_corpus.md") if block.language == "python")
    assert example in (ROOT / "egs/nemo/local/data_prep.py").read_text("utf-8")


# ---- options, of all blocks: each program is asked for its help


def words_of(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    return list(lexer)


def commands(text: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield the commands of a block and the folder, from the project's root, in which each runs."""
    folder, outer, command = Path(), [], []
    for line in text.replace("\\\n", " ").splitlines():
        for word in [*words_of(line.removeprefix("$ ")), ";"]:
            if not set(word) <= set(";&|()<>"):
                command.append(word)
                continue
            while command and (command[0] == "do" or re.match(r"\w+=", command[0])):
                command = command[1:]
            if command and command[0] == "cd":
                folder = folder / command[1]
            elif command:
                yield folder, command
            command = []
            if "(" in word:
                outer.append(folder)
            if ")" in word:
                folder = outer.pop()


@cache
def options_of(*program: str, folder: str = ".") -> set[str]:
    """Return the options that the help of a program names, with _ for -."""
    done = subprocess.run(
        [*program, "--help"], cwd=ROOT / folder, env=environment(ROOT), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"
    return {option.replace("-", "_") for option in re.findall(r"(?<![\w-])--([a-z][\w.-]*)", done.stdout)}


def check(folder: Path, command: list[str]) -> None:
    """Check that a command's program and options exist."""
    place, known = folder.as_posix().replace("egs/mycorpus", "egs/TEMPLATE"), None
    program, rest = command[0], command[1:]
    if "-m" in command[1:] and command[command.index("-m") + 1].startswith("c2ser.bin."):
        cut = command.index("-m")
        known, rest = options_of(sys.executable, *command[cut : cut + 2]), command[cut + 2 :]
        if program != "python":
            check(folder, command[: cut - 1])
    elif program.endswith("c2ser") and not program.startswith("egs"):
        entry = f"c2ser.bin.{command[1].replace('-', '_')}"
        known, rest = options_of(sys.executable, "-m", entry), command[2:]
    elif program == "make":
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in rest)
    elif program == "python" and command[1].endswith(".py"):
        known, rest = options_of(sys.executable, command[1], folder=place), command[2:]
    elif program.endswith(".sh"):
        path = program if (ROOT / place / program).exists() else str(ROOT / "utils" / program)
        known = options_of(path if "/" in path else f"./{path}", folder=place)
    elif command[:3] != ["python", "-m", "pytest"]:
        assert program in OTHER_PROGRAMS, f"{program}: which program is this?"
    given = {word[2:].partition("=")[0].replace("-", "_") for word in rest if word.startswith("--")}
    assert known is None or given <= known, f"{program} has no option {given - known}"


@pytest.mark.parametrize("block", [b for b in COMMAND_BLOCKS if b.language != "python"], ids=str)
def test_the_blocks_programs_and_options_exist(block):
    for folder, command in commands(block.text):
        check(folder, command)


def test_options_in_the_text_stand_in_the_code():
    code = [path for kind in ("*.sh", "*.py") for top in ("c2ser", "egs", "local", "utils", "tools") for path in
            (ROOT / top).rglob(kind) if "venv" not in path.parts]  # fmt: skip
    known = set(re.findall(r"\w+", "\n".join(path.read_text("utf-8") for path in code))) | FOREIGN_OPTIONS
    for page in PAGES:
        if page.name != "decisions.md":  # its words are those of their day
            prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
            for option in re.findall(r"(?<![\w-])--([a-z][\w.-]*)", " ".join(re.findall(r"`([^`\n]+)`", prose))):
                parts = option.rstrip(".").replace("-", "_").split(".")
                assert set(parts) <= known, f"{name(page)}: no part of the code knows --{option}"


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            goal = page.parent / path if path else page
            assert goal.exists(), f"{target}: no such file"
            titles = re.findall(r"^#+ (.*)", goal.read_text("utf-8"), re.MULTILINE) if heading else []
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert not heading or heading in slugs, f"{target}: no such heading"
