"""The published checkpoint: a synthetic one in its exact layout, and its forward pass written down a second time."""

import math
import shutil
import subprocess

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from entry import run_entry
from fixtures.sound import voice
from transformers import Qwen2Config, Qwen2ForCausalLM, WhisperConfig
from transformers.audio_utils import mel_filter_bank

from c2ser.cot.prompts import INSTRUCTIONS, published_spelling
from c2ser.emotion2vec.config import Emotion2VecConfig
from c2ser.emotion2vec.convert import load_model, save_model
from c2ser.emotion2vec.model import Emotion2Vec
from c2ser.model.c2ser import C2SER
from c2ser.model.published import Sources, convert
from c2ser.model.tiny import train_tokenizer
from c2ser.tables import read_json, write_json

D, LAYERS, HEADS, INNER = 32, 2, 2, 64  # of Whisper and, with four heads, of the adapter
DIM, VOCABULARY = 24, 300  # of the language model
TARGETS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
           "mlp.down_proj")  # fmt: skip
BASE = "llama_model.base_model.model."


def draw(*shape):
    return torch.randn(*shape) / math.sqrt(shape[-1])


def linear(name, out, size, bias=True):
    made = {f"{name}.weight": draw(out, size)}
    return made | ({f"{name}.bias": 0.1 * torch.randn(out)} if bias else {})


def norm(name, size=D):
    return {f"{name}.weight": 1 + 0.1 * torch.randn(size), f"{name}.bias": 0.1 * torch.randn(size)}


def conv(name):
    return {f"{name}.weight": torch.randn(D, D, 3) / math.sqrt(3 * D), f"{name}.bias": 0.1 * torch.randn(D)}


def wenet_layer(name, inner, key_bias):
    made = norm(f"{name}.norm1") | norm(f"{name}.norm2")
    for part in "q", "k", "v", "out":
        made |= linear(f"{name}.self_attn.linear_{part}", D, D, bias=key_bias or part != "k")
    return made | linear(f"{name}.feed_forward.w_1", inner, D) | linear(f"{name}.feed_forward.w_2", D, inner)


