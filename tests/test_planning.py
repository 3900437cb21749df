"""Plans are true: operations, memory and kernels that were counted on fake tensors are those of real ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from c2ser.bin import plan as plan_entry
from c2ser.bin import plan_emotion2vec as encoder_entry
from c2ser.cli import run
from c2ser.data.config import CropConfig
from c2ser.emotion2vec.config import Emotion2VecConfig, LossConfig, MaskConfig
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings
from c2ser.planning.config import CARDS, CardOptions
from c2ser.planning.counting import Kernel
from c2ser.planning.estimate import roofline
from c2ser.planning.hollow import filled_with_fakes, hollow_c2ser
from c2ser.planning.objectives import C2SERPlan, Emotion2VecPlan, batches_of
from c2ser.planning.update import Update, count_update
from c2ser.training.config import BatchConfig, OptimConfig, TeacherConfig

CONF = Path(__file__).parents[1] / "local/conf"

TINY = C2SERConfig(
    whisper="tiny", llm="tiny", connector=ConnectorConfig(64, 1, 4, 128), trainable=["whisper", "connector", "lora", "llm"]
)  # fmt: skip
SMALL = C2SERConfig(
    whisper="whisper-base", whisper_layers=3, llm="smollm2-135m-instruct", trainable=["connector", "lora"],
    connector=ConnectorConfig(256, 0, 8, 512, strides=(2, 2, 2)), lora=LoraSettings(dropout=0.0),
)  # fmt: skip
ENCODER = Emotion2VecConfig(
    dim=96, heads=4, inner=256, prenet_depth=1, depth=2, convs=[[64, 320, 160], [96, 2, 2]], position_depth=2,
    position_kernel=9, position_groups=8, decoder_dim=64, decoder_layers=2, decoder_groups=8, layer_drop=0.0,
)  # fmt: skip


def c2ser(model, stage="explicit", utterances=4):
    sizes = BatchConfig(seconds=30, tokens=1000, utterances=utterances)
    return C2SERPlan.read(stage, replace(model), sizes, None, None, None, None, False)


def counted(plan, number=80, card=False, bfloat16=False, accumulate=1):
    if isinstance(plan, C2SERPlan):
        names = batches_of(plan.make()).at(number)
        return count_update(plan.make, lambda o: plan.raw(o, names, True), OptimConfig(), bfloat16, card, accumulate)
    names = batches_of(plan.make()).at(number)
    return count_update(plan.make, lambda o: plan.raw(names), OptimConfig(), bfloat16, card, accumulate)


def operations(found):
    return sum(kernel.operations * n for kernels in found.kernels.values() for kernel, n in kernels.items())


def real(plan, number=80):
    """Take the update with real tensors; return its operations, and its peak of memory by the allocator's own events."""
    objective = filled_with_fakes(plan.make())  # nothing is pretended here, so that they are real
    with torch.no_grad():
        for tensor in [*objective.parameters(), *objective.buffers()]:
            if tensor.is_floating_point():
                tensor.normal_(0, 0.02)
    names = batches_of(objective).at(number)
    data = plan.raw(objective, names, True) if isinstance(plan, C2SERPlan) else plan.raw(names)
    update = Update(objective, OptimConfig(), bfloat16=False, fused=False)
    update.begin(keep_gradients=False)
    held = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in [*objective.parameters(), *objective.buffers()]}
    moments = sum(2 * p.numel() * p.element_size() for p in update.trained)
    with FlopCounterMode(display=False) as counter, profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watch:
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
    return counter.get_total_flops(), sum(held.values()) + moments + peak


ENCODER_PLAN = ENCODER, MaskConfig(clones=2), LossConfig(), TeacherConfig(), CropConfig(seconds=12, crop_seconds=3.0)


@pytest.mark.parametrize("size", ["tiny", "encoder", pytest.param("small", marks=pytest.mark.slow)])
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
