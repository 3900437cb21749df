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
from functools import cache
from pathlib import Path

import pytest
import soundfile
from fixtures.sound import voice
from markdown_blocks import ROOT, blocks, commands, name, prose

from c2ser.emotions import EMOTIONS

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("egs/*/README.md")])
LINKING = sorted({*PAGES, *ROOT.glob("*.md"), *ROOT.glob(".github/**/*.md")})
REASONS = {"needs a corpus", "needs the paper's corpora", "needs a GPU", "needs a cluster", "needs a hub", "minutes"}
COMMANDS = {"sh", "bash", "console", "python"}
OTHER_PROGRAMS = {"cat", "cp", "make", "done", "export", "for", "pip", "printf", "sed", "source", "$EDITOR"}
FOREIGN_OPTIONS = {"no_feats"}
"""Options in the text that belong to other programs, such as Kaldi's."""
OPTION = re.compile(r"(?<![\w-])--([a-z][\w.-]*)")

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMAND_BLOCKS = [block for block in BLOCKS if block.language in COMMANDS]
RUN = [block for block in COMMAND_BLOCKS if block.reason is None]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_has_a_language_and_every_mark_a_meaning(page):
    indented = re.search(r"(\A|\n\n)( {4}|\t)|~~~", prose(page))
    assert not indented, "an indented block, or one with ~~~; fence it with ``` and name its language"
    for block in blocks(page):
        assert block.language in COMMANDS | {"text"}, f"{block}: name the language: {', '.join(COMMANDS)} or text"
        assert block.reason in {None, *REASONS}, f"{block}: no such reason; give one of {REASONS}"
        assert block.reason or block.comment in {"", "slow"}, f"{block}: unknown comment {block.comment}"


def test_blocks_were_found():
    assert len(COMMAND_BLOCKS) > 20 and len(RUN) >= 6
    assert {block.page.name for block in RUN} >= {"README.md", "model.md", "new_corpus.md"}


# ---- blocks that run: in a copy of the project, with what stands for the reader's models, recordings and corpora


def speech(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(1.0), 16000)


def make_model(folder: Path) -> None:
    """Write a model folder with tiny random parts."""
    from c2ser.cot.prompts import SENTENCES
    from c2ser.emotions import WORDS
    from c2ser.model.c2ser import C2SER
    from c2ser.model.config import C2SERConfig, ConnectorConfig, TinyLlm, TinyWhisper
    from c2ser.model.tiny import make_tiny_models
    from c2ser.tables import write_table

    languages = SENTENCES["implicit"]
    answers = {f"{e}-{code}": languages[code].format(emotion=WORDS[e][code]) for e in EMOTIONS for code in languages}
    write_table(folder / "data/cot_implicit", answers)
    make_tiny_models(folder / "data", folder, TinyWhisper(32, 1, 2), TinyLlm(32, 2, 2, vocabulary=360), seed=1)
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64)
    parts = {"whisper": str(folder / "whisper"), "llm": str(folder / "llm"), "emotion2vec": None}
    C2SER.build(C2SERConfig(connector=connector, style="implicit", **parts)).save_pretrained(folder / "implicit")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder)
    return folder / "implicit"


