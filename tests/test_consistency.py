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
    {"log", "machine"},
    {"audio_files", "chat_templates", "devices", "emotions", "pretrained", "tables", "transcripts", "yaml_files"},
    {"label_sets", "ratings", "tensors"},
    {"audio", "chat", "cli"},
    {"corpus"},
    {"prep"},
    {"scoring"},
    {"cot", "data"},
    {"attributes", "emotion2vec"},
    {"recordings"},
    {"labelling", "model"},
    {"baselines"},
    {"training"},
    {"planning"},
    {"report", "serving"},
    {"bin"},
    {"__main__"},
]
"""From the bottom; a module imports from lower layers and from its own package."""

HEAVY = {"torch", "torchaudio", "transformers", "peft", "accelerate", "sklearn", "scipy", "matplotlib", "penn"}
"""What takes seconds to import; no entry point needs it to show its help or to refuse an option."""

TEXT_ONLY = (
    "compute_stats",
    "assign_levels",
    "generate_cot",
    "extract_labels",
    "argmax_labels",
    "vote_labels",
    "score",
    "show_results",
    "report",
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


OWN_LOADERS = {"AudioLlm", "SenseVoice", "C2SER", "HeadModel", "WhisperEncoder", "Transcriber", "Cascade"}
"""Classes of the package that have a `from_pretrained` of their own."""


def test_what_loads_from_transformers_says_that_code_of_models_is_not_run():
    """Without the word, transformers asks on a terminal whether to run the code, and runs it for a "y"."""
    checked, own = 0, set()
    for path in CODE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                methods = {method.name for method in node.body if isinstance(method, ast.FunctionDef)}
                own |= {node.name} if "from_pretrained" in methods else set()
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr not in ("from_pretrained", "from_config") or owner in OWN_LOADERS:
                    continue
                values = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert values.get("trust_remote_code") == "False", f"{name(path)}: {ast.unparse(node)}"
                checked += 1
    assert checked > 8 and own == OWN_LOADERS


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
    lines = 300 if recipe.name in ("c2ser", "free") else 20  # they join corpora and have stages of their own
    assert os.access(recipe / "run.sh", os.X_OK) and len((recipe / "run.sh").read_text().splitlines()) <= lines
    assert (recipe / "README.md").stat().st_size > 300
    generator = recipe / "local/data_prep.py"
    if recipe.name == "own":  # its stage 0 is c2ser import
        assert not generator.exists()
        generator = ROOT / "egs/TEMPLATE/local/data_prep.py"
    assert "prepare(" in generator.read_text("utf-8") and len(generator.read_text("utf-8").splitlines()) <= 120
    done = subprocess.run([recipe / "run.sh", "--help"], capture_output=True, text=True)
    stages = range(1 if recipe.name == "free" else 10)  # it leaves the others to local/c2ser.sh, and says so
    assert done.returncode == 0 and all(f"\n  {stage:2}  " in done.stdout for stage in stages), done.stderr
    assert "--stop-stage" in done.stdout
    done = subprocess.run([recipe / "run.sh", "--stages", "3"], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/egs/c2ser/local"}
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
    stages = [*(ROOT / "local").glob("*.sh"), ROOT / "egs/c2ser/run.sh"]
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
    "c2ser": "train_c2ser",
    "model": "train_c2ser",
    "explicit": "train_c2ser",
    "implicit": "train_c2ser",
    "direct": "train_c2ser",
    "finetune": "train_c2ser",
    "decode": "decode",
    "decode_published": "decode",
    "tiny_models": "make_tiny_models",
    "classifier": "finetune",
    "secap": "train_c2ser",
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
    made = parsers[CONFIGS.get(path.stem) or {"baselines": "answer"}[path.parent.name]]
    values = yaml.safe_load(path.read_text("utf-8"))
    required = {"style": "explicit", "stage": "explicit", "tests": "[]", "data": "[x]"}
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
        if path.parent.name == "full" and not (path.parents[1] / path.name).exists():
            for size in ("small", "tiny"):
                assert (path.parents[1] / size / path.name).exists(), f"{name(path)} has no {size}"


LAYERS_OF_TRAININGS = {
    "explicit": ("c2ser", "model", "explicit"),
    "implicit": ("c2ser", "implicit"),
    "direct": ("c2ser", "model", "direct"),
    "finetune": ("c2ser", "finetune"),
}
"""The configurations of each training of C²SER in local/c2ser.sh, later ones over earlier ones."""


def leaves(values, prefix=""):
    """Return all settings by their whole names."""
    found = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def layer_of(size, layer_name):
    return leaves(yaml.safe_load((ROOT / f"local/conf/{size}/{layer_name}.yaml").read_text("utf-8")))


def resolved(parsers, size, training):
    """Return the settings of a training as its entry point sees them."""
    words = [f"--config={ROOT}/local/conf/{size}/{one}.yaml" for one in LAYERS_OF_TRAININGS[training]]
    values = parsers["train_c2ser"].parse_args([*words, "--train=x", "--valid=x", "--out=x", "--stage=explicit"])
    sections = ("model", "batches", "optim", "training", "validation", "spec_augment")
    return leaves({section: values[section] and values[section].as_dict() for section in sections})


LITERAL = {
    "full": {
        "model.whisper": "openai/whisper-medium", "model.llm": "Qwen/Qwen2-7B-Instruct", "model.llm_dtype": "bfloat16",
        "model.acoustic": "tokens", "model.connector.dim": 1024, "model.connector.layers": 4,
        "model.connector.heads": 4, "model.connector.feed_forward": 2560, "model.connector.dropout": 0.1,
        "model.lora.r": 8, "model.lora.alpha": 32, "model.lora.dropout": 0.1,
        "model.trainable": ["whisper", "connector", "lora"], "model.whisper_dropout": 0.1,
        "batches.seconds": 39.0, "batches.tokens": 1900,
        "optim.lr": 5.0e-5, "optim.betas": (0.9, 0.99), "optim.weight_decay": 0.01, "optim.warmup": 0.15,
        "optim.schedule": "warmup_inverse_sqrt", "optim.clip": 5.0,
        "training.steps": 20000, "training.epochs": None, "training.keep_epochs": [], "training.accumulate": 4,
        "training.log_every": 20, "training.valid_every": 1000, "training.save_every": 500,
        "training.precision": "bf16",
        "validation.utterances": 210, "validation.max_new_tokens": 200,
        "spec_augment.time_masks": 2, "spec_augment.time_width": 50, "spec_augment.bin_masks": 2,
        "spec_augment.bin_width": 10, "spec_augment.substitutions": 3, "spec_augment.substitution_width": 30,
    },
    "tiny": {
        "model.acoustic": "tokens", "model.connector.dim": 128, "model.connector.layers": 2,
        "model.connector.heads": 4, "model.connector.feed_forward": 256, "model.connector.dropout": 0.1,
        "model.lora.r": 8, "model.lora.alpha": 32, "model.lora.dropout": 0.0,
        "model.trainable": ["whisper", "connector", "lora", "llm"], "model.whisper_dropout": 0.1,
        "batches.seconds": 80.0, "batches.tokens": 20000, "batches.utterances": 32, "batches.keep_features": True,
        "optim.lr": 1.0e-3, "optim.betas": (0.9, 0.98), "optim.weight_decay": 0.01, "optim.warmup": 0.1,
        "optim.schedule": "cosine",
        "training.steps": 400, "training.epochs": None, "training.keep_epochs": [], "training.accumulate": 1,
        "training.log_every": 10, "training.valid_every": 200, "training.save_every": 50,
        "training.precision": "fp32",
        "validation.utterances": 84, "validation.max_new_tokens": 250, "validation.seconds": 300.0,
        "spec_augment.time_masks": 2, "spec_augment.time_width": 20, "spec_augment.bin_masks": 1,
        "spec_augment.bin_width": 10, "spec_augment.substitutions": 0,
    },
}  # fmt: skip
"""Settings of the explicit training; everything else is a default of the code."""

CHANGED = {
    ("full", "implicit"): {"training.steps": 10000},
    ("full", "direct"): {"training.steps": 30000},
    ("full", "finetune"): {"training.steps": 1000, "training.epochs": 6, "training.keep_epochs": [0, 3, 6]},
    ("tiny", "implicit"): {"training.steps": 360, "training.valid_every": 120, "optim.lr": 7e-4},
    ("tiny", "direct"): {"training.steps": 760},
    ("tiny", "finetune"): {
        "training.steps": 1000, "training.epochs": 6, "training.keep_epochs": [0, 3, 6], "training.valid_every": 1000,
        "optim.lr": 3e-4,
    },
}  # fmt: skip
"""In what the other trainings differ from it."""

CHOSEN_ANEW = ("model.trainable", "model.style", "model.checkpointing")
"""What a training may choose for a model that it starts from; everything else comes with that model."""


@pytest.mark.parametrize("size", ["full", "tiny"])
def test_layers_give_the_settings_of_each_training(size, parsers):
    explicit = resolved(parsers, size, "explicit")
    assert {name: explicit[name] for name in LITERAL[size]} == LITERAL[size]
    defaults = parsers["train_c2ser"].parse_args(["--train=x", "--valid=x", "--out=x", "--stage=explicit"])
    for training in ("implicit", "direct", "finetune"):
        expected = explicit | CHANGED[size, training]
        if training != "direct":
            model = leaves({"model": defaults["model"].as_dict()})
            expected |= {name: value for name, value in model.items() if name not in CHOSEN_ANEW}
        assert resolved(parsers, size, training) == expected


@pytest.mark.parametrize(("size", "clip"), [("full", 0.0), ("tiny", 5.0)])
def test_gradients_of_the_published_encoder_are_not_clipped(size, clip, parsers):
    words = [f"--config={ROOT}/local/conf/{size}/emotion2vec.yaml", "--train=x", "--valid=x", "--out=x"]
    assert parsers["train_emotion2vec"].parse_args(words)["optim"].clip == clip


@pytest.mark.parametrize("size", ["full", "small", "tiny"])
def test_layers_say_nothing_twice(size):
    for names in LAYERS_OF_TRAININGS.values():
        below = {}
        for layer_name in names:
            own = layer_of(size, layer_name)
            assert [key for key, value in own.items() if key in below and below[key] == value] == []
            below |= own


@pytest.mark.parametrize(("size", "unit"), [("full", "steps"), ("small", "epochs"), ("tiny", "steps")])
def test_without_chains_of_thought_training_is_as_long_as_with_them(size, unit):
    length = {name: layer_of(size, name)[f"training.{unit}"] for name in ("explicit", "implicit", "direct")}
    assert length["direct"] == length["explicit"] + length["implicit"]


def test_small_models_train_what_is_new(parsers):
    small = resolved(parsers, "small", "explicit")
    assert small["model.trainable"] == ["connector", "lora"] and small["training.precision"] == "auto"
    assert small["spec_augment"] is None  # so that the states of the frozen Whisper can be kept
    assert small["model.lora.dropout"] == 0  # so that the prompt is computed once a batch


def in_a_fresh_process(code, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_and_option_errors_reach_nothing_that_takes_long():
    """One fresh process makes the parsers of all entry points, with their help."""
    code = (
        "import importlib, sys\n"
        "from c2ser.cli import make_parser\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(f'c2ser.bin.{name}')\n"
        "    make_parser(module.main, getattr(module, 'PATHS', None)).format_help()\n"
        f"    reached = {HEAVY!r} & sys.modules.keys()\n"
        "    assert not reached, f'{name} imports {reached}; import it inside of main'\n"
    )
    in_a_fresh_process(code, *ENTRY_POINTS)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_every_verb_stands_in_a_group(entry):
    from c2ser.__main__ import GROUPS, describe

    summary, group = describe(ROOT / f"c2ser/bin/{entry}.py")
    assert group in GROUPS[:-1] and 10 < len(summary) <= 100 and summary.endswith(".")


def test_text_only_entry_points_do_not_reach_torch():
    """One fresh process imports what each of them imports, inside of main too."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'{name} imports torch'\n"
    )
    modules = {module for entry in TEXT_ONLY for module in imports(ROOT / f"c2ser/bin/{entry}.py")}
    assert "c2ser.scoring.results_page" in modules
    in_a_fresh_process(code, *sorted(modules))
