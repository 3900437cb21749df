"""Liger's kernels in a language model, computed by triton's interpreter on the processor."""

import os
import subprocess
import sys

import pytest
from torch import nn

from c2ser.training import liger
from c2ser.training.config import FREE, TrainConfig
from c2ser.training.fewer_kernels import prepare_for_card

SCRIPT = """
import numpy as np, torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config
from triton.language import core
from triton.runtime import interpreter
from c2ser.training.config import TrainConfig
from c2ser.training.fewer_kernels import prepare_for_card

plain = interpreter._implicit_cvt
def convert(value):  # numbers that kernels convert with `.to` are plain floats in triton's interpreter
    if not isinstance(value, float):
        return plain(value)
    handle = interpreter.TensorHandle(np.array([value], np.float32), core.float32)
    return core.tensor(handle, core.float32)
interpreter._implicit_cvt = convert

def loss_and_gradients(model, embedded, mask):
    hidden = model.get_decoder()(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    loss = (hidden * mask[:, :, None] * torch.linspace(-1, 1, 64)).sum()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return loss.detach(), *torch.autograd.grad(loss, [embedded, *trained])

for kind in (Qwen2Config, LlamaConfig):
    torch.manual_seed(0)
    sizes = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2)
    model = AutoModelForCausalLM.from_config(kind(num_hidden_layers=2, vocab_size=50, **sizes))
    targets = ["q_proj", "gate_proj", "down_proj"]
    inject_adapter_in_model(LoraConfig(r=4, target_modules=targets, init_lora_weights=False), model)
    embedded, mask = torch.randn(2, 9, 64, requires_grad=True), torch.ones(2, 9, dtype=torch.long)
    mask[1, 6:] = 0
    before = loss_and_gradients(model, embedded, mask)
    prepare_for_card(model, [], TrainConfig(liger=True))
    used = type(model.model.layers[0].mlp.forward).__name__, "liger" in model.model.layers[0].mlp.forward.__module__
    after = loss_and_gradients(model, embedded, mask)
    gaps = [float((one - two).abs().max() / one.abs().max()) for one, two in zip(before, after, strict=True)]
    print("gap", len(gaps), max(gaps), *used)
"""


def test_loss_and_gradients_are_the_same_with_liger(root):
    pytest.importorskip("liger_kernel", reason="Liger is not installed; pip install 'c2ser[liger]'")
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    gaps = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("gap")]
    assert len(gaps) == 2
    for number, gap, kind, liger_s in gaps:
        assert int(number) == 14 and 0 < float(gap) < 2e-6 and (kind, liger_s) == ("method", "True")


def test_without_liger_there_is_one_line(monkeypatch):
    monkeypatch.setattr(liger, "is_liger_kernel_available", lambda: False)
    with pytest.raises(ValueError, match=r"training.liger: Liger is not installed; pip install 'c2ser\[liger\]', or"):
        liger.use_liger(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="Liger is not installed"):
        prepare_for_card(nn.Linear(2, 2), [], TrainConfig(liger=True))
    prepare_for_card(nn.Linear(2, 2), [], TrainConfig())
    assert "liger" in FREE  # a run that goes on may change it