@pytest.fixture(scope="session")
def speech_classifier(tmp_path_factory) -> Path:
    """A folder with an encoder and its probe in exp/, as stages 4 and 5 leave them, with data and an ONNX file."""
    import torch

    from c2ser.corpus import Utterance
    from c2ser.emotion2vec.config import Emotion2VecConfig, ProbeConfig
    from c2ser.emotion2vec.convert import save_model
    from c2ser.emotion2vec.model import Emotion2Vec
    from c2ser.emotion2vec.onnx_export import export_onnx
    from c2ser.emotion2vec.probe import Probe, TrainedProbe
    from c2ser.emotion2vec.probe_files import save_probe, weights_sha256
    from c2ser.emotion2vec.speech_classifier import load_speech_classifier
    from c2ser.prep.writer import write_corpus

    folder, labels = tmp_path_factory.mktemp("classifier"), ["anger", "sadness"]
    encoder, probe = folder / "exp/emotion2vec_s", folder / "exp/probe"
    torch.manual_seed(0)
    sizes = {"dim": 32, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    save_model(Emotion2Vec(Emotion2VecConfig(**sizes, convs=[[16, 320, 160], [16, 2, 2]])), encoder)
    network = Probe(32, 8, len(labels))
    save_probe(TrainedProbe(network, labels, ProbeConfig(hidden=8), encoder=weights_sha256(encoder)), probe)
    speech(folder / "speech.wav")
    utterances = [Utterance("test", "s", label, folder / "speech.wav", label, "en", "") for label in labels]
    write_corpus(utterances, folder / "data")
    export_onnx(load_speech_classifier(encoder, probe), folder / "emotion.onnx")
    return folder


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A corpus as egs/TEMPLATE expects it: <set>/<speaker>/<name>_<label>.wav with a text beside it."""
    for part, label in itertools.product(("train", "valid", "test"), ("ang", "sad")):
        path = tmp_path / f"corpus/{part}/{part}1/1_{label}.wav"
        speech(path)
        path.with_suffix(".txt").write_text("A short sentence.")
    return tmp_path / "corpus"


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project, with an environment in tools/venv that is the one of this test."""

    def ignored(folder, names):
        made = {"data", "exp", "db"} if Path(folder).parent == ROOT / "egs" else set()
        return [n for n in names if n in made | {"venv", "penn", "models", "__pycache__"} or n.startswith(".")]

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
    if "exp/implicit" in text:
        for place in ("exp", "egs/mini/exp"):
            shutil.copytree(request.getfixturevalue("model"), project / place / "implicit")
        for path in ("speech.wav", "recordings/a.wav", "recordings/b.wav", "egs/mini/db/linda/en-anger-1.wav"):
            speech(project / path)
    if "emotion.onnx" in text:
        shutil.copytree(request.getfixturevalue("speech_classifier"), project, dirs_exist_ok=True)
    if "egs/mycorpus" in text and "cp -r egs/TEMPLATE" not in text:
        shutil.copytree(project / "egs/TEMPLATE", project / "egs/mycorpus")
    command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    if "predict" in text:  # a row of the table, or what print shows
        shown = done.stdout + "".join(path.read_text() for path in project.glob("*.tsv"))
        row = rf"(^|\.wav\t[\d.\t]*)({'|'.join(EMOTIONS)})[\t ]"
        assert re.search(row, shown, re.MULTILINE), shown


def test_the_example_of_a_new_corpus_is_the_recipe():
    example = next(block.text for block in blocks(ROOT / "docs/new_corpus.md") if block.language == "python")
    assert example in (ROOT / "egs/nemo/local/data_prep.py").read_text("utf-8")


# ---- options, of all blocks: each program is asked for its help


@cache
def options_of(folder: str, *program: str) -> set[str]:
    """Return the options that the help of a program names, with _ for -."""
    done = subprocess.run(
        [*program, "--help"], cwd=ROOT / folder, env=environment(ROOT), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"
    return {option.replace("-", "_") for option in OPTION.findall(done.stdout)}


def check(folder: str, command: list[str]) -> None:
    """Check that a command's program and options exist; a command in it, as for map_shards.sh, too."""
    inner = next((place for place, word in enumerate(command) if word.startswith("c2ser.bin.")), None)
    if inner:  # python -m c2ser.bin.NAME
        known, rest = options_of(".", sys.executable, "-m", command[inner]), command[inner + 1 :]
        check(folder, command[: inner - 2] or ["cat"])
    elif command[0] in ("c2ser", "tools/venv/bin/c2ser"):
        verb = command[1].replace("-", "_")
        known, rest = options_of(".", sys.executable, "-m", f"c2ser.bin.{verb}"), command[2:]
    elif command[0] == "python" and command[1].endswith(".py"):
        known, rest = options_of(folder, sys.executable, command[1]), command[2:]
    elif command[0].endswith("/claims.sh") and "--" in command:  # what follows is for cross_validate.sh
        place = command.index("--")
        check(folder, ["../../local/cross_validate.sh", *command[place + 1 :]])
        return check(folder, command[:place])
    elif command[0].endswith(".sh"):
        path = ROOT / folder / command[0]
        known, rest = options_of(folder, str(path if path.exists() else ROOT / "utils" / command[0])), command[1:]
    else:
        assert command[0] in OTHER_PROGRAMS or command[:3] == ["python", "-m", "pytest"], f"{command[0]}: what is this?"
        targets = command[1:] if command[0] == "make" else []
        assert all(re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for word in targets)
        return
    given = {word[2:].partition("=")[0].replace("-", "_") for word in rest if word.startswith("--")}
    assert given <= known, f"{' '.join(command[:2])} has no option {given - known}"


@pytest.mark.parametrize("block", [b for b in COMMAND_BLOCKS if b.language != "python"], ids=str)
def test_the_programs_and_options_of_the_block_exist(block):
    for folder, command in commands(block.text):
        check(folder, command)


def test_options_in_the_text_stand_in_the_code():
    files = [path for top in ("c2ser", "egs", "local", "utils") for path in (ROOT / top).rglob("*")]
    files += [*(ROOT / "tools").glob("*.py"), *(ROOT / "tools/gpu").iterdir()]
    code = "\n".join(path.read_text("utf-8") for path in files if path.suffix in (".sh", ".py"))
    known = set(re.findall(r"\w+", code)) | FOREIGN_OPTIONS
    unknown = []
    for page in PAGES:
        spans = re.findall(r"`([^`]+)`", prose(page))
        for option in OPTION.findall(" ".join(spans)) if page.name != "decisions.md" else []:  # words of their day
            if not set(option.rstrip(".").replace("-", "_").split(".")) <= known:
                unknown.append(f"{name(page)}: --{option}")
    assert not unknown, f"no part of the code knows {unknown}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "decisions.md"], ids=name)
def test_verbs_in_the_text_exist(page):
    for verb in re.findall(r"`(?:tools/venv/bin/)?c2ser ([a-z][\w-]*)", prose(page)):
        assert (ROOT / f"c2ser/bin/{verb.replace('-', '_')}.py").exists(), f"c2ser has no {verb}"


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            goal = page.parent / path if path else page
            assert goal.exists(), f"{target}: no such file"
            titles = re.findall(r"^#+ (.*)", goal.read_text("utf-8"), re.MULTILINE) if heading else []
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles} | {""}
            assert heading in slugs, f"{target}: no such heading"
