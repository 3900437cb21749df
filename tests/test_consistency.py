"""The rules of the project, checked over every file: layers, lengths, docstrings, safety, recipes, configurations."""

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
).stdout
FILES = sorted(ROOT / name for name in LISTED.split("\0") if name and (ROOT / name).exists())
if not FILES:  # not a git checkout, for example an unpacked archive
    FILES = sorted(p for p in ROOT.rglob("*") if p.is_file() and not {".git", "venv", "exp", "data", "db"} & {*p.parts})
PYTHON = [path for path in FILES if path.suffix == ".py"]
PACKAGE = [path for path in PYTHON if path.is_relative_to(ROOT / "c2ser")]
OUTSIDE = [path for path in PYTHON if re.match(r"egs/[^/]+/local/|tools/", str(path.relative_to(ROOT)))]
"""What uses the package and is no part of it: the recipes' own code, and the tools."""
CODE = [path for path in PYTHON if not path.is_relative_to(ROOT / "tests")]
SCRIPTS = [path for path in FILES if path.suffix == ".sh"]
RECIPES = sorted(path.parent for path in FILES if path.name == "run.sh" and path.parent.parent == ROOT / "egs")

LAYERS = [
    {"log"},
    {"devices", "emotions", "pretrained", "tables", "tensors"},
    {"audio", "chat", "cli"},
    {"corpus"},
    {"prep"},
    {"scoring"},
    {"cot", "data"},
    {"attributes", "emotion2vec"},
    {"labelling", "model"},
    {"training"},
    {"bin"},
    {"__main__"},
]
"""From the bottom; a module imports from lower layers and from its own package."""

TEXT_ONLY = (
    "compute_stats",
    "assign_levels",
    "generate_cot",
    "extract_labels",
    "argmax_labels",
    "score",
    "show_results",
    "compare_systems",
    "measure_stability",
    "label_text",
    "combine_labels",
    "sample_data",
    "make_annotation_page",
    "collect_annotations",
)


def name(path):
    return str(path.relative_to(ROOT))


def tree(path):
    return ast.parse(path.read_text("utf-8"))


def layer(module):
    part = module.split(".")[1] if "." in module else module
    return next((number for number, names in enumerate(LAYERS) if part in names), None)


def imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if (ROOT / node.module.replace(".", "/")).is_dir():
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_layers_hold(path):
    importer = module(path)
    if importer == "c2ser.__init__":
        return
    for imported in imports(path):
        if imported.startswith("c2ser."):
            same = imported.split(".")[1] == importer.split(".")[1] and importer.split(".")[1] != "bin"
            assert layer(imported) is not None, f"{imported} is in no layer"
            assert same or layer(imported) < layer(importer), f"{importer} imports {imported}, which is not below it"


