"""A training with fewer kernels, or with compiled layers, has the loss and the gradients of one without."""

import pytest
import torch
from test_c2ser import build, place, waves  # noqa: F401 - the fixture is used by name

from c2ser.cot.prompts import instruction
from c2ser.model.arranging import causal_mask
from c2ser.model.config import ConnectorConfig, LoraSettings
from c2ser.model.key_values import may_share
from c2ser.training import compiled_layers
from c2ser.training.compiled_layers import compile_layers
from c2ser.training.fewer_kernels import use_fewer_kernels


def network(place, dtype="float32"):  # noqa: F811
    connector = ConnectorConfig(dim=32, layers=1, heads=2, feed_forward=64, dropout=0.0)
    made = build(
        place, emotion2vec=None, connector=connector, lora=LoraSettings(dropout=0.0), whisper_dropout=0.0,
        trainable=["whisper", "connector", "lora"], llm_dtype=dtype,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if ".lora_B" in name:  # zero at first, so that A would have no gradients
                parameter.normal_(0, 0.1)
    return made.train()


def loss_and_gradients(network, seconds=(0.7, 1.3), bfloat16=False):
    network.zero_grad()
    answers = ["She is glad.", "He is angry, very.", "Sad."][: len(seconds)]
    features = network.extract_features([waves(length)[0] for length in seconds])
    with torch.autocast(network.device.type, torch.bfloat16, enabled=bfloat16):
        loss = network(features, [instruction("explicit")] * len(seconds), answers)["loss"]
    loss.backward()
    return {"loss": loss.detach()} | {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def differ(one, other):
    """Return the largest difference of a gradient, as a share of its largest value, or of all where it is nearly 0."""
    assert one.keys() == other.keys() and len(one) > 60
    least = 0.01 * max(float(tensor.abs().max()) for tensor in one.values())
    return max(float((one[n] - other[n]).abs().max()) / max(least, float(one[n].abs().max())) for n in one)


@pytest.fixture(scope="module")
def plain(place):  # noqa: F811
    return loss_and_gradients(network(place))


@pytest.mark.parametrize("bfloat16", [False, True])
def test_fewer_kernels_change_the_last_bits_alone(place, plain, bfloat16):  # noqa: F811
    few = network(place)
    names, weights = [*few.state_dict()], [*few.parameters()]
    use_fewer_kernels(few, few.trained_layers)
    found = loss_and_gradients(few, bfloat16=bfloat16)
    assert all(gradient.dtype == torch.float32 for gradient in found.values())
    usual = loss_and_gradients(network(place), bfloat16=True) if bfloat16 else plain
    assert 0 < differ(usual, found) < (0.1 if bfloat16 else 1e-4)
    assert [*few.state_dict()] == names and all(a is b for a, b in zip(few.parameters(), weights, strict=True))


def test_compiled_layers_train_as_others(place, plain, monkeypatch):  # noqa: F811
    """With the whole of torch's capture; inductor's own kernels take minutes here."""
    monkeypatch.setattr(compiled_layers, "BACKEND", "eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = network(place)
    names = [*compiled.state_dict()]
    assert may_share(compiled.language.llm)
    compile_layers(compiled.trained_layers)
    assert [*compiled.state_dict()] == names and not may_share(compiled.language.llm)
    assert differ(plain, loss_and_gradients(compiled)) < 1e-4
    counters = torch._dynamo.utils.counters
    graphs = counters["stats"]["unique_graphs"]
    assert 3 <= graphs <= 6 and not counters["graph_break"]
    loss_and_gradients(compiled, (0.9, 0.4))  # other lengths are no other graphs
    with torch.no_grad():
        compiled.eval().generate(compiled.encode([waves(0.8)[0]]), "implicit", 3)
    assert counters["stats"]["unique_graphs"] == graphs


def test_a_mask_is_that_of_transformers(place):  # noqa: F811
    """It is made here, without a look at the card; a model that sees only what is near gets the plain one."""
    language = network(place).language.eval()
    decoder = language.llm.get_decoder()
    states = torch.randn(2, 9, language.dim)
    real = torch.tensor([[1] * 4 + [0] * 5, [1] * 9])
    theirs = decoder(inputs_embeds=states, attention_mask=real, use_cache=False).last_hidden_state
    ours = language.hidden_states(states, [4, 9])
    assert torch.equal(ours[0, :4], theirs[0, :4]) and torch.equal(ours[1], theirs[1])
    assert causal_mask([9, 9], states, decoder.config) is None
    decoder.config.sliding_window = 5
    assert torch.equal(causal_mask([4, 9], states, decoder.config), real)
