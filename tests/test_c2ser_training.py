"""How C²SER is trained: exact resume, several processes, the schedule, token budgets, extracted vectors, bad input."""

import logging
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from scipy.stats import chi2
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_c2ser import build, place, waves  # noqa: F401 - the fixture is used by name
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from c2ser.bin import extract_embeddings, train_c2ser
from c2ser.cli import make_parser
from c2ser.cot.prompts import instruction
from c2ser.data.config import SpecAugment
from c2ser.data.datasets import load_item, read_items
from c2ser.emotion2vec.config import EmbeddingBatchConfig
from c2ser.emotion2vec.encoders import load_encoder
from c2ser.emotions import EMOTIONS
from c2ser.model.acoustic import StatesEncoder
from c2ser.model.c2ser import C2SER
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings
from c2ser.model.export import export
from c2ser.model.label_scores import label_scores
from c2ser.model.speech_encoders import WhisperStates
from c2ser.scoring.labels import read_label
from c2ser.tables import read_json, read_table, write_json, write_table
from c2ser.training import checkpoint
from c2ser.training import models as trained_models
from c2ser.training.c2ser_objective import C2SERObjective, Corpus, draw_style
from c2ser.training.config import BatchConfig, LossConfig, OptimConfig, TrainConfig, ValidConfig
from c2ser.training.loop import REQUEUE_STATUS, Trainer, train
from c2ser.training.models import export_epochs, start
from c2ser.training.processes import divides_weights
from c2ser.training.schedule import explicit_probability, learning_rate_factor
from c2ser.training.secap_losses import contrast, information
from c2ser.training.weights import Weights

pytestmark = pytest.mark.xdist_group("c2ser_training")  # the studies are made once

STEPS = 5
STUDIES = [("explicit", 1), ("explicit", 4), ("implicit", 1), ("implicit", 4)]
"""Stage and accumulation."""


class Stopped(C2SERObjective):
    """Asks its own process to stop after some steps, once."""

    stop_after: int | None = None

    def update_ema(self, step):
        if step == self.stop_after and int(os.environ.get("RANK", 0)) == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def objective(place, stage, acoustic=None, model=None, tokens=600, losses=None):  # noqa: F811
    model = model or start(stage, build(place).config, place / "model", seed=1, mapped=divides_weights())
    items = [read_items(place / "data" / name, ["explicit", "implicit"], acoustic) for name in ("train", "valid")]
    sizes = BatchConfig(seconds=2.5, tokens=tokens, utterances=3)
    corpus = Corpus(*items, sizes, SpecAugment(time_width=5), ValidConfig(2, max_new_tokens=3))
    return Stopped(model, stage, corpus, 3, losses)


def study(place, out, stage, accumulate, stop_after=None, model=None, **changes):  # noqa: F811
    """Train a few steps under `out`; return how the training ended."""
    taught = objective(place, stage, model=model)
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


def half(place):  # noqa: F811
    """A model whose language model keeps its own weights in bfloat16."""
    return build(place, llm_dtype="bfloat16", lora=LoraSettings(r=2), trainable=["whisper", "connector", "lora"])


