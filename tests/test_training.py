"""The loop: schedules, exact resume after a kill, damaged checkpoints, full disks, changed settings, guards."""

import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from matplotlib.figure import Figure
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from c2ser.data.sampler import rng
from c2ser.training import checkpoint
from c2ser.training.config import OptimConfig, TrainConfig
from c2ser.training.curves import Record, plot_curves
from c2ser.training.log_lines import LogLines
from c2ser.training.loop import REQUEUE_STATUS, Trainer, train
from c2ser.training.objective import Objective
from c2ser.training.schedule import explicit_probability, learning_rate_factor
from c2ser.training.stumbles import DATA, RATE, Stumbles
from c2ser.training.weights import make_optimiser


class Line(Objective):
    """A small regression with dropout and an averaged copy of its weights."""

    def __init__(self, poison: int = -1, delay: float = 0.0):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.poison, self.delay = poison, delay

    def load_raw(self, index):
        time.sleep(self.delay * (index % 3))  # threads finish in another order than they began
        return index

    def make_batch(self, index):
        x = torch.tensor(rng(1, index).normal(size=(8, 4)), dtype=torch.float32)
        return x, x.sum(1, keepdim=True)

    def forward(self, batch, step):
        time.sleep(self.delay)
        loss = ((self.net(batch[0]) - batch[1]) ** 2).mean()
        return {"loss": loss * float("nan") if step == self.poison else loss}

    def validate(self, step):
        x, y = self.make_batch(10**6)
        return {"score": -float(((self.net(x) - y) ** 2).mean())}

    def update_ema(self, step):
        for mean, p in zip(self.average, self.net.parameters(), strict=True):
            mean.lerp_(p.detach(), 0.1)

    def extra_state(self):
        return {str(i): mean for i, mean in enumerate(self.average)}

    def load_extra_state(self, state):
        self.average = [state[str(i)].clone() for i in range(len(state))]


OPTIM = OptimConfig(lr=1e-2)


def config(**changes):
    return TrainConfig(**{"steps": 40, "valid_every": 10, "save_every": 5, "log_every": 7, "accumulate": 2, **changes})


def test_what_updates_many_weights_at_once_updates_them_alike(tmp_path):
    """On a card AdamW is fused, and gradients are clipped as a list; here one by one."""
    weights = []
    for together in (False, True):
        line = Line().eval()
        optimiser = make_optimiser(line, OptimConfig(lr=1e-2, weight_decay=0.1), tmp_path, fused=together)
        for step in range(5):
            line(line.make_batch(step), step)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(line.parameters(), 0.5, foreach=together)
            optimiser.step()
            optimiser.zero_grad()
        weights.append(torch.cat([p.detach().flatten() for p in line.parameters()]))
    assert torch.allclose(*weights, atol=1e-6)


def final(folder: Path):
    newest = checkpoint.newest(folder / "checkpoints")
    return {name: load_file(newest / f"{name}.safetensors") for name in ("trained", "extra")}


