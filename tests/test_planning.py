"""Plans are true: operations, memory and kernels that were counted on fake tensors are those of real ones."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from c2ser.bin import plan as plan_entry
from c2ser.bin import plan_emotion2vec as encoder_entry
from c2ser.cli import run
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings
from c2ser.planning import fitting
from c2ser.planning.config import CARDS, CardOptions
from c2ser.planning.counting import Kernel
from c2ser.planning.estimate import roofline
from c2ser.planning.fitting import USED, enlarged, fill_card, times_that_fit
from c2ser.planning.hollow import filled_with_fakes
from c2ser.planning.objectives import C2SERPlan, Emotion2VecPlan, batches_of
from c2ser.planning.training_plan import RESERVE
from c2ser.planning.update import GIB, Memory, Update, count_update
from c2ser.training import checkpoint
from c2ser.training.config import BatchConfig, OptimConfig, TeacherConfig, TrainConfig
from c2ser.training.processes import Room

CONF = Path(__file__).parents[1] / "local/conf"

TINY = C2SERConfig(
    whisper="tiny", llm="tiny", connector=ConnectorConfig("transformer", 64, 1, 4, 128),
    trainable=["whisper", "connector", "lora", "llm"],
)  # fmt: skip
SMALL = C2SERConfig(
    whisper="whisper-base", whisper_layers=3, llm="smollm2-135m-instruct", trainable=["connector", "lora"],
    connector=ConnectorConfig("transformer", 256, 0, 8, 512, strides=(2, 2, 2)), lora=LoraSettings(dropout=0.0),
)  # fmt: skip
ENCODER = Emotion2VecConfig(
    dim=96, heads=4, inner=256, prenet_depth=1, depth=2, convs=[[64, 320, 160], [96, 2, 2]], position_depth=2,
    position_kernel=9, position_groups=8, decoder_dim=64, decoder_layers=2, decoder_groups=8, layer_drop=0.0,
)  # fmt: skip


def c2ser(model, stage="explicit", utterances=4):
    sizes = BatchConfig(seconds=30, tokens=1000, utterances=utterances)
    return C2SERPlan.read(stage, replace(model), sizes, None, None, None, None, False)


def counted(plan, number=80, card=False, bfloat16=False, **settings):
    training = TrainConfig(precision="bf16" if bfloat16 else "fp32", **settings)
    names = batches_of(plan.make()).at(number)
    raw = (lambda o: plan.raw(o, names, True)) if isinstance(plan, C2SERPlan) else (lambda o: plan.raw(names))
    return count_update(plan.make, raw, OptimConfig(), training, card)


def operations(found):
    return sum(kernel.operations * n for kernels in found.kernels.values() for kernel, n in kernels.items())


def real(plan, number=80):
    """Take the update with real tensors; return its operations, and its peak of memory by the allocator's events."""
    objective = filled_with_fakes(plan.make())  # nothing is pretended here, so that they are real
    with torch.no_grad():
        for tensor in [*objective.parameters(), *objective.buffers()]:
            if tensor.is_floating_point():
                tensor.normal_(0, 0.02)
    names = batches_of(objective).at(number)
    data = plan.raw(objective, names, True) if isinstance(plan, C2SERPlan) else plan.raw(names)
    update = Update(objective, OptimConfig(), bfloat16=False, fused=False)
    update.begin(keep_gradients=False)
    weights = [tensor.untyped_storage() for tensor in [*objective.parameters(), *objective.buffers()]]
    held = sum({storage._cdata: storage.nbytes() for storage in weights}.values())
    held += sum(2 * p.numel() * p.element_size() for p in update.trained)  # the moments
    watch = profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True)
    with FlopCounterMode(display=False) as counter, watch:
        loss = update.loss(objective.make_batch(data))
        loss.backward()
        del loss
        update.finish()
    live, peak = 0, 0
    events = [event for event in watch.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    assert len(events) > 100
    return counter.get_total_flops(), held + peak


ENCODER_PLAN = ENCODER, MaskConfig(clones=2), LossConfig(), TeacherConfig(), CropConfig(seconds=12, crop_seconds=3.0)


@pytest.mark.parametrize(
    "size", ["tiny", *(pytest.param(size, marks=pytest.mark.slow) for size in ("encoder", "small"))]
)
def test_operations_and_memory_are_the_true_ones(size):
    torch.manual_seed(0)
    if size == "encoder":
        plan = Emotion2VecPlan.read(*ENCODER_PLAN, None)
    else:
        plan = c2ser(TINY if size == "tiny" else SMALL, utterances=2 if size == "small" else 4)
    found, (flops, peak) = counted(plan), real(plan)
    assert operations(found) == flops > 1e8
    assert found.memory.peak == pytest.approx(peak, rel=0.05)
    memory = found.memory
    assert memory.fixed < memory.peak and memory.when in ("forward", "backward", "update")
    assert memory.moments == 2 * memory.trained == 2 * memory.gradients


@pytest.fixture(scope="module")
def on_a_card():
    """The tiny model in bf16, as on a card."""
    return counted(c2ser(TINY), card=True, bfloat16=True, accumulate=2)


def kernels(found, phase=None):
    return sum(sum(part.values()) for name, part in found.kernels.items() if phase in (None, name))


def test_counts_of_a_card_can_only_fall(on_a_card):
    """One kernel for AdamW, few for clipping; what a card keeps of a dropout is one byte."""
    compiled = counted(c2ser(TINY), card=True, bfloat16=True, accumulate=2, compiled=True)
    assert kernels(on_a_card, "update") <= 20
    assert kernels(on_a_card) <= 1049 and kernels(compiled) <= 720
    assert sum(on_a_card.reads.values()) <= 1  # the lengths of the waveforms, which the host has
    assert operations(on_a_card) == operations(compiled) == operations(counted(c2ser(TINY)))


def test_the_largest_micro_batch_that_fits_is_taken():
    memory = Memory(6 * GIB, GIB, 2 * GIB, GIB, 0, 3 * GIB, 14 * GIB, "backward")  # 10 GiB whatever the batch, 4 for it

    def times(room, **more):
        """Return what fits into so many GiB that are planned with."""
        return times_that_fit(memory, Room((room + RESERVE) / USED, **more), accumulate=6)

    assert [times(room) for room in (5, 14.1, 18.1, 22.1, 26.1, 33.9, 34.1, 80)] == [1, 1, 2, 3, 3, 3, 6, 6]
    assert times(18.1, sharing=2) == 3  # of two cards that divide the weights
    assert times_that_fit(memory, Room((34.1 + RESERVE) / USED), 6, kept=1.0) == 3
    batches, training = enlarged(BatchConfig(), TrainConfig(accumulate=6), 3)
    assert (batches.seconds, batches.tokens, batches.utterances, training.accumulate) == (117, 5700, 192, 2)


def test_a_training_that_goes_on_keeps_its_micro_batches(tmp_path, monkeypatch):
    """It is planned with the network that is there, whose weights stay."""
    given, training = c2ser(TINY), TrainConfig(accumulate=4)
    plan = replace(given, network=filled_with_fakes(given.make()).model)
    monkeypatch.setattr(fitting, "room", lambda: Room(1000.0))
    batches, larger = fill_card(plan, OptimConfig(), training, tmp_path)
    assert (batches.seconds, batches.utterances, larger.accumulate) == (120, 16, 1)
    assert not any(p.is_meta for p in plan.network.parameters())
    assert fill_card(plan, OptimConfig(), replace(training, fill_card=False), tmp_path)[0] == plan.batches
    begun = {"objective": {"batches": {"seconds": 60}}, "training": {"accumulate": 2}, "processes": 1}
    checkpoint.save(tmp_path / "checkpoints", 1, {}, {}, {"settings": begun})
    assert fill_card(plan, OptimConfig(), training, tmp_path)[1].accumulate == 2
    monkeypatch.setattr(fitting, "room", lambda: None)
    assert fill_card(plan, OptimConfig(), training, tmp_path)[0].tokens == 2000
    assert fill_card(plan, OptimConfig(), training, tmp_path / "other")[0] == plan.batches
    shorter = replace(plan, batches=replace(plan.batches, seconds=15.0))  # a step would learn from less
    assert fill_card(shorter, OptimConfig(), training, tmp_path) == (shorter.batches, training)


@pytest.mark.slow
def test_settings_change_what_they_should(on_a_card):
    recomputed = counted(c2ser(replace(TINY, checkpointing=True)), card=True, bfloat16=True, accumulate=2)
    assert recomputed.memory.activations < 0.7 * on_a_card.memory.activations
    assert operations(recomputed) > 1.2 * operations(on_a_card)
    frozen = counted(c2ser(replace(TINY, trainable=["connector"])), card=True, bfloat16=True)
    assert frozen.memory.trained < 0.5 * on_a_card.memory.trained and frozen.memory.frozen > 0


def test_a_kernel_takes_as_long_as_its_operations_or_its_bytes():
    h100 = CARDS["h100"]
    assert roofline(Kernel("matrices", 10**12, 1, False), h100) == pytest.approx(1 / (0.6 * 989))
    assert roofline(Kernel("matrices", 10**12, 1, True), h100) == pytest.approx(1 / (0.6 * 67))
    assert roofline(Kernel("the rest", 0, 10**9, True), h100) == pytest.approx(1 / (0.76 * 3350))


def test_cards_have_data_sheets_or_numbers():
    assert CardOptions("H100", memory=40).card() == replace(CARDS["h100"], memory=40)
    with pytest.raises(ValueError, match="^b9000: no data sheet here; choose from h200, h100, "):
        CardOptions("b9000").card()
    with pytest.raises(ValueError, match="^tflops -1: too low; give a number above 0$"):
        CardOptions(tflops=-1).card()


def layers(size, *names):
    return [f"--config={CONF / size / name}.yaml" for name in names]


@pytest.mark.slow
def test_the_command_says_what_fits_and_what_to_change(tmp_path, capsys):
    words = [*layers("tiny", "c2ser", "model", "implicit"), "--model.whisper=tiny", "--model.llm=tiny"]
    words += ["--stage=implicit", "--gpu=4090", "--memory=1.7", f"--out={tmp_path}/plan.json"]
    run(plan_entry.main, args=words)
    said = capsys.readouterr().out
    assert "# C²SER, stage implicit, fp32, on 1 × 4090 (1.7 GiB, 165 TFLOP/s, 1008 GB/s)" in said
    assert re.search(r"\nIt does not fit: [\d.]+ of 1.7 GiB, most of it in the phase backward", said)
    assert "| model.checkpointing: true |" in said and "| batches.seconds: " in said and "fsdp2" in said
    assert "padding is" in said and "360 steps: " in said and "Note: durations and answers are made up" in said
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["fits"] is False and plan["peak_gib"] > 1.7 and plan["seconds_a_step"] > 0
    assert plan["parameters"]["lora"]["trained"] == plan["parameters"]["lora"]["all"] > 0
    assert sum(part["trained"] for part in plan["parameters"].values()) * 4 == plan["memory_bytes"]["trained"]


@pytest.mark.slow
def test_the_encoder_has_a_plan_too(capsys):
    run(encoder_entry.main, args=[*layers("tiny", "emotion2vec"), "--batches.seconds=6", "--gpu=l4"])
    said = capsys.readouterr().out
    assert "# Emotion2Vec-S, fp32, on 1 × l4" in said and "\nIt fits: " in said and "120 steps: " in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu=b9000"], "b9000: no data sheet here"),
        (["--model.emotion2vec=nowhere"], "nowhere: no folder of an Emotion2Vec-S model; give one, or base"),
        (["--init=nowhere"], "nowhere: no trained model is here; leave out --init"),
        (["--data=nowhere"], "nowhere"),
    ],
)
def test_what_is_not_there_is_one_line(words, message, caplog):
    with pytest.raises(SystemExit) as stopped:
        run(plan_entry.main, args=["--model.whisper=tiny", "--model.llm=tiny", *words])
    assert stopped.value.code == 1 and message in caplog.messages[-1] and "\n" not in caplog.messages[-1]