def studies_of_many(place, out):  # noqa: F811
    """Every study in several processes, then those that share the weights layer by layer (FSDP2)."""
    assert studies(place, out) == [0, REQUEUE_STATUS, 0] * 4
    study(place, out / "half/whole", "explicit", 2, model=half(place), precision="bf16")
    # accelerate offers FSDP2 for GPUs alone, PyTorch for processors too
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", reshard_after_forward=True,
        cpu_ram_efficient_loading=False, state_dict_type="FULL_STATE_DICT",
    )  # fmt: skip
    for state in (PartialState, AcceleratorState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    trainer = Trainer(objective(place, "explicit"), OptimConfig(), TrainConfig(), out / "none")
    assert all(isinstance(p, DTensor) for p in trainer.weights.parameters.values())
    sharded = [name for name, module in trainer.wrapped.named_modules() if isinstance(module, FSDPModule)]
    assert len(sharded) == 4 and "model.language.llm.model.layers.1" in sharded
    assert_holds_half(trainer.objective.model.language.llm, load_file(place / "tiny/llm/model.safetensors"))
    trainer.objective.corpus.validation.max_new_tokens = 3 + 4 * int(os.environ["RANK"])  # on cards answers may differ
    trainer.wrapped.eval()
    trainer.objective.validate(0)
    for kind, stop in (("whole", None), ("twice", 2), ("twice", None)):
        study(place, out / f"fsdp/{kind}", "implicit", 4, stop)
    study(place, out / "fsdp half/whole", "explicit", 2, model=half(place), precision="bf16")
    assert study(place, out / "moved", "explicit", 1, stop_after=3) == REQUEUE_STATUS  # begun by one process


def assert_holds_half(llm, stored):
    """Each process holds only its rows of the frozen weights, from the file."""
    frozen = {name: p for name, p in llm.named_parameters() if not p.requires_grad}
    assert len(frozen) == len(stored) > 10
    held = sum(p.to_local().untyped_storage().nbytes() for p in frozen.values())
    assert held <= 0.51 * sum(weight.nbytes for weight in stored.values())
    for name, parameter in frozen.items():
        assert torch.equal(parameter.full_tensor(), stored[name.replace(".base_layer", "")])
    assert llm.get_output_embeddings().weight is llm.get_input_embeddings().weight


def result(folder):
    tensors, remembered, state = checkpoint.load(checkpoint.newest(folder / "checkpoints"))
    return {**tensors["trained"], **remembered}, state


def largest_difference(one, two):
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def launch(place, out, name):  # noqa: F811
    """Call a function of this file in two processes."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_c2ser_training as t; "
        "getattr(t, sys.argv[2])(Path(sys.argv[3]), Path(sys.argv[4])); t.torch.distributed.destroy_process_group()"
    )
    (out / "job.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    here = Path(__file__).parent
    settings = {"PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    settings["ACCELERATE_USE_CPU"] = "true"
    return subprocess.run(
        [*command, out / "job.py", here, name, place, out],
        env=os.environ | settings, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model_place(place):  # noqa: F811
    C2SER(build(place)).save_pretrained(place / "model")
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
    for _ in range(2):
        out = tmp_path_factory.mktemp("shared")
        assert study(model_place, out / "moved", "explicit", 2, stop_after=1) == REQUEUE_STATUS
        done = launch(model_place, out, "studies_of_many")
        # torch 2.11 aborted one of two processes twice in some dozens of runs, with a corrupted heap, and when all was
        # done (pytorch/pytorch#179291, before the group was left); nothing else is tried again
        if "Signal 6 (SIGABRT)" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-6000:]
    return out


@pytest.mark.parametrize("stage, accumulate", STUDIES)
@pytest.mark.parametrize("processes", ["alone", pytest.param("shared", marks=pytest.mark.slow)])
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


def test_sharing_the_weights_changes_nothing(shared):
    (whole, state), (twice, again) = result(shared / "fsdp/whole"), result(shared / "fsdp/twice")
    assert all(torch.equal(whole[name], twice[name]) for name in whole) and state == again
    assert largest_difference(whole, result(shared / "implicit4/whole")[0]) < 1e-6
    assert largest_difference(result(shared / "half/whole")[0], result(shared / "fsdp half/whole")[0]) < 1e-4


def test_one_process_goes_on_with_the_training_of_two_that_went_on_with_that_of_one(model_place, shared):
    assert checkpoint.newest(shared / "moved/checkpoints").name == "step_00000003"
    study(model_place, shared / "moved", "explicit", 2)
    (one, state), (two, again) = result(shared / "moved"), result(shared / "explicit1/whole")
    assert state["step"] == again["step"] == STEPS and largest_difference(one, two) < 1e-6
    with pytest.raises(ValueError, match=r"micro-batches of a step: 2 then, 3 now\); remove them or change --out"):
        study(model_place, shared / "moved", "explicit", 3)


def test_bfloat16_keeps_float32_masters(model_place, tmp_path):
    model = half(model_place)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert before["language.llm.model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16
    study(model_place, tmp_path, "explicit", 1, model=model, precision="bf16")
    tensors, _ = result(tmp_path)
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name, p in model.named_parameters() if p.requires_grad}
    model.set_trainable(["llm"])
    with pytest.raises(ValueError, match="would lose small updates in torch.bfloat16; set model.llm_dtype: float32"):
        objective(model_place, "explicit", model=model)


def test_adapters_get_the_same_without_conversions(model_place, tmp_path):
    """Under autocast, peft's conversion of what goes into adapters changes no bit of the loss."""
    losses, gradients = [], []
    for plain in (True, False):
        taught = objective(model_place, "explicit", model=half(model_place)).train()
        taught.use_bfloat16()
        adapters = [module for module in taught.modules() if isinstance(module, BaseTunerLayer)]
        assert len(adapters) >= 2 and not any(module.cast_input_dtype_enabled for module in adapters)
        assert taught.model.language.llm.config._attn_implementation == "eager"
        for module in adapters:
            module.cast_input_dtype_enabled = not plain
        taught.corpus.spec_augment = None
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            losses.append(taught(taught.make_batch(taught.load_raw(0)), 0)["loss"])
        losses[-1].backward()
        gradients.append([p.grad for p in taught.parameters() if p.requires_grad and p.grad is not None])
    assert torch.equal(*losses) and len(gradients[0]) > 10
    for one, other in zip(*gradients, strict=True):  # they are summed in another order
        assert float((one - other).norm()) <= 0.01 * float(one.norm()) + 1e-6


@pytest.mark.parametrize("precision, dtype", [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_autocast_is_inside_of_what_shares_the_work(model_place, tmp_path, precision, dtype):
    trainer = Trainer(objective(model_place, "explicit"), OptimConfig(), TrainConfig(precision=precision), tmp_path)
    made = []
    for part in (trainer.objective.model.connector.project, trainer.objective.model.whisper.layers.layers[0].fc1):
        part.register_forward_hook(lambda _, given, output: made.append(output.dtype))
    trainer.wrapped.train()
    with torch.autocast("cpu", enabled=False):  # what surrounds the wrapped model has no effect
        loss = trainer.wrapped(trainer.objective.make_batch(trainer.objective.load_raw(0)), 0)["loss"]
    assert made == [dtype] * 2 and loss.dtype == torch.float32


def test_answers_are_shown_in_tensorboard(alone):
    events = EventAccumulator(str(alone / "implicit1/whole/tensorboard"))
    events.Reload()
    shown = [tag for tag in events.Tags()["tensors"] if tag.startswith("s1-")]
    assert len(shown) == 2
    text = events.Tensors(shown[0])[0].tensor_proto.string_val[0].decode()
    assert text.split(": ")[0] in ("anger", "sadness") and {"train/loss", "valid/ua"} <= set(events.Tags()["scalars"])


@pytest.mark.parametrize("accumulate, world", [(1, 1), (4, 2)])
def test_the_share_of_explicit_batches_is_the_schedule_in_every_tenth(accumulate, world):
    steps = 8000 // (accumulate * world)
    seen, expected, sizes = np.zeros(10), np.zeros(10), np.zeros(10)
    for step in range(steps):
        share = explicit_probability(step, steps)
        for micro in range(accumulate):
            for rank in range(world):
                index = (step * accumulate + micro) * world + rank
                seen[step * 10 // steps] += draw_style(777, index) < share
                expected[step * 10 // steps] += share
                sizes[step * 10 // steps] += 1
    observed = np.concatenate([seen, sizes - seen])
    wanted = np.concatenate([expected, sizes - expected])
    statistic = ((observed - wanted) ** 2 / wanted).sum()
    assert chi2.sf(statistic, 10) > 0.01
    assert seen[0] > 0.93 * sizes[0] and seen[-1] < 0.07 * sizes[-1]


def test_the_loop_takes_the_micro_batches_in_that_order(model_place, tmp_path):
    trainer = Trainer(objective(model_place, "implicit"), OptimConfig(), TrainConfig(accumulate=4), tmp_path)
    trainer.step = 7
    assert [trainer.index(micro) for micro in range(4)] == [28, 29, 30, 31]
    batch = trainer.objective.make_batch(trainer.objective.load_raw(29))
    assert batch.style_draw == draw_style(3, 29)
    for step, explicit in ((0, 1.0), (999, 0.0)):
        assert float(trainer.objective(batch, step)["explicit"]) == explicit


def test_without_chains_of_thought_all_answers_are_implicit_from_the_start(model_place):
    config = build(model_place).config
    with pytest.raises(ValueError, match="the implicit stage starts from a model"):
        start("implicit", config, None, seed=1)
    model = start("direct", config, None, seed=1)
    assert model.config.style == "implicit"
    items = [read_items(model_place / "data" / name, ["implicit"]) for name in ("train", "valid")]
    taught = C2SERObjective(model, "direct", Corpus(*items, BatchConfig(seconds=2.5, utterances=3)), seed=3)
    taught.steps = STEPS
    assert [float(taught(taught.make_batch(taught.load_raw(i)), step=0)["explicit"]) for i in range(4)] == [0.0] * 4


def test_the_learning_rate_is_wenets_warm_up():
    steps, rise = 400, 60
    for step in range(1, steps + 1):
        wenet = rise**0.5 * min(step**-0.5, step * rise**-1.5)
        assert learning_rate_factor(step, steps, 0.15, "warmup_inverse_sqrt") == pytest.approx(wenet)
        constant = learning_rate_factor(step, steps, 0.15, "warmup_constant")
        assert constant == pytest.approx(min(1.0, step / rise))


def test_batches_stay_within_seconds_and_tokens(model_place):
    taught = objective(model_place, "implicit", tokens=5000)
    tokens, language = {}, taught.model.language
    for name, item in taught.corpus.train.items():
        speech = taught.model.encode_features(taught.model.extract_features([waves(item.seconds)[0]]))
        longest = 0
        for style, answer in item.answers.items():
            contexts = language.contexts(speech, taught.model.connector.boundaries, [instruction(style)])
            longest = max(longest, len(contexts[0]) + len(language._tokens(answer)) + 1)
        tokens[name] = longest
    assert max(len(taught.batches.at(index)) for index in range(taught.num_micro_batches(1))) == 3
    limit = 2 * max(tokens.values()) + 8
    taught = objective(model_place, "implicit", tokens=limit)
    counts = [taught.batches.at(index) for index in range(taught.num_micro_batches(2))]
    assert sorted(name for names in counts for name in names) == sorted([*taught.corpus.train] * 2)
    assert all(len(names) * max(tokens[name] for name in names) <= limit for names in counts)
    assert {len(names) for names in counts} == {2}
    with pytest.raises(ValueError, match=r"s0-\d+: \d+ tokens, over a batch's 90 tokens; raise batches.tokens"):
        objective(model_place, "implicit", tokens=90)


@pytest.fixture(scope="module")
def arks(model_place):
    for name in ("train", "valid"):
        extract_embeddings.main(
            model_place / "e2v", model_place / "data" / name, model_place / f"arks/{name}.scp",
            EmbeddingBatchConfig(), level="tokens",
        )  # fmt: skip
    return model_place / "arks"


def test_extracted_vectors_train_as_those_computed_on_the_fly(model_place, arks):
    fly, extracted = objective(model_place, "explicit"), objective(model_place, "explicit", arks)
    extracted.model.acoustic.forward = None  # it is not asked
    for index in range(3):
        one, two = (one.make_batch(one.load_raw(index)) for one in (fly, extracted))
        assert (one.features.acoustic.values - two.features.acoustic.values).abs().max() < 1e-5
        assert torch.equal(one.features.mel.values, two.features.mel.values)
    assert extracted.settings() != fly.settings()


def test_extracted_vectors_must_be_the_models(model_place, arks, tmp_path, caplog):
    model = start("explicit", build(model_place).config, model_place / "model", seed=1)
    model.acoustic.kind = "first-frames"
    with pytest.raises(ValueError, match="are not the model's.*; extract them .* at level first-frames"):
        objective(model_place, "explicit", arks, model=model)
    table = read_table(arks / "train.scp")
    del table["s0-03"]
    (tmp_path / "arks").mkdir()
    write_table(tmp_path / "arks/train.scp", table)
    caplog.set_level("WARNING")
    logging.getLogger("c2ser").propagate = True
    items = read_items(model_place / "data/train", ["explicit"], tmp_path / "arks")
    assert (
        len(items) == 15 and "rejected 1 utterances without acoustic vectors" in caplog.text and "s0-03" in caplog.text
    )


def test_missing_and_empty_answers_are_counted_and_named(model_place, tmp_path, caplog):
    shutil.copytree(model_place / "data/train", tmp_path / "train")
    lines = (tmp_path / "train/cot_explicit").read_text().splitlines()
    lines = ["s0-00", *lines[2:], "s9-99 of nobody"]  # the first is empty, the second missing
    (tmp_path / "train/cot_explicit").write_text("\n".join(lines) + "\n")
    caplog.set_level("WARNING")
    logging.getLogger("c2ser").propagate = True
    assert len(read_items(tmp_path / "train", ["explicit"])) == 14
    assert "rejected 2 utterances without a chain of thought: s0-00; s0-01" in caplog.text
    assert "rejected 1 utterances with a chain of thought but not in wav.scp: s9-99" in caplog.text


MORE = "lower batches.seconds and raise training.accumulate, or set model.checkpointing: true"
SHORT = [
    ("forward", f"step 4: the GPU has too little memory (BATCH); {MORE}; the checkpoints are whole"),
    ("optimiser", f"step 4: the GPU has too little memory (BATCH); {MORE}; the checkpoints are whole"),
    (
        "validation", "the validation after step 4: the GPU has too little memory (BATCH); "
        "lower validation.seconds; the checkpoints are whole",
    ),
]  # fmt: skip


@pytest.mark.parametrize("where, message", SHORT)
def test_too_little_memory_names_the_batch_and_the_remedy(model_place, tmp_path, monkeypatch, where, message):
    taught = objective(model_place, "explicit")
    trainer = Trainer(taught, OptimConfig(), TrainConfig(steps=6, save_every=1, valid_every=4), tmp_path)
    places = {"forward": (taught.model, "encode_features"), "optimiser": (trainer.optimiser, "step")}
    owner, name = places.get(where, (taught.model, "generate"))
    function = getattr(owner, name)

    def full(*words, **options):
        if trainer.step == 3 or where == "validation":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return function(*words, **options)

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(ValueError) as caught:
        trainer.run()
    names = taught.valid_batches[0] if where == "validation" else taught.make_batch(taught.load_raw(3)).utterances
    assert str(caught.value) == message.replace("BATCH", f"a batch of {len(names)} utterances: {', '.join(names)}")
    assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000003"


def test_a_model_that_fits_no_card_is_one_line(model_place, tmp_path, monkeypatch):
    def full(*words, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    taught = objective(model_place, "explicit")
    monkeypatch.setattr(taught, "to", full)
    with pytest.raises(
        ValueError, match="too little memory .for the model alone.; shard it over several GPUs, or use a"
    ):
        Trainer(taught, OptimConfig(), TrainConfig(), tmp_path)


def test_a_full_disk_leaves_whole_checkpoints(model_place, tmp_path):
    study(model_place, tmp_path / "m", "explicit", 1, save_every=1)
    kept = sorted(path.name for path in (tmp_path / "m/checkpoints").iterdir())
    tensors, remembered, state = checkpoint.load(checkpoint.newest(tmp_path / "m/checkpoints"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # no file may grow further, as on a full disk
    try:
        with pytest.raises(OSError) as caught:
            checkpoint.save(tmp_path / "m/checkpoints", 9, tensors, remembered, state)
        with pytest.raises(OSError, match="model.safetensors.tmp: cannot be written .*; free space"):
            C2SER(build(model_place)).save_pretrained(tmp_path / "folder")
        with pytest.raises(OSError, match="cannot be written .*; free space"):
            export(model_place / "model", tmp_path / "new", merge=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "trained.safetensors: cannot be written" in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "m/checkpoints").iterdir()) == kept
    assert checkpoint.newest(tmp_path / "m/checkpoints").name == f"step_{STEPS:08d}"
    assert not (tmp_path / "folder/config.json").exists() and not [*tmp_path.glob("*new*"), *tmp_path.glob(".*")]


def test_long_gradients_are_cut_to_length(model_place, tmp_path):
    for clip in (0.0, 0.5):
        taught = objective(model_place, "explicit")
        trainer = Trainer(taught, OptimConfig(clip=clip), TrainConfig(steps=2), tmp_path / str(clip))
        lengths = []
        trainer.optimiser.optimizer.register_step_pre_hook(
            lambda *_, model=taught, lengths=lengths: lengths.append(
                float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())
            )
        )
        trainer.run()
        logged = [row["train/gradient_norm"] for row in trainer.record.history if "train/gradient_norm" in row]
        assert len(lengths) == 2 and sum(logged) / len(logged) > 0.6
        assert (max(lengths) <= 0.5 + 1e-5) == (clip == 0.5)


def test_ua_decides_what_is_best_and_the_loss_between_equals(model_place, monkeypatch):
    taught = objective(model_place, "explicit")
    reference = {n: taught.corpus.valid[n].utterance.emotion for names in taught.valid_batches for n in names}

    def score(loss, right):
        monkeypatch.setattr(taught.model, "generate", lambda *_: (said.pop(0), None))
        monkeypatch.setattr(taught, "_answer_loss", lambda *_: {"loss": torch.tensor(loss)})
        said = [[f"It is {reference[n] if right else 'joy'}." for n in names] for names in taught.valid_batches]
        return taught.validate(0)["score"]

    assert score(50.0, True) > score(0.1, False) > score(0.2, False)


def test_weights_that_are_not_finite_are_refused(model_place, tmp_path):
    taught = objective(model_place, "explicit")
    with torch.no_grad():
        taught.model.connector.project.bias[3] = float("nan")
    with pytest.raises(ValueError, match="^model.connector.project.bias: holds weights that are not finite"):
        train(taught, OptimConfig(), TrainConfig(steps=1), tmp_path)


def test_another_model_than_the_configuration_asks_for_is_refused(model_place):
    config = build(model_place, lora=LoraSettings(r=3)).config
    with pytest.raises(ValueError, match=r"model.lora.r: 3 wanted, 8 there\); leave these out"):
        start("implicit", config, model_place / "model", seed=1)
    with pytest.raises(ValueError, match="the finetune stage starts from a model; give its folder with --init"):
        start("finetune", config, None, seed=1)


def test_a_checkpoint_of_another_model_is_refused(model_place, alone, tmp_path):
    for kind, message in (
        ("rank", r"settings \(objective.model.lora.r: 8 then, 2 now\); remove"),
        ("tokens", "vocabulary: .* then, .* now"),
        ("llm", r"settings \(objective.frozen weights: \w+ then, \w+ now\); remove"),
    ):
        shutil.copytree(alone / "explicit1/whole", tmp_path / kind)
        model = build(model_place, lora=LoraSettings(r=2)) if kind == "rank" else None
        model = model or start("explicit", build(model_place).config, model_place / "model", seed=1)
        if kind == "tokens":
            model.language.tokenizer.add_tokens(["<new>"])
        if kind == "llm":  # of the same sizes, under the same name
            model.language.llm.model.layers[1].mlp.up_proj.weight.data += 0.01
        with pytest.raises(ValueError, match=message):
            study(model_place, tmp_path / kind, "explicit", 1, model=model)
    tensors, _, _ = checkpoint.load(checkpoint.newest(alone / "explicit1/whole/checkpoints"))
    other = build(model_place, lora=LoraSettings(r=2))
    weights = Weights(torch.nn.ModuleDict({"model": other}), torch.optim.AdamW(other.parameters()))
    with pytest.raises(ValueError, match=r"24 weights do not fit \(model.language.*lora_A.*: \(8, .* there, \(2, "):
        weights.load_trainable_state_dict(tensors["trained"], alone)


def test_a_run_of_an_older_version_is_refused_in_one_line(model_place, alone, tmp_path):
    shutil.copytree(alone / "explicit1/whole", tmp_path / "run")
    manifest = checkpoint.newest(tmp_path / "run/checkpoints") / checkpoint.MANIFEST
    content = read_json(manifest)
    assert content.pop("format") == checkpoint.FORMAT
    write_json(manifest, content)
    with pytest.raises(ValueError) as caught:
        study(model_place, tmp_path / "run", "explicit", 1)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/run: its checkpoints are of an older version") and "\n" not in message
    assert message.endswith("or change --out")


def test_other_chains_of_thought_are_refused(model_place, alone, tmp_path):
    shutil.copytree(alone / "explicit1/whole", tmp_path / "run")
    taught = objective(model_place, "explicit")
    name, item = next(iter(taught.corpus.train.items()))
    taught.corpus.train[name] = replace(item, answers={**item.answers, "explicit": "It is anger."})
    settings = TrainConfig(steps=STEPS, log_every=2, valid_every=4, save_every=100)
    with pytest.raises(ValueError, match=r"other settings \(objective.data: .* then, .* now\); remove them or change"):
        train(taught, OptimConfig(lr=1e-3), settings, tmp_path / "run")


@pytest.mark.parametrize("keep_features", [False, True])
def test_bad_audio_is_named_once_and_threads_change_nothing(model_place, tmp_path, caplog, monkeypatch, keep_features):
    shutil.copytree(model_place / "data", tmp_path / "data")
    paths = read_table(tmp_path / "data/train/wav.scp")
    bad = sorted(paths)[1::8]
    for name in bad:
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
        paths[name] = str(tmp_path / f"{name}.wav")
    write_table(tmp_path / "data/train/wav.scp", paths)
    seconds = {name: f"{item.seconds:.3f}" for name, item in objective(model_place, "explicit").corpus.train.items()}
    write_table(tmp_path / "data/train/utt2dur", seconds)  # the headers are not looked at
    monkeypatch.setattr(logging.getLogger("c2ser"), "propagate", True)
    results = []
    for num_workers in (1, 4):
        caplog.clear()
        model = start("explicit", build(model_place).config, model_place / "model", seed=1)
        items = [read_items(tmp_path / "data" / name, ["explicit"]) for name in ("train", "valid")]
        sizes = BatchConfig(seconds=2.5, utterances=3, keep_features=keep_features)
        corpus = Corpus(*items, sizes, validation=ValidConfig(2, max_new_tokens=3))
        taught = C2SERObjective(model, "explicit", corpus, seed=3)
        settings = TrainConfig(epochs=2, accumulate=2, valid_every=100, num_workers=num_workers)
        train(taught, OptimConfig(lr=1e-3), settings, tmp_path / f"{num_workers}")
        results.append(result(tmp_path / f"{num_workers}")[0])
        records = {id(record): record.message for record in caplog.records}  # pytest may hold one twice
        assert sorted(text.split(": ")[1] for text in records.values() if text.startswith("rejected:")) == bad
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize("word", ["--model.lora.rank=3", "--batches.frames=1", "--training.max_epochs=3"])
def test_unknown_settings_are_refused(word, capsys):
    required = ["--train=x", "--valid=x", "--out=x", "--stage=explicit"]
    with pytest.raises(SystemExit) as end:
        make_parser(train_c2ser.main).parse_args([*required, word])
    assert end.value.code == 2 and word.split("=")[0].rsplit(".")[-1] in capsys.readouterr().err


def test_fine_tuning_keeps_a_model_for_every_epoch_asked_for(model_place, tmp_path):
    config = build(model_place).config
    train_c2ser.main(
        model_place / "data/train", model_place / "data/valid", tmp_path / "tuned", "finetune",
        C2SERConfig(trainable=["connector", "lora"]), BatchConfig(seconds=2.5, utterances=3), OptimConfig(lr=1e-3),
        TrainConfig(epochs=3, keep_epochs=[0, 1, 3], accumulate=2, save_every=100, valid_every=100),
        ValidConfig(2, max_new_tokens=3), init=model_place / "model",
    )  # fmt: skip
    epochs = {
        path.name: C2SER.from_pretrained(path).network.state_dict()
        for path in sorted((tmp_path / "tuned").glob("epoch_*"))
    }
    assert list(epochs) == ["epoch_0", "epoch_1", "epoch_3"]
    first = C2SER.from_pretrained(model_place / "model").network.state_dict()
    assert all(torch.equal(tensor, first[name]) for name, tensor in epochs["epoch_0"].items())
    moved = {name for name in first if not torch.equal(epochs["epoch_1"][name], epochs["epoch_3"][name])}
    assert moved and all(".lora_" in name or name.startswith("connector.") for name in moved)
    state = checkpoint.load(checkpoint.newest(tmp_path / "tuned/checkpoints"))[2]
    ends = [row["step"] for row in state["history"] if "valid/ua" in row]
    batches = objective(model_place, "finetune", tokens=1900).batches
    assert ends == [-(-batches.num_batches(epoch) // 2) for epoch in (1, 2, 3)]
    assert C2SER.from_pretrained(tmp_path / "tuned").config.style == config.style == "explicit"
    (tmp_path / "tuned/checkpoints/epoch_3/trained.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="checkpoints/epoch_3: missing or damaged; remove .*checkpoints and train"):
        export_epochs(lambda: build(model_place), tmp_path / "tuned/checkpoints", [3], tmp_path / "again")
    with pytest.raises(ValueError, match="keep_epochs names an epoch that is not trained; raise training.epochs"):
        Trainer(objective(model_place, "finetune"), OptimConfig(), TrainConfig(epochs=1, keep_epochs=[2]), tmp_path)


RECIPE = """
model: {trainable: [connector, lora]}
batches: {seconds: 8, utterances: 8}
training: {epochs: 2, keep_epochs: [0, 1, 2], log_every: 1}
validation: {utterances: 4, max_new_tokens: 4}
"""


@pytest.mark.slow(seconds=120)
def test_a_recipe_fine_tunes_and_scores_a_model(own_recipe, model_place):
    (own_recipe / "conf").mkdir()
    (own_recipe / "conf/finetune.yaml").write_text(RECIPE)
    (own_recipe / "conf/decode.yaml").write_text("decode: {max_new_tokens: 8}\n")
    shutil.copytree(model_place / "data", own_recipe / "data")
    shutil.copytree(own_recipe / "data/valid", own_recipe / "data/test")
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [own_recipe / "run.sh", "--init", model_place / "model", "--stage", "4", "--size", "tiny", "--ngpu", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"stage {stage} is skipped" in done.stderr for stage in (4, 5, 6))
    table = (own_recipe / "exp/RESULTS.md").read_text()
    assert all(f"| finetune/epoch_{epoch} | " in table for epoch in (0, 1, 2))
    report = (own_recipe / "exp/report.html").read_text("utf-8")
    assert done.stdout.splitlines()[-1] == "exp/report.html" and "finetune/epoch_2" in report and "audio" in report


def test_parts_have_learning_rates_of_their_own(place, tmp_path):  # noqa: F811
    taught = objective(place, "explicit")
    before = {name: p.detach().clone() for name, p in taught.named_parameters()}
    rates = {"connector": 0.0, "whisper": 1e-5}
    train(taught, OptimConfig(lr=1e-3, lr_by_part=rates, schedule="constant"), TrainConfig(steps=1), tmp_path / "run")
    moved = {}
    for name, parameter in taught.named_parameters():
        part = taught.part_of(name)
        moved[part] = max(moved.get(part, 0.0), float((parameter.detach() - before[name]).abs().max()))
    assert moved["connector"] == moved["acoustic"] == 0
    assert moved["whisper"] == pytest.approx(1e-5, rel=0.1)  # AdamW's first step is the rate itself
    assert max(moved["lora"], moved["llm"]) == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(ValueError, match=r"optim.lr_by_part: head is not trained; name .*connector.*whisper$"):
        train(objective(place, "explicit"), OptimConfig(lr_by_part={"head": 1}), TrainConfig(), tmp_path / "other")


def test_the_auxiliary_loss_names_emotions_and_leaves_with_the_training(place, tmp_path):  # noqa: F811
    model = start("direct", build(place).config, None, seed=1)
    items = [read_items(place / "data" / name, ["implicit"]) for name in ("train", "valid")]
    first = next(iter(items[0]))
    items[0][first] = replace(items[0][first], utterance=replace(items[0][first].utterance, emotion=None))
    corpus = Corpus(*items, BatchConfig(seconds=60, utterances=8), None, ValidConfig(2, max_new_tokens=3))
    taught = C2SERObjective(model, "direct", corpus, 3, LossConfig(emotion=2.0))
    batch = taught.make_batch(taught.load_raw(0))
    figures = taught(batch, 0)
    answer = taught.model.answer_loss(
        model.encode_features(batch.features), [instruction("implicit")] * len(batch.items),
        [item.answers["implicit"] for item in batch.items],
    )["loss"]  # fmt: skip
    taught.eval()
    speech = model.encode_features(batch.features)
    named = [row for row, item in enumerate(batch.items) if item.utterance.emotion]
    scores = torch.stack([taught.emotion_head(speech.values[r, : speech.lengths[r]].mean(0)) for r in named])
    target = torch.tensor([EMOTIONS.index(batch.items[r].utterance.emotion) for r in named])
    expected = torch.nn.functional.cross_entropy(scores, target)
    assert float(taught._emotion_loss(speech, batch.items)) == pytest.approx(float(expected), rel=1e-4)
    assert float(figures["loss"]) == pytest.approx(float(answer) + 2 * float(figures["emotion_loss"]), rel=0.2)
    best = train(taught, OptimConfig(lr=1e-3), TrainConfig(steps=2), tmp_path)
    assert "emotion_head.weight" in checkpoint.load(best)[0]["trained"]
    trained_models.export(lambda: start("direct", build(place).config, None, seed=1), best, tmp_path / "model")
    assert (tmp_path / "model/config.json").exists()


def test_a_weight_of_the_emotion_is_trained_with_and_not_validated_with(place):  # noqa: F811
    plain, heavy = (objective(place, "explicit", losses=LossConfig(named=n)) for n in (1.0, 10.0))
    assert "named" not in plain.settings() and heavy.settings()["named"] == 10
    batch = plain.make_batch(plain.load_raw(0))
    losses = [float(taught.eval()(batch, 0)["loss"]) for taught in (plain, heavy)]
    assert abs(losses[0] - losses[1]) > 1e-3
    assert plain.validate(0)["loss"] == heavy.validate(0)["loss"]


def voted(place, votes):  # noqa: F811
    """Training and validation items, of which the training ones have votes."""
    learnt, checked = (read_items(place / "data" / name, ["implicit"]) for name in ("train", "valid"))
    return {i: replace(item, utterance=replace(item.utterance, votes=votes)) for i, item in learnt.items()}, checked


@pytest.mark.slow
def test_answers_drawn_from_votes_teach_their_shares(place):  # noqa: F811
    model = start("direct", build(place, trainable=["connector", "llm"]).config, None, seed=1)
    items = voted(place, {"anger": 3, "sadness": 1, "calm": 2})  # no answer can name calm
    sizes = BatchConfig(seconds=60, utterances=8, keep_features=True)
    corpus = Corpus(*items, sizes, None, ValidConfig(2))
    taught = C2SERObjective(model, "direct", corpus, 3, LossConfig(sample_votes=True))
    optimiser, seen = torch.optim.AdamW(model.parameters(), lr=1e-2), []
    for step in range(80):
        batch = taught.make_batch(taught.load_raw(step))
        seen += [read_label(item.answers["implicit"]) for item in batch.items]
        optimiser.param_groups[0]["lr"] = 1e-2 * min(1, (80 - step) / 30)
        optimiser.zero_grad()
        taught(batch, step)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    assert 0.68 < seen.count("anger") / len(seen) < 0.82 and {*seen} == {"anger", "sadness"}
    taught.eval()
    with torch.no_grad():
        speech = model.encode_features(batch.features)
        chances = label_scores(model, speech, "implicit", ["en"] * len(batch.items), None).softmax(dim=1).mean(dim=0)
    assert 0.6 < chances[0] < 0.9 and 0.1 < chances[3] < 0.4 and chances[[0, 3]].sum() > 0.99


def test_draws_from_votes_are_the_same_in_every_run(place):  # noqa: F811
    model, sampled = build(place, style="implicit"), LossConfig(sample_votes=True)
    items = voted(place, {"anger": 1, "sadness": 1, "surprise": 1})

    def taught(items, losses=sampled):
        return C2SERObjective(model, "direct", Corpus(*items, BatchConfig(seconds=2.5, utterances=3)), 3, losses)

    def answers(objective, index):
        return [item.answers for item in objective.make_batch(objective.load_raw(index)).items]

    first, second, plain = taught(items), taught(items), taught(items, LossConfig())
    assert all(answers(first, index) == answers(second, index) for index in (0, 7, 30))
    assert any(answers(first, index) != answers(plain, index) for index in range(4))
    assert len({answer["implicit"] for index in range(8) for answer in answers(first, index)}) == 3
    # a given answer stays that of its emotion, and the longest that can be drawn decides the batches
    own = next(iter(items[0].values()))
    assert own.answers["implicit"] in first.choices[own.utterance.id].answers
    assert "votes" in first.settings() and "votes" not in plain.settings()
    assert taught(voted(place, {"anger": 2, "sadness": 1})).settings()["votes"] != first.settings()["votes"]
    with pytest.raises(ValueError, match="losses.sample_votes: no training utterance has votes; give the training set"):
        taught(voted(place, {"calm": 1}))
    with pytest.raises(ValueError, match="losses.sample_votes: explicit answers keep the emotion; train the implicit"):
        C2SERObjective(build(place), "explicit", Corpus(*items, BatchConfig()), 3, sampled)


def test_states_of_a_frozen_whisper_are_kept(place, monkeypatch):  # noqa: F811
    model = build(place, trainable=["connector"], whisper_dropout=0.5)
    items = [read_items(place / "data" / name, ["explicit"]) for name in ("train", "valid")]
    sizes, calls = BatchConfig(seconds=60, utterances=8, keep_features=True), []
    whole = type(model.whisper).forward
    monkeypatch.setattr(type(model.whisper), "forward", lambda *args: calls.append(1) or whole(*args))
    taught = C2SERObjective(model, "explicit", Corpus(*items, sizes, None, ValidConfig(2)), seed=3)
    taught.train()
    first, second = (taught.make_batch(taught.load_raw(0)).features for _ in range(2))
    assert first.mel is None and torch.equal(first.semantic.values, second.semantic.values)
    assert len(calls) == len(first.semantic.lengths)
    model.eval()
    waves_of = [load_item(items[0][name]).wave for name in taught.load_raw(0).loaded.items]
    plain = model.encode_features(model.extract_features(waves_of))
    assert torch.allclose(plain.values, model.encode_features(first).values, atol=1e-5)
    masked = C2SERObjective(model, "explicit", Corpus(*items, sizes, SpecAugment(), ValidConfig(2)), seed=3)
    assert masked.make_batch(masked.load_raw(0)).features.semantic is None  # masks want the spectrogram


def test_bfloat16_is_chosen_where_a_processor_has_it(place, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("c2ser.devices.has_bfloat16", lambda device: device == "cpu")
    trainer = Trainer(objective(place, "explicit"), OptimConfig(), TrainConfig(precision="auto"), tmp_path)
    assert trainer.bfloat16
    monkeypatch.setattr("c2ser.devices.has_bfloat16", lambda device: False)
    assert not trainer.bfloat16


def test_the_bound_on_mutual_information_is_that_of_its_estimator():
    torch.manual_seed(0)
    estimator, speech, words = torch.nn.Linear(3, 6), torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    bound, fit = information(estimator, speech, words)
    mean, spread = estimator(speech).chunk(2, dim=-1)
    normal = torch.distributions.Normal(mean, (spread.tanh() / 2).exp())
    scores = torch.stack([normal.log_prob(word).mean(-1) for word in words])
    assert float(bound) == pytest.approx(float(scores.diag().mean() - scores.mean()), abs=1e-5)
    assert float(fit) == pytest.approx(float(-scores.diag().mean()) - math.log(2 * math.pi) / 2, abs=1e-5)
    (gradient,) = torch.autograd.grad(bound, speech, retain_graph=True)
    assert gradient.abs().max() > 0
    assert torch.autograd.grad(bound, estimator.weight, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(fit, speech, allow_unused=True, retain_graph=True) == (None,)
    assert [float(loss) for loss in information(estimator, speech[:1], words[:1])] == [0, 0]
    for _ in range(300):  # words that follow from the speech are told from others
        mean, spread = estimator(speech.detach()).chunk(2, dim=-1)
        loss = information(estimator, speech, 3 * speech.detach())[1]
        estimator.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in estimator.parameters():
                parameter -= 0.1 * parameter.grad
    assert float(information(estimator, speech, 3 * speech.detach())[0]) > 1


def test_the_contrast_counts_captions_of_one_class_as_alike():
    speech, captions = torch.eye(3), torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [0, 1.0, 0]])
    weights = math.exp(10), 1, 1
    expected = (math.log(sum(weights)) - 10 + math.log(2 * math.exp(10) + 1) - 10 + math.log(3)) / 3
    assert float(contrast(speech, captions, ["a", "b", "b"])) == pytest.approx(expected, abs=1e-5)
    assert float(contrast(speech[:0], captions[:0], [])) == 0


def test_secap_losses_are_added_and_shape_the_connector(place):  # noqa: F811
    model = start("direct", build(place).config, None, seed=1)
    items = [read_items(place / "data" / name, ["implicit"], texts=name == "train") for name in ("train", "valid")]
    corpus = Corpus(*items, BatchConfig(seconds=60, utterances=8), None, ValidConfig(2, max_new_tokens=3))
    with pytest.raises(ValueError, match="^losses.information: no training utterance has a transcript; add text, or"):
        C2SERObjective(model, "direct", replace(corpus, train=items[1]), 3, LossConfig(information=2.0))
    taught = C2SERObjective(model, "direct", corpus, 3, LossConfig(information=2.0, contrast=0.5))
    batch = taught.make_batch(taught.load_raw(0))
    figures = taught.eval()(batch, 0)
    plain = C2SERObjective(model, "direct", corpus, 3).eval()(batch, 0)
    assert {*figures} - {*plain} == {"information", "contrast"} and "secap_loss" not in figures
    fit = float(figures["loss"] - plain["loss"]) - 2 * float(figures["information"]) - 0.5 * float(figures["contrast"])
    figures["loss"].backward()
    assert fit != 0 and all(parameter.grad is not None for parameter in taught.secap.parameters())
    assert taught.settings()["losses"] == {"emotion": 0.0, "information": 2.0, "contrast": 0.5}
    assert C2SERObjective(model, "direct", corpus, 3).settings()["losses"] == {"emotion": 0.0}


def test_a_model_like_secap_learns_and_continues_with_the_same_bits(place, tmp_path):  # noqa: F811
    """HuBERT and a Q-Former before a frozen language model."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    HubertModel(HubertConfig(**sizes)).save_pretrained(tmp_path / "hubert")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "hubert")
    connector = ConnectorConfig("qformer", dim=16, layers=2, heads=2, feed_forward=32, queries=4)
    parts = {"whisper": None, "emotion2vec": str(tmp_path / "hubert"), "acoustic": "frame", "connector": connector,
             "lora": LoraSettings(r=0), "trainable": ["connector"]}  # fmt: skip
    models = {}
    for kind, stop in (("whole", None), ("twice", 1), ("twice", None)):
        models[kind] = build(place, **parts)
        begun = {name: tensor.clone() for name, tensor in models[kind].state_dict().items()}
        study(place, tmp_path / kind, "direct", 1, stop, models[kind], steps=2)
    (one, state), (two, _) = result(tmp_path / "whole"), result(tmp_path / "twice")
    assert state["step"] == 2 and largest_difference(one, two) == 0
    changed = {name for name, tensor in models["twice"].state_dict().items() if not torch.equal(tensor, begun[name])}
    assert changed and all(name.startswith("connector.") for name in changed)
    given = waves(0.5, 0.9)
    C2SER(models["twice"].eval()).save_pretrained(tmp_path / "model")
    again = C2SER.from_pretrained(tmp_path / "model").network
    with torch.no_grad():
        together = again.encode(given).values
        assert torch.equal(together, models["twice"].encode(given).values)
        assert (again.encode(given[:1]).values[0] - together[0]).abs().max() < 1e-5
        (states,) = (again.extract_features(given[1:]).acoustic,)
    frames = load_encoder(str(tmp_path / "hubert")).embed(given[1:], "frame")[0]
    assert np.allclose(states.values[0].numpy(), frames, atol=1e-5) and len(frames) <= again.acoustic.max_vectors(0.9)
    assert "| acoustic encoder | hubert, frozen (frame) |" in (tmp_path / "model/README.md").read_text()
    with pytest.raises(ValueError, match="model.acoustic tokens: only Emotion2Vec-S has such vectors"):
        build(place, **{**parts, "acoustic": "tokens"})
    with pytest.raises(ValueError, match="give HuBERT, WavLM or the like"):
        StatesEncoder(WhisperStates(build(place).whisper), "frame")
    made = make_parser(train_c2ser.main).parse_args(
        [
            "--config",
            str(Path(__file__).parents[1] / "local/conf/secap.yaml"),
            *"--train x --valid x --stage direct --out x".split(),
        ]
    )
    assert made.model.connector.kind == "qformer" and made.model.whisper is None
