"""Weights that stay in their files until each process reads its part; two processes: test_c2ser_training."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from c2ser.pretrained import map_causal_lm, read_sizes
from c2ser.training.shards import read_shards, set_aside

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def folder(request, tmp_path_factory):
    """A small language model in several files."""
    torch.manual_seed(0)
    sizes = Qwen2Config(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=40, tie_word_embeddings=request.param,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llm")
    Qwen2ForCausalLM(sizes).save_pretrained(folder, max_shard_size="6KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def mapped(folder, dtype=torch.float32):
    return map_causal_lm(str(folder), read_sizes(str(folder), "language model"), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mapped_models_are_transformers_own(folder, dtype):
    one, two = mapped(folder, dtype), Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        assert torch.equal(one(ids).logits, two(ids).logits)
    tied = two.get_output_embeddings().weight is two.get_input_embeddings().weight
    assert (one.get_output_embeddings().weight is one.get_input_embeddings().weight) == tied
    assert one.dtype == two.dtype and one.name_or_path == two.name_or_path


def test_weights_of_other_names_are_left_to_transformers(folder, tmp_path):
    for path in folder.glob("*.safetensors"):
        renamed = {name.replace("mlp", "ffn"): value for name, value in load_file(path).items()}
        save_file(renamed, tmp_path / path.name, metadata={"format": "pt"})
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        for name in list(content.get("weight_map", ())):
            content["weight_map"][name.replace("mlp", "ffn")] = content["weight_map"].pop(name)
        (tmp_path / path.name).write_text(json.dumps(content))
    assert mapped(tmp_path) is None
    sizes = read_sizes(str(folder), "language model")
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="no language model that loads .*; download it again"):
        map_causal_lm(str(tmp_path), sizes, torch.float32)
    for path in tmp_path.glob("*"):
        path.unlink()
    assert map_causal_lm(str(tmp_path), sizes, torch.float32) is None  # such as one of pytorch_model.bin


def test_what_was_set_aside_comes_back(folder):
    whole = nn.ModuleDict(
        {"llm": mapped(folder).requires_grad_(False), "new": nn.Linear(3, 4), "kept": nn.Linear(2, 2)}
    )
    whole["kept"].requires_grad_(False)
    before = {name: p.detach().clone() for name, p in whole.named_parameters()}
    shared = len(list(whole.named_parameters(remove_duplicate=False)))
    weights = set_aside(whole, [whole["kept"]])
    there = {name for name, p in whole.named_parameters() if p.device.type != "meta"}
    assert there == {"new.weight", "new.bias", "kept.weight", "kept.bias"}
    whole["llm"].to(torch.bfloat16)
    read_shards(whole, weights, CPU)
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, before[name].to(parameter.dtype)) and parameter.requires_grad == ("new" in name)
        assert (parameter.dtype == torch.bfloat16) == name.startswith("llm.")
    assert len(list(whole.named_parameters())) == len(before)
    assert len(list(whole.named_parameters(remove_duplicate=False))) == shared


def test_damaged_weights_are_named_by_whoever_reads_them():
    module = nn.Linear(2, 2).requires_grad_(False)
    weights = set_aside(module)
    weights["bias"] = torch.tensor([0.0, float("nan")])
    with pytest.raises(ValueError, match="bias: holds NaN or Inf; download the model that it is of again"):
        read_shards(module, weights, CPU)
