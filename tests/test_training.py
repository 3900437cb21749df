"""The loop: schedules, exact resume after a kill, damaged checkpoints, changed settings, guards."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from c2ser.data.sampler import rng
from c2ser.training import checkpoint
from c2ser.training.loop import REQUEUE_STATUS, OptimConfig, TrainConfig, train
from c2ser.training.objective import Objective
from c2ser.training.schedule import explicit_probability, learning_rate_factor


class Line(Objective):
    """A small regression with dropout and an averaged copy of its weights."""

    def __init__(self, poison: int = -1, delay: float = 0.0):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.poison, self.delay = poison, delay

    def batch(self, index):
        x = torch.tensor(rng(1, index).normal(size=(8, 4)), dtype=torch.float32)
        return x, x.sum(1, keepdim=True)

    def forward(self, batch, step):
        time.sleep(self.delay)
        loss = ((self.net(batch[0]) - batch[1]) ** 2).mean()
        return {"loss": loss * float("nan") if step == self.poison else loss}

    def validate(self, step):
        x, y = self.batch(10**6)
        return {"score": -float(((self.net(x) - y) ** 2).mean())}

    def after_step(self, step):
        for mean, p in zip(self.average, self.net.parameters(), strict=True):
            mean.lerp_(p.detach(), 0.1)

    def extra_state(self):
        return {str(i): mean for i, mean in enumerate(self.average)}

    def load_extra_state(self, state):
        self.average = [state[str(i)].clone() for i in range(len(state))]


OPTIM = OptimConfig(lr=1e-2)


def config(**changes):
    return TrainConfig(**{"steps": 40, "valid_every": 10, "save_every": 5, "log_every": 7, "accumulate": 2, **changes})


def final(folder: Path):
    newest = checkpoint.newest(folder / "checkpoints")
    return {name: load_file(newest / f"{name}.safetensors") for name in ("trained", "extra")}


def same(one, two):
    return all(torch.equal(one[g][k], two[g][k]) for g in one for k in one[g])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(Line(), OPTIM, config(), folder)
    return folder


def test_it_learns_and_draws(undisturbed):
    _, _, state = checkpoint.load(checkpoint.newest(undisturbed / "checkpoints"))
    scores = [row["valid/score"] for row in state["history"] if "valid/score" in row]
    assert len(scores) == 4 and scores[-1] > scores[0]
    assert (undisturbed / "curves.png").stat().st_size > 5000
    assert list((undisturbed / "tensorboard").iterdir())


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_training import Line, OPTIM, config, train
train(Line(delay=0.02), OPTIM, config(), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_killed_and_resumed_equals_undisturbed(tmp_path, root, undisturbed, number):
    command = [sys.executable, "-c", SCRIPT, str(root / "tests"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    job = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while job.poll() is None and not list((tmp_path / "checkpoints").glob("step_*")):
        time.sleep(0.02)
    time.sleep(0.15)
    job.send_signal(number)
    _, errors = job.communicate()
    assert job.returncode == (-9 if number == signal.SIGKILL else REQUEUE_STATUS), errors.decode()
    assert not (tmp_path / "checkpoints" / "step_00000040").exists()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert same(final(tmp_path), final(undisturbed))
    state = checkpoint.load(checkpoint.newest(tmp_path / "checkpoints"))[2]
    assert state["history"] == checkpoint.load(checkpoint.newest(undisturbed / "checkpoints"))[2]["history"]


LAUNCHED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_training import Line, OPTIM, config, train
train(Line(delay=0.05), OPTIM, config(steps=400), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_launcher_passes_signals_on_and_the_status_back(tmp_path, root, number):
    (tmp_path / "job.py").write_text(LAUNCHED)
    shared = root / "local/conf/accelerate/ddp.yaml"
    command = [sys.executable, "-m", "c2ser.training.launch", "--config_file", shared, "--num_processes", "2"]
    environment = os.environ | {"PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    job = subprocess.Popen([*command, tmp_path / "job.py", root / "tests", tmp_path], env=environment, stderr=-1)
    while job.poll() is None and not list((tmp_path / "checkpoints").glob("step_*")):
        time.sleep(0.05)
    workers = psutil.Process(job.pid).children()
    assert len(workers) == 2
    saved = checkpoint.newest(tmp_path / "checkpoints")
    job.send_signal(number)
    _, errors = job.communicate(timeout=60)  # what it started has its standard error too
    assert job.returncode == (-9 if number == signal.SIGKILL else REQUEUE_STATUS), errors.decode()
    assert all(not w.is_running() or w.status() == psutil.STATUS_ZOMBIE for w in psutil.wait_procs(workers, 10)[1])
    assert checkpoint.newest(tmp_path / "checkpoints").name >= saved.name
    assert b"told to stop; saved" in errors and b"Traceback" not in errors


def test_damaged_checkpoint_is_passed_over(tmp_path, undisturbed):
    shutil.copytree(undisturbed, tmp_path / "run")
    newest = checkpoint.newest(tmp_path / "run" / "checkpoints")
    weights = newest / "trained.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert checkpoint.newest(tmp_path / "run" / "checkpoints") != newest
    train(Line(), OPTIM, config(), tmp_path / "run")
    assert same(final(tmp_path / "run"), final(undisturbed))


def test_leftovers_of_a_kill_are_removed(tmp_path):
    (tmp_path / "checkpoints" / ".step_00000003.tmp").mkdir(parents=True)
    train(Line(), OPTIM, config(), tmp_path)
    names = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert len(names) <= 3 and all(name.startswith("step_") for name in names)


def test_other_settings_are_refused(tmp_path, undisturbed):
    shutil.copytree(undisturbed, tmp_path / "run")
    with pytest.raises(ValueError, match="steps: 40 then, 50 now.*; remove"):
        train(Line(), OPTIM, config(steps=50), tmp_path / "run")
    train(Line(), OPTIM, config(log_every=3), tmp_path / "run")


def test_not_finite_stops_with_the_step(tmp_path):
    with pytest.raises(ValueError, match="step 13: the loss is not finite"):
        train(Line(poison=12), OPTIM, config(), tmp_path)
    assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000010"


class Named(tuple):
    """A batch whose utterances have names."""

    utterances = ["a-1", "b-2"]


@pytest.mark.parametrize("spoil", ["loss", "gradient"])
def test_not_finite_names_the_utterances(tmp_path, spoil):
    class Speech(Line):
        def batch(self, index):
            return Named(super().batch(index))

        def forward(self, batch, step):
            loss = super().forward(batch, step)["loss"]
            if step == 2 and spoil == "gradient":
                loss = loss + (loss - loss.detach()).sqrt()  # its value is finite
            return {"loss": loss * float("nan") if step == 2 and spoil == "loss" else loss}

    with pytest.raises(ValueError, match=f"step 3: the {spoil} is not finite .*a-1, b-2.*; lower optim.lr"):
        train(Speech(), OPTIM, config(accumulate=1), tmp_path)


def test_the_best_weights_are_kept(tmp_path):
    class Worse(Line):
        def validate(self, step):
            return {"score": -abs(step - 20)}

    objective = Worse()
    best = train(objective, OPTIM, config(keep=1), tmp_path)
    assert best.name == "step_00000020"
    stored = load_file(best / "trained.safetensors")
    assert all(torch.equal(p, stored[n]) for n, p in objective.named_parameters())


def test_learning_rates():
    rates = [learning_rate_factor(s, 100, 0.15, "warmup_inverse_sqrt") for s in range(1, 101)]
    assert rates[0] == pytest.approx(1 / 15) and max(rates) == rates[14] == 1
    assert rates[59] == pytest.approx(0.5)
    assert learning_rate_factor(100, 100, 0.05, "cosine") == pytest.approx(0, abs=1e-9)
    assert learning_rate_factor(80, 100, 0.15, "warmup_constant") == 1
    assert learning_rate_factor(1, 100, 0.15, "constant") == 1


def test_explicit_share_falls_linearly_from_one_to_zero():
    shares = [explicit_probability(step, 101) for step in range(101)]
    assert shares[0] == 1 and shares[-1] == 0 and shares[50] == pytest.approx(0.5)
    assert {round(a - b, 9) for a, b in zip(shares, shares[1:], strict=False)} == {0.01}