def interleaved(time, dim):
    angles = torch.arange(time)[:, None] / 10000 ** (torch.arange(0, dim, 2) / dim)
    table = torch.zeros(time, dim)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    return table


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The models beside the checkpoint, with random weights."""
    folder = tmp_path_factory.mktemp("sources")
    texts = ["The emotion of this speech is anger.", "这条语音的情感为愤怒。", *INSTRUCTIONS.values()] * 5
    tokenizer = train_tokenizer(texts, VOCABULARY)
    tokenizer.save_pretrained(folder / "llm")
    torch.manual_seed(1)
    sizes = Qwen2Config(
        vocab_size=len(tokenizer) + 5, hidden_size=DIM, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False, max_position_embeddings=512,
        rope_theta=1e6, eos_token_id=tokenizer.eos_token_id, pad_token_id=None, bos_token_id=None,
    )  # fmt: skip
    Qwen2ForCausalLM(sizes).save_pretrained(folder / "llm")
    WhisperConfig(
        d_model=D, encoder_layers=LAYERS, encoder_attention_heads=HEADS, encoder_ffn_dim=INNER, num_mel_bins=80,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16, vocab_size=8, pad_token_id=0,
    ).save_pretrained(folder / "whisper")  # fmt: skip
    convs = [[8, 10, 5], *([8, 3, 2] for _ in range(4)), [8, 2, 2], [8, 2, 2]]
    small = {"dim": 16, "heads": 2, "inner": 32, "prenet_depth": 1, "depth": 1, "position_depth": 1}
    small |= {"position_kernel": 3, "position_groups": 2, "decoder_groups": 2, "decoder_dim": 16}
    save_model(Emotion2Vec(Emotion2VecConfig(**small, convs=convs)), folder / "e2v")
    return folder


def checkpoint(sources, base_layer=True, language=True):
    """Weights under the names of the published file."""
    torch.manual_seed(2)
    made = {"encoder.embed.conv.0.weight": torch.randn(D, 80, 3) / 15, "encoder.embed.conv.0.bias": torch.randn(D) / 9}
    made |= conv("encoder.embed.conv.2") | {"encoder.embed.pos_enc.pe": torch.randn(1, 1500, D)}
    for i in range(LAYERS):
        made |= wenet_layer(f"encoder.encoders.{i}", INNER, key_bias=False)
    made |= norm("encoder.after_norm") | norm("ln_speech")
    for i in 1, 4, 7:
        made |= conv(f"down_sample_2.conv.{i}")
    made |= linear("speech_transformer.embed.out.0", D, D) | norm("speech_transformer.embed.out.1")
    made["speech_transformer.embed.pos_enc.pe"] = interleaved(5000, D)[None]
    for i in range(3):
        made |= wenet_layer(f"speech_transformer.encoders.{i}", 48, key_bias=True)
    made |= norm("speech_transformer.after_norm") | linear("speech_llama_proj", DIM, D)
    made |= {"speech_token_emded.weight": torch.randn(4099, DIM)} | linear("speaker_head", 4097, DIM)
    llm = Qwen2ForCausalLM.from_pretrained(sources / "llm")
    if language:
        made |= language_weights(llm, base_layer)
    for i, target in ((i, target) for i in range(2) for target in TARGETS):
        out, size = llm.get_submodule(f"model.layers.{i}.{target}").weight.shape
        name = f"{BASE}model.layers.{i}.{target}"
        made |= {f"{name}.lora_A.default.weight": draw(4, size), f"{name}.lora_B.default.weight": draw(out, 4)}
    return made


def language_weights(llm, base_layer):
    made = {}
    for name, value in llm.state_dict().items():
        module, _, kind = name.rpartition(".")
        wrapped = base_layer and module.endswith(TARGETS)
        made[f"{BASE}{module}.base_layer.{kind}" if wrapped else BASE + name] = value + 0.05 * torch.randn_like(value)
    return made | {
        "embed_tokens.weight": made[f"{BASE}model.embed_tokens.weight"], "lm_head.weight": made[f"{BASE}lm_head.weight"]
    }  # fmt: skip


def converted(sources, weights, folder, style="implicit", wrap=lambda weights: weights):
    torch.save(wrap(weights), folder / "C2SER_llm.pt")
    parts = Sources(str(sources / "llm"), str(sources / "whisper"), sources / "e2v")
    convert(folder / "C2SER_llm.pt", parts, style, folder / "model")
    return C2SER.from_pretrained(folder / "model").network


class Published:
    """The forward pass of the published system for one utterance, from the names of its weights alone."""

    def __init__(self, weights):
        self.w = weights

    def linear(self, x, name):
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], 1e-5)

    def layer(self, x, name, heads, activation):
        y = self.norm(x, f"{name}.norm1")
        q, k, v = (
            self.linear(y, f"{name}.self_attn.linear_{part}").view(len(x), heads, -1).transpose(0, 1) for part in "qkv"
        )
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + self.linear((weights @ v).transpose(0, 1).reshape(len(x), -1), f"{name}.self_attn.linear_out")
        y = self.linear(self.norm(x, f"{name}.norm2"), f"{name}.feed_forward.w_1")
        return x + self.linear(activation(y), f"{name}.feed_forward.w_2")

    def conv(self, x, name, stride, left, right):
        return F.gelu(F.conv1d(F.pad(x, (left, right)), self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride))

    def mel(self, wave):
        filters = mel_filter_bank(201, 80, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
        spectrum = torch.stft(wave, 400, 160, window=torch.hann_window(400), return_complex=True)[:, :-1]
        logs = (torch.from_numpy(filters).float().T @ spectrum.abs() ** 2).clamp(min=1e-10).log10()
        return (torch.maximum(logs, logs.max() - 8) + 4) / 4

    def speech(self, wave, ten_frames):
        x = self.conv(self.mel(wave)[None], "encoder.embed.conv.0", 1, 1, 1)
        x = self.conv(x, "encoder.embed.conv.2", 2, 1, 1)[0].T
        x = x + self.w["encoder.embed.pos_enc.pe"][0, : len(x)]
        for i in range(LAYERS):
            x = self.layer(x, f"encoder.encoders.{i}", HEADS, F.gelu)
        x = self.norm(x, "encoder.after_norm").T[None]
        for i, stride in (1, 1), (4, 2), (7, 2):
            x = self.conv(x, f"down_sample_2.conv.{i}", stride, 2, 0)
        x = torch.cat([F.pad(ten_frames, (0, D - ten_frames.shape[1])), x[0].T])
        x = self.norm(self.linear(x, "speech_transformer.embed.out.0"), "speech_transformer.embed.out.1")
        x = x * math.sqrt(D) + self.w["speech_transformer.embed.pos_enc.pe"][0, : len(x)]
        for i in range(3):
            x = self.layer(x, f"speech_transformer.encoders.{i}", 4, F.relu)
        x = self.linear(self.norm(x, "speech_transformer.after_norm"), "speech_llama_proj")
        begin, end = self.w["speech_token_emded.weight"][4097:]
        return torch.cat([begin[None], x, end[None]])

    def adapted(self, x, name):
        base = f"{name}.base_layer" if f"{name}.base_layer.weight" in self.w else name
        y = F.linear(x, self.w[f"{base}.weight"], self.w.get(f"{base}.bias"))
        if f"{name}.lora_A.default.weight" not in self.w:
            return y
        a, b = (self.w[f"{name}.lora_{part}.default.weight"] for part in "AB")
        return y + 32 / len(a) * (x @ a.T @ b.T)

    def rms(self, x, name):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * self.w[f"{BASE}{name}.weight"]

    def rotate(self, x):
        half = x.shape[-1] // 2
        angles = torch.arange(x.shape[1])[:, None] / 1e6 ** (torch.arange(half) / half)
        first, second = x[..., :half], x[..., half:]
        return torch.cat(
            [first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], dim=-1
        )

    def logits(self, x):
        for i in range(2):
            name = f"{BASE}model.layers.{i}"
            y = self.rms(x, f"model.layers.{i}.input_layernorm")
            q, k, v = (
                self.adapted(y, f"{name}.self_attn.{part}_proj").view(len(x), -1, DIM // 4).transpose(0, 1)
                for part in "qkv"
            )
            k, v = (part.repeat_interleave(2, dim=0) for part in (k, v))
            scores = self.rotate(q) @ self.rotate(k).transpose(1, 2) / math.sqrt(DIM // 4)
            scores = scores.masked_fill(~torch.ones(len(x), len(x)).tril().bool(), float("-inf"))
            mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(x), -1)
            x = x + self.adapted(mixed, f"{name}.self_attn.o_proj")
            y = self.rms(x, f"model.layers.{i}.post_attention_layernorm")
            gate, up = self.adapted(y, f"{name}.mlp.gate_proj"), self.adapted(y, f"{name}.mlp.up_proj")
            x = x + self.adapted(F.silu(gate) * up, f"{name}.mlp.down_proj")
        return F.linear(self.rms(x, "model.norm"), self.w[f"{BASE}lm_head.weight"])


def published_logits(sources, weights, wave, prompt, answer_ids):
    """Return the published logits of each answer token and of what follows them."""
    encoder = load_model(sources / "e2v")
    encoder.config.normalize = False
    frames = encoder(wave[None], torch.tensor([len(wave)])).frames[0, :10]  # compared with others in test_checkpoints
    published = Published({name: value.float() for name, value in weights.items()})
    table = weights[f"{BASE}model.embed_tokens.weight"]
    rows = [table[prompt], published.speech(wave, frames), table[answer_ids]]
    return published.logits(torch.cat(rows))[-len(answer_ids) - 1 :]


@pytest.mark.parametrize("base_layer", [True, False])
def test_the_converted_model_is_the_published_system(sources, tmp_path, base_layer):
    weights = checkpoint(sources, base_layer)
    model = converted(sources, weights, tmp_path, wrap=(lambda w: w) if base_layer else lambda w: {"module": w})
    wave = torch.from_numpy(np.random.default_rng(3).normal(size=23_456).astype(np.float32) * 0.1)
    prompt = model.language.tokenizer(INSTRUCTIONS["implicit"])["input_ids"]
    answer = "The Emotion of 这条 语音 is anger."
    ids = model.language.tokenizer("the emotion of这条语音is anger.")["input_ids"]
    with torch.no_grad():
        theirs = published_logits(sources, weights, wave, prompt, ids).log_softmax(-1)
        speech = model.encode_features(model.extract_features([wave.numpy()]))
        score = model.score(speech, "implicit", [[answer]])[0]
    expected = theirs[range(len(ids) + 1), [*ids, model.language.end]].sum()
    assert len(ids) > 5 and float(score) == pytest.approx(float(expected), abs=2e-4)
    greedy = model.generate(speech, max_new_tokens=1)
    assert greedy[1] == [1] and greedy[0][0] == model.language.tokenizer.decode([int(theirs[0].argmax())])
    assert model.language.tokenizer.convert_ids_to_tokens(model.language.end) == "<|endoftext|>"
    assert model.config.lora.targets == sorted(target.split(".")[1] for target in TARGETS)


def test_without_a_language_model_in_the_file_the_given_one_is_used(sources, tmp_path):
    weights = checkpoint(sources, language=False)
    model = converted(sources, weights, tmp_path)
    llm = Qwen2ForCausalLM.from_pretrained(sources / "llm")
    theirs = llm.model.layers[0].mlp.up_proj.weight
    assert not model.llm_inside and torch.equal(model.language.llm.model.layers[0].mlp.up_proj.weight, theirs)
    assert "first ten frames" in (tmp_path / "model/README.md").read_text()
    assert read_json(tmp_path / "model/config.json")["emotion2vec"]["normalize"] is False


@pytest.mark.parametrize("own, adapters, precision", [
    (torch.bfloat16, torch.float32, "bfloat16"), (torch.bfloat16, torch.bfloat16, "bfloat16"),
    (torch.float16, torch.float16, "float32"), (torch.float32, torch.bfloat16, "float32"),
])  # fmt: skip
def test_the_language_model_keeps_its_precision_and_all_else_is_single(sources, tmp_path, own, adapters, precision):
    weights = {n: t.to(adapters if ".lora_" in n else own) for n, t in checkpoint(sources).items()}
    model = converted(sources, weights, tmp_path)
    assert model.config.llm_dtype == precision
    kinds = {".lora_" in n or not n.startswith("language."): p.dtype for n, p in model.named_parameters()}
    assert kinds == {True: torch.float32, False: getattr(torch, precision)}


def spoilt(**changes):
    def change(weights):
        for name, value in changes.items():
            if value is None:
                del weights[name]
            else:
                weights[name] = value
        return weights

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoilt(**{"encoder.after_norm.weight": None}), "whisper.layers.layer_norm.weight is missing"),
        (spoilt(**{"ctc.weight": torch.zeros(1)}), "ctc.weight is unknown"),
        (spoilt(**{"encoder.encoders.0.self_attn.linear_k.bias": torch.zeros(D)}), "linear_k.bias is unknown"),
        (spoilt(**{"encoder.encoders.7.norm1.weight": torch.zeros(D)}), "encoders.7.norm1.weight is unknown"),
        (spoilt(**{"lm_head.weight": torch.zeros(3)}), "lm_head.weight is no copy"),
        (spoilt(**{"speech_transformer.embed.pos_enc.pe": torch.zeros(1, 9, D)}), "no sinusoids"),
        (spoilt(**{"speech_token_emded.weight": torch.zeros(9, DIM)}), "has 9 rows"),
        (spoilt(**{"speech_llama_proj.weight": torch.zeros(9, D)}), r"speech_llama_proj.weight is \(9, 32\)"),
        (spoilt(**{"speech_llama_proj.bias": torch.full((DIM,), float("nan"))}), "project.bias holds NaN"),
        (spoilt(**{f"{BASE}model.layers.1.mlp.up_proj.weight": None}), "up_proj.weight is missing"),
        (spoilt(**{f"{BASE}model.layers.1.mlp.down_proj.lora_A.default.weight": torch.zeros(3, 40)}), r"is \(3, 40\)"),
        (lambda weights: {"model": weights, "step": 3}, "other things than weights"),
        (lambda weights: {"encoder.embed.conv.0.weight": torch.zeros(1)}, "is missing"),
    ],
)
def test_what_does_not_fit_is_named(sources, tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        converted(sources, checkpoint(sources), tmp_path, wrap=change)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("rows", "message"), [(151_700, "is 2 in its tokenizer, not 151643"), (200, "has 200 tokens, its tokenizer")]
)
def test_the_tokenizer_of_another_model_is_refused(sources, tmp_path, rows, message):
    shutil.copytree(sources, tmp_path / "sources")
    sizes = read_json(tmp_path / "sources/llm/config.json")
    write_json(tmp_path / "sources/llm/config.json", {**sizes, "vocab_size": rows})
    with pytest.raises(ValueError, match=message):
        converted(tmp_path / "sources", checkpoint(sources), tmp_path)


def test_a_broken_file_and_code_in_it_are_refused(sources, tmp_path):
    (tmp_path / "half.pt").write_bytes(b"PK\3\4 half a file")
    torch.save({"encoder.after_norm.weight": subprocess.run}, tmp_path / "evil.pt")
    parts = ["--emotion2vec", sources / "e2v", "--llm", sources / "llm", "--whisper", sources / "whisper"]
    for name in "half.pt", "evil.pt", "none.pt":
        words = ["--checkpoint", tmp_path / name, *parts, "--out", tmp_path / "out"]
        done = run_entry("convert_checkpoint", *words)
        assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1 and name in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_spelling_of_published_answers():
    assert published_spelling("Said “ 你 好 , Ms Lee”  <Sad> Now") == "said “你好, ms lee”<sad>now"


def test_bfloat16_weights_stay_what_they_are_in_the_language_model(sources, tmp_path):
    weights = {name: tensor.bfloat16() for name, tensor in checkpoint(sources).items()}
    model = converted(sources, weights, tmp_path)
    assert model.language.llm.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert {p.dtype for name, p in model.named_parameters() if not name.startswith("language.")} == {torch.float32}
    found = C2SER(model).predict(voice(0.6), 16000)
    assert sum(found.probabilities.values()) == pytest.approx(1) and found.tokens > 0
