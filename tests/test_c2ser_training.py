"""How C²SER is trained: exact resume, several processes, the schedule, token budgets, extracted vectors, bad input."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_c2ser import build, place  # noqa: F401 - the fixture is used by name

from c2ser.data.collate import SpecAugment
from c2ser.data.datasets import read_items
from c2ser.training import checkpoint
from c2ser.training.c2ser import BatchConfig, C2SERObjective, Corpus, ValidConfig
from c2ser.training.loop import REQUEUE_STATUS, train
from c2ser.training.models import start
from c2ser.training.settings import OptimConfig, TrainConfig

STEPS = 5
STUDIES = [("explicit", 1), ("explicit", 4), ("implicit", 1), ("implicit", 4)]
"""Stage and accumulation."""


class Stopped(C2SERObjective):
    """Asks its own process to stop after some steps, once."""

    stop_after: int | None = None

    def after_step(self, step):
        if step == self.stop_after and int(os.environ.get("RANK", 0)) == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def objective(place, stage, **changes):  # noqa: F811
    model = start(stage, build(place).config, place / "model", seed=1)
    items = [read_items(place / "data" / name, ["explicit", "implicit"]) for name in ("train", "valid")]
    sizes = BatchConfig(seconds=2.5, tokens=600, utterances=3)
    corpus = Corpus(*items, sizes, SpecAugment(time_width=5), ValidConfig(2, max_new_tokens=3))
    return Stopped(model, stage, corpus, seed=3)


def study(place, out, stage, accumulate, stop_after=None, **changes):  # noqa: F811
    """Train a few steps under `out`; return how the training ended."""
    taught = objective(place, stage)
    taught.stop_after = stop_after
    settings = {"steps": STEPS, "accumulate": accumulate, "log_every": 2, "valid_every": 4, "save_every": 100}
    try:
        train(taught, OptimConfig(lr=1e-3), TrainConfig(**{**settings, **changes}), out)
    except SystemExit as end:
        return end.code
    return 0


def studies(place, out):  # noqa: F811
    """Every study, undisturbed and interrupted; return how those that were stopped ended."""
    ends = []
    for stage, accumulate in STUDIES:
        for kind, stop in (("whole", None), ("twice", 2), ("twice", None)):
            ends.append(study(place, out / f"{stage}{accumulate}/{kind}", stage, accumulate, stop))
    return ends


def result(folder):
    tensors, remembered, state = checkpoint.load(checkpoint.newest(folder / "checkpoints"))
    return {**tensors["trained"], **remembered}, state


def largest_difference(one, two):
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def launch(place, out, name, *words, processes=2, environment=()):  # noqa: F811
    """Call a function of this file in several processes."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_c2ser_training as t; "
        "getattr(t, sys.argv[2])(Path(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])"
    )
    (out / "job.py").parent.mkdir(parents=True, exist_ok=True)
    (out / "job.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    here = Path(__file__).parent
    settings = {"PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **dict(environment)}
    settings["ACCELERATE_USE_CPU"] = "true"
    return subprocess.run(
        [*command, out / "job.py", here, name, place, out, *words],
        env=os.environ | settings, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model_place(place):  # noqa: F811
    build(place).save_pretrained(place / "model")
    return place


@pytest.fixture(scope="module")
def alone(model_place, tmp_path_factory):
    """All studies in this process."""
    out = tmp_path_factory.mktemp("alone")
    assert studies(model_place, out) == [0, REQUEUE_STATUS, 0] * 4
    return out


@pytest.fixture(scope="module")
def shared(model_place, tmp_path_factory):
    """All studies in two processes."""
    out = tmp_path_factory.mktemp("shared")
    done = launch(model_place, out, "studies")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("stage, accumulate", STUDIES)
@pytest.mark.parametrize("processes", ["alone", "shared"])
def test_interrupted_training_gives_the_same_bits(request, processes, stage, accumulate):
    folder = request.getfixturevalue(processes) / f"{stage}{accumulate}"
    (one, state), (two, again) = result(folder / "whole"), result(folder / "twice")
    assert all(torch.equal(one[name], two[name]) for name in one) and one.keys() == two.keys()
    assert state == again and state["step"] == STEPS
    assert len(list((folder / "twice/tensorboard").iterdir())) == 2


@pytest.mark.parametrize("stage", ["explicit", "implicit"])
def test_two_processes_train_as_one_with_the_same_batches(model_place, shared, tmp_path, stage):
    study(model_place, tmp_path, stage, 2)
    one, state = result(tmp_path)
    two, again = result(shared / f"{stage}1/whole")
    assert largest_difference(one, two) < 1e-6
    for row, other in zip(state["history"], again["history"], strict=True):
        assert row == pytest.approx(other, rel=1e-5)


def test_checkpoints_hold_what_was_trained_and_nothing_else(alone):
    tensors, _ = result(alone / "explicit1/whole")
    names = {name for name in tensors if "/" not in name}
    assert names and all(".lora_" in n or n.startswith(("model.connector.", "model.whisper.")) for n in names)
    assert {name for name in tensors if "/" in name} == {
        f"{quantity}/{name}" for name in names for quantity in ("step", "exp_avg", "exp_avg_sq")
    }
