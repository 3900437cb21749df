"""local/c2ser.sh: which command each training stage runs, with which configurations, options and folders."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from c2ser.scoring.results_page import find_results
from c2ser.tables import write_json

ROOT = Path(__file__).parents[1]

LAUNCHER = """#!/usr/bin/env python3
import json, sys
from pathlib import Path
with open(sys.path[0] + "/calls", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if "--out" in sys.argv:
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text("{}")
"""
"""Writes down what it is to run, and makes the folder that this would make."""

TRAININGS = ("c2ser.bin.train_emotion2vec", "c2ser.bin.train_c2ser", "c2ser.bin.finetune")


class Recipe:
    """A recipe in a project of its own, whose launcher for GPUs trains nothing."""

    def __init__(self, folder, tools):
        self.folder, self.tools = folder, tools

    def run(self, *words, status=0):
        """Run stages; return the calls of trainings, each as a dict, and what was said."""
        (self.tools / "calls").unlink(missing_ok=True)
        environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
        command = [self.folder / "run.sh", "--stage", "4", "--skip-stages", "5", "--stop-stage", "7", *words]
        done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        calls = (self.tools / "calls").read_text().splitlines() if (self.tools / "calls").exists() else []
        trainings = [line for line in calls if any(name in line for name in TRAININGS)]
        return [Call(json.loads(line), self.folder.parents[1]) for line in trainings], done.stderr


class Call:
    """A call of a training, taken apart."""

    def __init__(self, args, project):
        at = next(number for number, arg in enumerate(args) if arg in TRAININGS)
        self.gpus, self.log, self.launch, self.entry = args[1], args[2], args[3 : at - 1], args[at]
        self.data = args.pop(at + 1) if not args[at + 1].startswith("--") else None
        self.options = list(zip(args[at + 1 :: 2], args[at + 2 :: 2], strict=True))
        prefix = f"{project}/local/conf/"
        self.configs = [value.removeprefix(prefix) for name, value in self.options if name == "--config"]

    def __getitem__(self, name):
        return dict(self.options).get(f"--{name}")


@pytest.fixture
def recipe(own_recipe, tmp_path):
    project = own_recipe.parents[1]
    (project / "local").unlink()
    shutil.copytree(ROOT / "local", project / "local", ignore=shutil.ignore_patterns("site.sh"))
    (tmp_path / "launch").write_text(LAUNCHER)
    (tmp_path / "launch").chmod(0o755)
    (project / "local/site.sh").write_text(f"gpu_cmd={shlex.quote(str(tmp_path / 'launch'))}\n")
    for name in ("train", "valid"):
        (own_recipe / "data" / name).mkdir(parents=True)
        for table in ("wav.scp", "text", "cot_explicit", "cot_implicit"):
            (own_recipe / "data" / name / table).write_text("a x\n")
    return Recipe(own_recipe, tmp_path)


def test_each_stage_shows_its_training_to_the_launcher(recipe):
    (encoder, explicit, implicit), _ = recipe.run()
    assert [call.entry.removeprefix("c2ser.bin.train_") for call in (encoder, explicit, implicit)] == [
        "emotion2vec",
        "c2ser",
        "c2ser",
    ]
    assert encoder.configs == ["full/emotion2vec.yaml"]
    assert explicit.configs == ["full/c2ser.yaml", "full/model.yaml", "full/explicit.yaml"]
    assert implicit.configs == ["full/c2ser.yaml", "full/implicit.yaml"]
    assert [call.log for call in (encoder, explicit)] == ["exp/emotion2vec_s/train.log", "exp/explicit/train.log"]
    assert (explicit["stage"], explicit["out"], explicit["init"]) == ("explicit", "exp/explicit", None)
    assert (implicit["stage"], implicit["out"], implicit["init"]) == ("implicit", "exp/implicit", "exp/explicit")
    assert explicit["model.emotion2vec"] == "exp/emotion2vec_s" and implicit["model.emotion2vec"] is None
    for call in (encoder, explicit, implicit):
        assert (call["train"], call["valid"]) == ("data/train", "data/valid")
        assert (call.gpus, call.launch) == ("1", ["python"])


def test_no_training_gets_the_options_of_another(recipe):
    options = [
        f"--{part}-options=--optim.lr {number}" for number, part in enumerate(("encoder", "explicit", "implicit"))
    ]
    for part in ("encoder", "explicit", "implicit"):
        (recipe.folder / f"my {part}.yaml").write_text("{}")
        options += [f"--{part}-config", f"my {part}.yaml"]
    calls, _ = recipe.run(*options)
    for number, (part, call) in enumerate(zip(("encoder", "explicit", "implicit"), calls, strict=True)):
        assert call.options[-1] == ("--optim.lr", str(number)) and call["optim.lr"] == str(number)
        assert call.configs[-1] == f"my {part}.yaml" and sum("my " in config for config in call.configs) == 1
    _, said = recipe.run("--explicit-config", "none.yaml", status=1)
    assert said.endswith("c2ser.sh: none.yaml: no such configuration; name a YAML file\n")
    _, said = recipe.run("--train-options=--optim.lr 1", status=2)
    assert said == (
        "c2ser.sh: --train-options: no such option; give --encoder-options, --explicit-options or --implicit-options;"
        " see --help\n"
    )


def test_a_recipes_configuration_comes_over_the_shared_one(recipe):
    (recipe.folder / "conf").mkdir()
    for name in ("model", "implicit"):
        (recipe.folder / f"conf/{name}.yaml").write_text("{}")
    calls = recipe.run()[0][1:]
    assert calls[0].configs == ["full/c2ser.yaml", "full/model.yaml", "conf/model.yaml", "full/explicit.yaml"]
    assert calls[1].configs == ["full/c2ser.yaml", "full/implicit.yaml", "conf/implicit.yaml"]


def test_other_trainings_of_stage_7(recipe):
    (encoder, direct), said = recipe.run("--cot", "false")
    assert direct.configs == ["full/c2ser.yaml", "full/model.yaml", "full/direct.yaml"] and "stage 6 is skipped" in said
    assert (direct["stage"], direct["out"], direct["init"]) == ("direct", "exp/implicit", None)
    assert direct["model.emotion2vec"] == encoder["out"]
    (finetune,), said = recipe.run("--init", "a model")
    assert finetune.configs == ["full/c2ser.yaml", "full/finetune.yaml"]
    assert (finetune["stage"], finetune["out"], finetune["init"]) == ("finetune", "exp/finetune", "a model")
    assert all(f"stage {stage} is skipped" in said for stage in (4, 5, 6))


def test_a_model_without_an_encoder_needs_none(recipe):
    (explicit, implicit), said = recipe.run("--emotion2vec", "none")
    assert explicit["model.emotion2vec"] is None and implicit["init"] == "exp/explicit"
    assert "stage 4 is skipped" in said
    (direct,), _ = recipe.run("--emotion2vec", "none", "--cot", "false")
    assert direct["model.emotion2vec"] is None and direct["stage"] == "direct"
    calls, said = recipe.run("--emotion2vec", "none", "--acoustic-arks", "tokens", status=1)
    assert calls == [] and said.splitlines()[-1].endswith("there are no acoustic vectors; leave it out")


def test_what_no_probe_learns_is_refused(recipe):
    for words, reason in {
        ("--probe-targets", "emotion mood"): "no probe learns mood; choose of emotion, votes and dimensions",
        (
            "--probe-targets",
            "votes",
            "--emotion2vec",
            "none",
        ): "there is no encoder to probe; name one with --probe-models",
    }.items():
        calls, said = recipe.run(*words, status=1)
        assert calls == [] and said.splitlines()[-1].endswith(reason)


def test_baselines_that_are_trained_are_trained_in_stage_7(recipe):
    (recipe.folder / "conf/baselines").mkdir(parents=True)
    (recipe.folder / "conf/baselines/classifier_own.yaml").write_text("{}")
    calls, _ = recipe.run("--baselines", "cascade classifier classifier_own", "--skip-stages", "4 5 6", status=1)
    assert calls == []  # a stage that fails before them trains none
    (*_, one, two), _ = recipe.run("--baselines", "cascade classifier classifier_own", "--tag", "x")
    assert {call.entry for call in (one, two)} == {"c2ser.bin.finetune"}
    assert (one.configs, two.configs) == (["baselines/classifier.yaml"], ["conf/baselines/classifier_own.yaml"])
    assert (one["out"], one.log) == ("exp/x/classifier", "exp/x/classifier/train.log")
    assert (one.data, one["valid"], one.gpus) == ("data/train", "data/valid", "1")
    (alone,), said = recipe.run("--baselines", "cascade classifier", "--models", "none")
    assert alone["out"] == "exp/classifier" and said.count("is skipped") == 3  # 4, 5 and 6
    calls, said = recipe.run("--baselines", "cascade clasifier", status=1)
    assert calls == [] and "--baselines: clasifier has no configuration in " in said and len(said.splitlines()) == 1


def test_a_baseline_that_fails_does_not_stop_the_others(recipe):
    """The launcher of this project answers nothing, so that every baseline lacks its answers."""
    (recipe.folder / "data/test").mkdir()
    for table in ("wav.scp", "utt2spk", "utt2emo"):
        (recipe.folder / "data/test" / table).write_text("a anger\n")
    words = ("--stage", "8", "--stop-stage", "8", "--models", "none", "--wordings", "1")
    calls, said = recipe.run(*words, "--baselines", "qwen2_audio sensevoice", status=1)
    assert calls == []
    for name in ("qwen2_audio", "sensevoice"):
        assert f"exp/{name}/decode_test/answer: part 1 is missing" in said and f"baseline {name} failed" in said
    assert said.splitlines()[-1].endswith(
        "--baselines: qwen2_audio sensevoice failed in stage 8; see above what to do, and run stages 8 and 9 again"
    )
    _, said = recipe.run("--tag", "sensevoice", "--baselines", "sensevoice", status=1)
    assert said.endswith("--tag: sensevoice is the folder of a baseline; choose another name\n")


@pytest.mark.parametrize(
    ("memory", "words", "chosen"),
    [
        ("", [], "small, on no GPU"),
        ("24564", [], "small, on 1 GPU"),
        ("24564\n81559", [], "full, on 1 GPU"),
        ("81559", ["--ngpu", "0"], "small, on no GPU"),
        ("", ["--size", "full"], "full, on no GPU"),
        ("81559", ["--size", "tiny", "--ngpu", "0"], None),
        ("[Insufficient Permissions]", [], "small, on no GPU"),
    ],
)
def test_the_size_follows_from_the_gpu(memory, words, chosen, recipe, tmp_path, monkeypatch):
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '{memory}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    site = recipe.folder.parents[1] / "local/site.sh"
    site.write_text("gpu_cmd=run.py\n")
    _, said = recipe.run(*words, "--skip-stages", "4 5 6 7")
    assert [line.split("size: ")[1] for line in said.splitlines() if "size: " in line] == ([chosen] if chosen else [])


def test_stages_are_skipped_as_asked(recipe):
    recipe.run()
    calls, said = recipe.run("--skip-stages", "5 4 7")
    assert [call["out"] for call in calls] == ["exp/explicit"]
    assert said.count("is skipped") == 3
    _, said = recipe.run("--skip-stages", "4,5", status=1)
    assert said.endswith("--skip-stages: '4,5' is no list of numbers; write them with blanks, as \"1 2\"\n")


def test_changed_copies_are_trained_on_and_not_validated_on(recipe):
    shutil.copytree(recipe.folder / "data/train", recipe.folder / "data/train_augmented")
    calls, _ = recipe.run("--augment", "speed0.9 noise20")
    assert {(call["train"], call["valid"]) for call in calls} == {("data/train_augmented", "data/valid")}


def test_several_gpus_share_the_work_as_asked(recipe):
    (encoder, explicit, _), _ = recipe.run("--ngpu", "2", "--accelerate-config", "fsdp2")
    for call, kind in ((encoder, "ddp"), (explicit, "fsdp2")):  # the encoder fits every GPU
        file = f"{recipe.folder.parents[1]}/local/conf/accelerate/{kind}.yaml"
        start = ["python", "-m", "c2ser.training.launch", "--config_file", file, "--num_processes", "2"]
        assert (call.launch, call.gpus) == (start, "2")
    _, said = recipe.run("--ngpu", "2", "--accelerate-config", "fsdp3", status=1)
    assert "--accelerate-config: fsdp3 is neither a file nor one of" in said and said.endswith("choose one of these\n")


def test_a_tag_has_its_own_models_and_shares_the_encoder_unless_that_is_changed(recipe):
    recipe.run()
    (encoder, explicit, implicit), _ = recipe.run("--tag", "wide", "--explicit-options=--model.lora.r 16")
    assert encoder["out"] == "exp/emotion2vec_s" == explicit["model.emotion2vec"]
    assert (explicit["out"], implicit["init"], implicit["out"]) == (
        "exp/wide/explicit", "exp/wide/explicit", "exp/wide/implicit"
    )  # fmt: skip
    (encoder, explicit, _), _ = recipe.run("--tag", "other", "--encoder-options=--training.seed 2")
    assert encoder["out"] == "exp/other/emotion2vec_s" == explicit["model.emotion2vec"]
    (explicit, _), _ = recipe.run("--tag", "other", "--skip-stages", "4 5")  # it is there
    assert explicit["model.emotion2vec"] == "exp/other/emotion2vec_s"
    (finetune,), _ = recipe.run("--tag", "wide", "--init", "exp/implicit")
    assert finetune["out"] == "exp/wide/finetune"


@pytest.mark.parametrize("name", ["explicit", "probe", "emotion2vec_s", "stability_test", "..", "a/b", "a b", "-x"])
def test_a_tag_is_a_new_folder(recipe, name):
    calls, said = recipe.run(f"--tag={name}", status=1)
    assert calls == [] and "c2ser.sh: --tag: " in said and len(said.splitlines()) == 1


def test_results_of_all_tags_are_shown(tmp_path):
    models = ("explicit", "wide/explicit", "finetune/epoch_3", "wide/finetune/epoch_3")
    for model in models:
        write_json(tmp_path / model / "decode_test/scores.json", {"ua": 0.5})
    assert set(find_results(tmp_path)) == {("test", model) for model in models}


MAPPED = """set -euo pipefail
stage=1 stop_stage=1 stage_marks=marks root={root} max_rejected=10 nj=2 cpu_cmd=run.py
PATH=$root/utils:$PATH
. "$root/utils/stage.sh" && . "$root/local/functions.sh"
if stage 1 "one: x"; then
    for name in one two; do run_map data "out/$name" mapped --word "$1"; need go 0; done
fi
finish
"""

TOOL = """
import sys
from pathlib import Path
data, out = (Path(sys.argv[sys.argv.index(name) + 1]) for name in ("--data", "--out"))
with open("ran", "a") as file:
    file.write(f"{out.name}\\n")
out.write_text("".join(line.split()[0] + " x\\n" for line in (data / "wav.scp").read_text().splitlines()))
"""


def test_a_stage_that_was_stopped_keeps_what_it_has_made_and_another_call_makes_all_anew(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text("a a.wav\nb b.wav\n")
    (tmp_path / "mapped.py").write_text(TOOL)

    def made(word, status):
        (tmp_path / "ran").write_text("")
        code = MAPPED.format(root=shlex.quote(str(ROOT)))
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", code, "it.sh", word], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
        return sorted((tmp_path / "ran").read_text().split())

    assert made("x", 1) == ["one", "one"]  # two parts, then the stage stops
    assert made("x", 1) == [] and made("y", 1) == ["one", "one"]
    (tmp_path / "go").write_text("x")
    assert made("y", 0) == ["two", "two"]
    assert made("y", 0) == ["one", "one", "two", "two"] and not list((tmp_path / "marks").iterdir())


ANSWERS = r"""
set -euo pipefail
. "$root/local/functions.sh"
. "$root/local/baselines.sh"
run_map() { echo "$1 $2" "${@: -2}"; }
run_map_on_gpu() { echo "$1 answers"; }
need() { :; }
compared=(classifier voxemo_both qwen2_audio) changes=(noise20) wordings=0
trained=exp exp=exp size=small configs=(of decoding)
answer_sets one
answer_sets two
echo "${configs[@]}"
"""


def test_changed_copies_have_levels_for_instructions_that_tell_of_them(tmp_path):
    (tmp_path / "data/one").mkdir(parents=True)
    (tmp_path / "data/one/utt2level").write_text("a low low low\n")
    done = subprocess.run(["bash", "-c", ANSWERS], env=os.environ | {"root": str(ROOT)}, cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "data/one answers",
        "data/one-noise20 answers",
        "data/one answers",
        f"data/one-noise20 data/one-noise20/utt2attr --config {ROOT}/local/conf/attributes.yaml",
        "data/one-noise20 data/one-noise20/utt2level --stats exp/attr_stats.json",
        "data/one-noise20 answers",
        "data/one answers",
        "data/one-noise20 answers",
        *["data/two answers", "data/two-noise20 answers"] * 3,
        "of decoding",  # the options of stage 8 are as they were
    ]