def shown(folder):
    """What TensorBoard shows: (step, value) by figure."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


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


def test_the_log_shows_each_interval_and_which_step_is_the_best(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    caplog.set_level("INFO")
    train(Line(), OPTIM, config(), tmp_path)
    lines = [record.message for record in caplog.records if record.message.startswith("step ")]
    lines = list(dict.fromkeys(lines))  # pytest may hold one twice
    number = r"-?\d+\.\d+"
    shown = rf"step +(\d+)/40 \| loss +{number} \| lr {number}e-0\d \| grad norm +{number} \| +{number} s/step"
    steps = [re.fullmatch(rf"{shown} \| 00:00:\d\d left", line) for line in lines]
    assert [int(match[1]) for match in steps if match] == [7, 14, 21, 28, 35, 40]
    validations = [re.match(r"step (\d+)/40 \| validation: score (\S+), (.*)", line) for line in lines]
    best, verdicts = None, [match.groups() for match in validations if match]
    assert [step for step, *_ in verdicts] == ["10", "20", "30", "40"]
    for step, score, verdict in verdicts:
        if best is None or float(score) > float(best[0]):
            best = score, step
            assert verdict == "the best so far"
        else:
            assert verdict == f"best {best[0]} at step {best[1]}"
    assert f"kept: step {best[1]}, score {best[0]}" in caplog.text


class Peaked(Line):
    """Is best at step 6."""

    def validate(self, step):
        return {"score": -abs(step - 6)}


def test_patience_ends_a_training_and_another_call_does_not_go_on(tmp_path):
    settings = config(valid_every=2, save_every=100, patience=3)
    for _ in range(2):
        best = train(Peaked(), OPTIM, settings, tmp_path)
        assert best.name == "step_00000006"
        assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000012"


def test_lines_tell_speed_and_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("c2ser.training.log_lines.time.monotonic", lambda: now[0])
    lines = LogLines(first=10, steps=1000, processes=2)
    for _ in range(5):
        lines.count(seconds=0.5, utterances=3)
    now[0] += 10.0  # half of it in a validation
    figures = {"frame": 1.0, "loss": 2.5, "guess_deviation": 0.1, "gradient_norm": 0.25, "learning_rate": 2e-5}
    assert lines.step_line(15, figures) == (
        "step   15/1000 | loss  2.5000 | frame  1.0000 | lr 2.00e-05 | grad norm   0.250 "
        "|   12.0 utt/s |  0.500 s/step | 00:32:50 left"
    )
    best = {"step": 10, "score": 0.75}
    shown = lines.valid_line(15, {"frame": 0.25, "ua": 0.5, "score": 0.5}, best)
    assert shown == "step   15/1000 | validation: ua 0.5000, best 0.7500 at step 10 | frame 0.2500"


def test_curves_have_no_doubled_panel_and_mark_chance_and_the_kept_step(tmp_path, monkeypatch):
    seen, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *p, **k: (seen.append(f), savefig(f, *p, **k)))
    ua = {1: 0.2, 2: 0.6, 3: 0.4}
    history = [{"step": n, "train/answer": 3.0 - n, "train/loss": 3.0 - n, "train/explicit": 1.0} for n in ua]
    history += [{"step": n, "valid/loss": 4.0 - n, "valid/ua": ua[n], "valid/score": ua[n]} for n in ua]
    plot_curves(history, tmp_path / "x.png", kept=2, chance=0.25)
    axes = {axis.get_ylabel(): axis for axis in seen[0].axes}
    assert list(axes) == ["loss", "UA, %"]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes["UA, %"].lines}
    assert lines["validation"] == [20, 60, 40] and lines["chance"] == [25, 25]
    kept = [line for line in axes["loss"].lines if line.get_label() == "kept: step 2"]
    assert len(kept) == 1 and list(kept[0].get_xdata()) == [2, 2]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_training import Line, OPTIM, config, train
train(Line(delay=0.02), OPTIM, config(), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)]
)
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
    assert shown(tmp_path) == shown(undisturbed)


@pytest.mark.parametrize("step", [23, 30, 40])
@pytest.mark.parametrize("when", ["step", "validation"])
def test_a_stop_does_not_wait_for_a_validation(tmp_path, undisturbed, step, when):
    """A validation can take minutes, which launchers do not grant; it is the first thing when training goes on."""

    class Asked(Line):
        validated = []

        def update_ema(self, now):
            super().update_ema(now)
            if now == step and when == "step":
                signal.raise_signal(signal.SIGTERM)

        def validate(self, now):
            if when == "validation" and now >= step:
                signal.raise_signal(signal.SIGTERM)
            self.validated.append(now)
            return super().validate(now)

    with pytest.raises(SystemExit) as end:
        train(Asked(), OPTIM, config(), tmp_path)
    expected = step if when == "step" else -(-step // 10) * 10
    assert end.value.code == REQUEUE_STATUS and Asked.validated == [*range(10, expected, 10)]
    assert checkpoint.newest(tmp_path / "checkpoints").name == f"step_{expected:08d}"
    train(Line(), OPTIM, config(), tmp_path)
    assert same(final(tmp_path), final(undisturbed))
    histories = [checkpoint.load(checkpoint.newest(f / "checkpoints"))[2] for f in (tmp_path, undisturbed)]
    assert histories[0] == histories[1] and shown(tmp_path) == shown(undisturbed)


class Killed(Line):
    """Dies between two checkpoints."""

    def update_ema(self, step):
        super().update_ema(step)
        if step == 23:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_tensorboard_shows_each_step_once_after_a_kill(tmp_path, root, undisturbed):
    script = SCRIPT.replace("Line,", "Killed,").replace("Line(delay=0.02)", "Killed()")
    command = [sys.executable, "-c", script, str(root / "tests"), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.DEVNULL)
    assert done.returncode == -9
    before = shown(tmp_path)  # with the checkpoint of step 20 came its validation; step 21 is done again
    assert before["valid/score"][-1][0] == 20 and before["train/loss"][-1][0] == 21
    time.sleep(1.1)  # TensorBoard's files are sorted by the second they were begun in
    train(Line(), OPTIM, config(), tmp_path)
    assert shown(tmp_path) == shown(undisturbed)


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


@pytest.mark.parametrize("number", [1, 3, 8])
def test_threads_that_read_do_not_touch_the_result(tmp_path, undisturbed, number):
    train(Line(delay=0.004), OPTIM, config(num_workers=number), tmp_path)
    assert same(final(tmp_path), final(undisturbed)) and not readers()


def test_micro_batches_are_read_while_a_step_computes_but_not_far(tmp_path):
    class Watched(Line):
        """The sixth micro-batch can only be made when those that are read ahead of it have been read."""

        taken: list[int] = []
        eleventh = threading.Event()

        def load_raw(self, index):
            self.taken.append(index)
            if index == 9:
                self.eleventh.set()
            return index

        def make_batch(self, index):
            if index == 5:
                assert self.eleventh.wait(20)
                time.sleep(0.1)
                assert sorted(self.taken) == list(range(10))  # the one in use and two for each of the two threads
            return super().make_batch(index)

    train(Watched(), OPTIM, config(steps=10, num_workers=2), tmp_path)
    assert sorted(Watched.taken) == list(range(20))  # and nothing beyond the last step


@pytest.mark.parametrize("error", [ValueError("s-1: no audio; get some"), KeyError("s-1")])
def test_an_error_of_a_reader_comes_in_its_step_and_ends_the_run(tmp_path, error):
    class Unlucky(Line):
        def load_raw(self, index):
            if index == 24:
                raise error
            return index

    with pytest.raises(type(error)) as caught:
        train(Unlucky(), OPTIM, config(save_every=1), tmp_path)
    assert caught.value is error and not readers()
    assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000012"  # two micro-batches each


def test_a_damaged_checkpoint_pushes_out_no_whole_one(tmp_path, undisturbed):
    shutil.copytree(undisturbed, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for path in folder.iterdir():
        if path.name == "step_00000040":
            (path / "manifest.json").unlink()

    class Stopped(Line):
        def update_ema(self, step):
            super().update_ema(step)
            if step == 37:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit):
        train(Stopped(), OPTIM, config(keep=1), tmp_path / "run")
    assert checkpoint.newest(folder).name == "step_00000037"
    assert not (folder / "step_00000040").exists()
    train(Line(), OPTIM, config(), tmp_path / "run")
    assert same(final(tmp_path / "run"), final(undisturbed))


def test_a_damaged_best_checkpoint_is_known_when_training_goes_on(tmp_path, caplog, monkeypatch):
    class Peaked(Line):
        def validate(self, step):
            return {"score": -abs(step - 10)}

        def update_ema(self, step):
            super().update_ema(step)
            if step == 25 and not self.again:
                signal.raise_signal(signal.SIGTERM)

    first, second = Peaked(), Peaked()
    first.again, second.again = False, True
    with pytest.raises(SystemExit):
        train(first, OPTIM, config(), tmp_path)
    (tmp_path / "checkpoints/step_00000010/trained.safetensors").write_bytes(b"")
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    assert train(second, OPTIM, config(), tmp_path).name == "step_00000030"
    assert "step_00000010, the best so far, is damaged; the best of the steps to come counts" in caplog.text


def test_training_goes_on_where_tensorboard_cannot_write(tmp_path, capfd, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    (tmp_path / "tensorboard").touch()
    train(Line(), OPTIM, config(), tmp_path)
    assert "TensorBoard's file cannot be written (File exists); going on without it" in caplog.text
    record, before = Record(), resource.getrlimit(resource.RLIMIT_FSIZE)
    record.open(tmp_path / "curves", 0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        for step in range(20):
            record.enter(step, "train", {"loss": 1.0}, {"answers": "x" * 99_999})
            record.state()
        record.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(record.history) == 20 and "Traceback" not in capfd.readouterr().err
    assert caplog.text.count("(File too large)") == caplog.text.count("(File exists)")  # told once


def test_a_full_disk_is_one_line_and_leaves_the_checkpoints_before(tmp_path):
    class Growing(Line):
        """From step 10 on, no file may grow over 6 kB: the optimiser's does not fit."""

        def update_ema(self, step):
            super().update_ema(step)
            if step == 10:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError) as caught:
            train(Growing(), OPTIM, config(log_every=100, valid_every=100), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    message = str(caught.value)
    assert "step_00000010" in message and "cannot be written" in message and "\n" not in message
    assert message.endswith("; free space on the disk, or write elsewhere")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000005"]
    train(Line(), OPTIM, config(log_every=100, valid_every=100), tmp_path)


def test_leftovers_are_removed_before_there_must_be_room_for_more(tmp_path):
    left = tmp_path / ".step_00000003.tmp"
    left.mkdir()
    (left / "trained.safetensors").write_bytes(b"much")
    checkpoint.save(tmp_path, 1, {"trained": {"weight": torch.zeros(3)}}, {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]


def test_two_trainings_do_not_share_a_folder(tmp_path):
    with checkpoint.exclusive(tmp_path / "checkpoints"):
        with pytest.raises(OSError, match="another training writes into it; wait for it, or stop it"):
            train(Line(), OPTIM, config(), tmp_path)
    train(Line(), OPTIM, config(steps=1), tmp_path)


RANKS = """
import os, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_training as t
from torch import distributed
def go(out):
    t.train(t.Line(), t.OPTIM, t.config(steps=8, save_every=3, valid_every=8, accumulate=1), Path(out))
go(sys.argv[2] + "/whole")
if os.environ["RANK"] == "0":
    shutil.copytree(sys.argv[2] + "/whole", sys.argv[2] + "/twice")
    shutil.rmtree(sys.argv[2] + "/twice/checkpoints/step_00000008")
else:  # as if the first process' checkpoints were not to be seen yet
    t.checkpoint.newest = lambda folder: None
distributed.barrier()
go(sys.argv[2] + "/twice")
"""


@pytest.mark.slow
def test_all_processes_go_on_from_the_first_ones_checkpoint(tmp_path, root):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    (tmp_path / "job.py").write_text(RANKS)
    environment = os.environ | {"PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    words = [*command, str(tmp_path / "job.py"), str(root / "tests"), str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on from" in done.stderr and same(final(tmp_path / "twice"), final(tmp_path / "whole"))


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


def test_a_poisoned_batch_is_left_out_and_a_resumed_run_passes_it_too(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    train(Line(poison=12), OPTIM, config(log_every=1), tmp_path / "whole")
    said = "step 13: the loss is not finite (a batch without names); this update is left out; likely, in this order: "
    assert said + "a recording of the batch is damaged" in caplog.text
    steps = {row["step"] for row in checkpoint.load(checkpoint.newest(tmp_path / "whole/checkpoints"))[2]["history"]}
    assert steps == {*range(1, 41)} - {13}  # no figure is not a number
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    for path in (tmp_path / "again/checkpoints").glob("step_000000[24]*"):
        shutil.rmtree(path)
    train(Line(poison=12), OPTIM, config(log_every=1), tmp_path / "again")
    assert same(final(tmp_path / "again"), final(tmp_path / "whole"))


def test_not_finite_for_a_few_steps_stops_and_names_its_likely_causes_in_order(tmp_path):
    lost = Line()
    whole = lost.forward
    lost.forward = lambda batch, step: {"loss": whole(batch, step)["loss"] * (1 if step < 11 else float("nan"))}
    causes = (
        "likely, in this order: the learning rate is too high (lower optim.lr); a recording of the batch is damaged"
    )
    with pytest.raises(
        ValueError, match="^step 14: the loss is not finite .*, in 3 steps in a row; " + re.escape(causes)
    ):
        train(lost, OPTIM, config(), tmp_path)
    assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000010"
    assert all(torch.isfinite(p).all() for p in lost.parameters())


def test_causes_depend_on_the_device():
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        assert [cause.split(" is ")[0] for cause in Stumbles("cuda", True).causes(DATA)] == [
            "cuDNN's attention", "a recording of the batch", "bfloat16 overflowed (try training.precision: fp32)"
        ]  # fmt: skip
        assert Stumbles("cpu", False).causes(DATA, RATE) == [DATA, RATE]
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def test_a_score_that_is_no_number_stops_where_it_comes_up(tmp_path):
    class Lost(Line):
        def validate(self, step):
            return {"score": float("nan") if step == 20 else 1.0}

    with pytest.raises(ValueError, match="^step 20: the validation's score is not finite; lower optim.lr, or mend"):
        train(Lost(), OPTIM, config(), tmp_path)


def test_memory_that_the_optimiser_lacks_is_one_line(tmp_path):
    trainer = Trainer(Line(), OPTIM, config(), tmp_path)

    def hungry(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    trainer.optimiser.optimizer.register_step_pre_hook(hungry)
    with pytest.raises(ValueError, match="^step 1: the GPU has too little memory"):
        trainer.run()


@pytest.mark.parametrize(
    "name", ["steps", "accumulate", "log_every", "valid_every", "save_every", "keep", "num_workers"]
)
def test_counts_that_mean_nothing_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"^training.{name} is 0; give 1 or more$"):
        train(Line(), OPTIM, config(**{name: 0}), tmp_path)


def test_epochs_that_are_kept_end_in_steps_of_their_own():
    assert TrainConfig(epochs=3, keep_epochs=[0, 2]).ends(lambda epochs: 5 * epochs, 4) == {2: 1, 3: 2, 4: 3}
    short = TrainConfig(epochs=6, keep_epochs=[0, 3, 6])
    with pytest.raises(ValueError, match="names an epoch shorter than a step; lower training.accumulate"):
        short.ends(lambda epochs: epochs, 4)
    assert short.ends(lambda epochs: epochs, 1)[3] == 3


class Named(tuple):
    """A batch whose utterances have names."""

    utterances = ["a-1", "b-2"]


@pytest.mark.parametrize("spoil", ["loss", "gradient"])
def test_not_finite_names_the_utterances(tmp_path, spoil, caplog, monkeypatch):
    class Speech(Line):
        def make_batch(self, index):
            return Named(super().make_batch(index))

        def forward(self, batch, step):
            loss = super().forward(batch, step)["loss"]
            if step == 2 and spoil == "gradient":
                loss = loss + (loss - loss.detach()).sqrt()  # its value is finite
            return {"loss": loss * float("nan") if step == 2 and spoil == "loss" else loss}

    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    train(Speech(), OPTIM, config(accumulate=1, steps=4, save_every=4), tmp_path)
    assert f"step 3: the {spoil} is not finite (a batch of 2 utterances: a-1, b-2); this update" in caplog.text


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


def test_a_configuration_for_deepspeed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(ValueError, match="DeepSpeed is not supported; give --accelerate-config fsdp2 instead$"):
        Trainer(Line(), OPTIM, config(), tmp_path)