def test_no_module_imports_itself_through_others():
    """Imports inside functions count too: they hide a circle and do not open it."""
    modules = {module(path) for path in PACKAGE}
    graph = {module(path): modules.intersection(imports(path)) for path in PACKAGE}
    assert graph["c2ser.training.loop"] > {"c2ser.training.checkpoint", "c2ser.log"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_module_names_are_unique():
    """An editor's tab shows the name alone. Every room has its settings in a module called config."""
    names = Counter(path.stem for path in PACKAGE if path.stem not in ("__init__", "config"))
    assert len(names) > 100
    repeated = sorted(name for name, number in names.items() if number > 1)
    assert not repeated


def test_settings_need_no_model_library():
    """`--help` and option errors must come at once."""
    heavy = ["torch", "transformers", "sklearn", "scipy", "matplotlib", "soundfile"]
    configs = [module(path) for path in PACKAGE if path.stem == "config"]
    assert len(configs) >= 4
    code = f"import sys, {', '.join(configs)}; sys.exit(' '.join(n for n in {heavy} if n in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def neighbours(path):
    """The modules of the project beside a script, by the name under which it imports them."""
    local = next(folder for folder in path.parents if folder.name in ("local", "tools"))
    files = [other for other in OUTSIDE if other.is_relative_to(local)]
    return {
        ".".join(other.relative_to(local).with_suffix("").parts).removesuffix(".__init__"): other for other in files
    }


def names_imported(path):
    """What a module imports, functions and submodules too, as dotted names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", OUTSIDE, ids=name)
def test_what_lies_outside_uses_public_rooms_of_the_package(path):
    for imported in names_imported(path):
        room, *parts = imported.split(".")
        if room == "c2ser":
            assert layer(f"c2ser.{parts[0]}") is not None, f"{imported} stands in no layer"
            assert parts[0] != "bin", f"{imported}: an entry point is called, not imported"
            assert not any(part.startswith("_") for part in parts), f"{imported} is private"


def test_what_lies_outside_is_not_circular_and_the_package_knows_nothing_of_it():
    modules = {}
    for path in OUTSIDE:
        known = neighbours(path)
        found = (imported.split(".") for imported in names_imported(path))
        prefixes = {".".join(parts[:end]) for parts in found for end in range(1, len(parts) + 1)}
        modules[path] = [known[prefix] for prefix in prefixes if prefix in known and known[prefix] != path]
    graphlib.TopologicalSorter(modules).prepare()
    assert any(modules.values())
    tops = {known.partition(".")[0] for path in OUTSIDE for known in neighbours(path)}
    assert {"paper", "benchmark"} <= tops
    for path in PACKAGE:
        assert not tops & {imported.partition(".")[0] for imported in names_imported(path)}, name(path)


@pytest.mark.parametrize("path", CODE, ids=name)
def test_files_and_functions_are_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= 300
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 60, f"{node.name} has over 60 lines"


@pytest.mark.parametrize("path", [path for path in [*PACKAGE, *OUTSIDE] if path.name != "__init__.py"], ids=name)
def test_public_functions_have_hints_and_docstrings(path):
    body = tree(path)
    assert ast.get_docstring(body)
    classes = [node for node in body.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    functions = [node for owner in [body, *classes] for node in owner.body if isinstance(node, ast.FunctionDef)]
    for node in functions:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        lacking = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        assert not lacking, f"{node.name}: no type for {lacking}"
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
            assert node.returns is not None, f"{node.name} does not say what it returns"
    for node in classes:
        assert ast.get_docstring(node), f"{node.name} has no docstring"


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"}


@pytest.mark.parametrize("path", CODE, ids=name)
def test_data_is_never_code(path):
    assert not FORBIDDEN_MODULES & {module.partition(".")[0] for module in imports(path)}
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert called not in FORBIDDEN_CALLS and called not in ("os.system", "os.popen"), ast.unparse(node)
        assert keywords.get("shell", "False") == "False", ast.unparse(node)
        assert keywords.get("allow_pickle", "False") == "False", ast.unparse(node)
        assert keywords.get("trust_remote_code", "False") == "False", ast.unparse(node)
        assert called != "torch.load" or keywords.get("weights_only") == "True", ast.unparse(node)
        assert called != "yaml.load", ast.unparse(node)
        assert called not in ("kaldiio.load_mat", "kaldiio.load_scp", "kaldiio.ReadHelper"), ast.unparse(node)


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_shell_is_strict_and_evaluates_nothing(path):
    text = path.read_text("utf-8")
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    assert not any(re.search(r"(^|[;&|] *)eval ", line) for line in lines)
    assert not any(re.search(r"[^&]&$", line) for line in lines), "a background job"
    if os.access(path, os.X_OK):
        assert text.startswith("#!/usr/bin/env bash\n# ") and "\nset -euo pipefail\n" in text


def test_no_links_no_copies_no_places_of_this_machine():
    seen = {}
    for path in FILES:
        assert not path.is_symlink(), name(path)
        content = path.read_bytes()
        if len(content) > 60 and path.parent.parent.parent != ROOT / "egs" and path.name != "run.sh":
            assert content not in seen, f"{name(path)} is a copy of {name(seen[content])}"
            seen[content] = path
        places = "/" + "work/", "/" + "root/", "/" + "home/"
        assert not any(place.encode() in content for place in places), name(path)


def test_recipes_were_found():
    assert {"mini", "emodb", "TEMPLATE"} <= {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_whole(recipe):
    lines = 300 if recipe.name == "c2ser" else 20  # that of the paper has stages of its own
    assert os.access(recipe / "run.sh", os.X_OK) and len((recipe / "run.sh").read_text().splitlines()) <= lines
    assert (recipe / "README.md").stat().st_size > 300
    generator = recipe / "local/data_prep.py"
    assert "prepare(" in generator.read_text("utf-8") and len(generator.read_text("utf-8").splitlines()) <= 120
    done = subprocess.run([recipe / "run.sh", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and all(f"\n  {stage:2}  " in done.stdout for stage in range(10)), done.stderr
    assert "--stop-stage" in done.stdout
    done = subprocess.run([recipe / "run.sh", "--stages", "3"], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, generator, "--help"], capture_output=True, text=True, env=environment, cwd=recipe
    )
    assert done.returncode == 0 and "--db_root" in done.stdout, done.stderr


def test_a_stage_that_comes_too_early_names_the_one_before(tmp_path):
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    wanted = {1: 0, 2: 1, 3: 2, 5: 4, 6: 4, 7: 6, 8: 6, 9: 8}
    for stage, before in wanted.items():
        words = ["--stage", str(stage), "--stop-stage", str(stage), "--exp", str(tmp_path), "--train-set", "none"]
        done = subprocess.run(
            [ROOT / "egs/TEMPLATE/run.sh", *words], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 1 and done.stderr.endswith(f"is missing or empty; run stage {before} first\n")


def test_citation_and_changelog_are_of_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    versions = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] – (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert (citation["version"], str(citation["date-released"])) == versions[0]
    paper = citation["preferred-citation"]
    assert "2502.18186" in paper["doi"] and len(paper["authors"]) == 7


def test_hooks_run_what_make_check_runs_and_fetch_nothing():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert hooks["repo"] == "local"
    for hook in hooks["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].removesuffix(" --force-exclude") in makefile, hook["id"]


ENTRY_POINTS = sorted(path.stem for path in (ROOT / "c2ser/bin").glob("[a-z]*.py"))


def test_what_wants_a_card_goes_through_the_launcher_that_gives_them_out():
    wants = {name for name in ENTRY_POINTS if "device: str" in (ROOT / f"c2ser/bin/{name}.py").read_text("utf-8")}
    wants |= {name for name in ENTRY_POINTS if name.startswith("train_")}
    assert {"extract_embeddings", "train_probe", "calibrate", "decode", "label_speech", "train_c2ser"} <= wants
    stages = [ROOT / f"local/{name}.sh" for name in ("c2ser", "functions", "label")] + [ROOT / "egs/c2ser/run.sh"]
    called = set(re.findall(r"\bpy (\w+)", "".join(path.read_text("utf-8") for path in stages)))
    assert "score" in called and not called & wants


CONFIGS = {
    "attributes": "extract_attributes",
    "cot": "generate_cot",
    "judge": "extract_labels",
    "label_text": "label_text",
    "emotion2vec": "train_emotion2vec",
    "claim": "train_emotion2vec",
    "probe": "train_probe",
    "explicit": "train_c2ser",
    "implicit": "train_c2ser",
    "direct": "train_c2ser",
    "finetune": "train_c2ser",
    "decode": "decode",
    "decode_published": "decode",
    "tiny_models": "make_tiny_models",
}
"""Which entry point reads the configurations of a name."""

TABLES = ["paper"]
"""Files that hold data, not options; they have a reader and a test of their own (test_paper.py)."""

YAMLS = [
    path
    for path in FILES
    if path.suffix == ".yaml" and "conf" in path.parts and path.parent.name != "accelerate" and path.stem not in TABLES
]

SHARED = [path for path in FILES if path.suffix == ".yaml" and path.parent.name == "accelerate"]
"""How processes share a training; accelerate reads these."""


@pytest.fixture(scope="session")
def parsers():
    """The parsers of all entry points, made once."""
    import importlib

    from c2ser.cli import make_parser

    return {entry: make_parser(importlib.import_module(f"c2ser.bin.{entry}").main) for entry in ENTRY_POINTS}


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_every_configuration_is_accepted_by_its_entry_point(path, parsers):
    made = parsers[CONFIGS[path.stem]]
    values = yaml.safe_load(path.read_text("utf-8"))
    required = {"style": "explicit", "stage": "explicit", "tests": "[]"}
    words = [f"--config={path}"]
    for action in made._actions:
        if getattr(action, "required", False) and action.dest not in values:
            words.append(f"--{action.dest}={required.get(action.dest, 'x')}")
    result = made.parse_args(words)
    flat = result.as_dict() if hasattr(result, "as_dict") else vars(result)
    for key, value in values.items():
        if not isinstance(value, dict):
            assert flat[key] == value
    made.instantiate(result)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_every_entry_point_is_described(entry, parsers):
    text = parsers[entry].format_help()
    assert len(parsers[entry].description) > 20
    undocumented = [
        action.dest for action in parsers[entry]._actions if action.dest != "help" and not (action.help or "").strip()
    ]
    assert not undocumented, undocumented
    assert "--config" in text


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_every_way_to_share_a_training_is_accepted_by_accelerate(path):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    wanted = {"ddp": "MULTI_GPU", "fsdp2": "FSDP"}
    assert load_config_from_file(str(path)).distributed_type == wanted[path.stem]
    words = ["--config_file", str(path), "--num_processes", "2", "-m", "c2ser.bin.train_c2ser"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert (arguments.multi_gpu, arguments.use_fsdp) == tuple(path.stem == kind for kind in wanted)
    assert not arguments.use_deepspeed
    assert (arguments.num_processes, arguments.mixed_precision) == (2, "no")


def test_sizes_have_the_same_configurations():
    for path in YAMLS:
        if path.parent.name == "full":
            assert (path.parents[1] / "tiny" / path.name).exists(), name(path)


@pytest.mark.parametrize("size", ["full", "tiny"])
def test_without_chains_of_thought_training_is_as_long_as_with_them(size):
    folder = ROOT / "local/conf" / size
    explicit, implicit, direct = (
        yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8")) for name in ("explicit", "implicit", "direct")
    )
    explicit["training"]["steps"] += implicit["training"]["steps"]
    assert direct == explicit


@pytest.mark.parametrize("entry", TEXT_ONLY)
def test_text_only_entry_points_do_not_reach_torch(entry):
    code = f"import sys, c2ser.bin.{entry}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
