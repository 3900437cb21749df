"""Random C²SER models and parts of them, at real and at small sizes, and the operations that they need."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, Qwen2Config, WhisperConfig

from benchmark import emotion2vec_cases
from benchmark.cases import RATE
from benchmark.harness import Setting
from c2ser.cot.prompts import INSTRUCTIONS, Request, Style, instruction, sentence
from c2ser.data.sampler import rng
from c2ser.emotions import ATTRIBUTES, EMOTIONS
from c2ser.model.acoustic import AcousticEncoder
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, ConnectorConfig, LoraSettings
from c2ser.model.label_scores import short_answers
from c2ser.model.llm_loading import empty_llm
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import HOP, Vectors, WhisperEncoder, stack
from c2ser.model.tiny import train_tokenizer

WHISPERS = {"quick": (48, 2, 4), "base": (512, 3, 8), "small": (768, 12, 12), "medium": (1024, 24, 16)}
"""Dimension, layers and heads of encoders by size; of Whisper-base the three layers that `--size small` uses."""

LLMS: dict[str, dict[str, Any]] = {
    "quick": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2, "vocab_size": 2000, "tie_word_embeddings": False},
    "47M": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 8,
            "num_key_value_heads": 2, "vocab_size": 16384, "tie_word_embeddings": False},
    "135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": False},
    "wide": {"hidden_size": 896, "intermediate_size": 896, "num_hidden_layers": 1, "num_attention_heads": 14,
             "num_key_value_heads": 2, "vocab_size": 152064, "tie_word_embeddings": False},
    "7B": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False},
}  # fmt: skip
"""Language models with Qwen2's architecture; "wide" is one layer of Qwen2-0.5B's size under its whole vocabulary."""

Network = TypeVar("Network", bound=nn.Module)

STD_FACTOR = 2.0
"""Standard deviation of random weights, times the square root of the hidden size. With less, every answer repeats one
token for any speech. For the same reason no model ties its head to its embeddings."""


@torch.no_grad()
def filled(model: Network) -> Network:
    """Give random values to what begins as zeros, so that no part of the work is without effect."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or ".lora_B." in name:
            parameter.normal_(0.0, 0.02)
    return model


def whisper(setting: Setting, size: str, dropout: float = 0.0) -> WhisperEncoder:
    """Return a random encoder of one of the sizes of `WHISPERS`."""
    torch.manual_seed(setting.seed)
    dim, layers, heads = WHISPERS[size]
    config = WhisperConfig(
        d_model=dim, encoder_layers=layers, encoder_attention_heads=heads, encoder_ffn_dim=4 * dim, dropout=dropout
    )
    return filled(WhisperEncoder(config)).eval().to(setting.device)


def language(setting: Setting, size: str, lora: LoraSettings | None = None) -> LanguageModel:
    """Return a random language model of one of the sizes of `LLMS`, at 7B in bf16; without adapters it is frozen."""
    torch.manual_seed(setting.seed)
    sizes = LLMS[size]
    std = STD_FACTOR / sizes["hidden_size"] ** 0.5
    config = Qwen2Config(max_position_embeddings=4096, initializer_range=std, bos_token_id=None, **sizes)
    with torch.device(setting.device):  # large ones are made where they stay
        llm = empty_llm(config, "bfloat16" if size == "7B" else "float32")
        model = LanguageModel(llm, tokenizer(), lora or LoraSettings(r=0), chat_template=False)
    model = filled(model).eval()
    return model if lora else model.requires_grad_(False)


def system(setting: Setting, dropout: float = 0.0) -> C2SERNetwork:
    """Return a random C²SER: Whisper-medium, Emotion2Vec-S, Qwen2 of 7B with LoRA on six targets, or small ones."""
    real = setting.size == "real"
    connector = ConnectorConfig() if real else ConnectorConfig(dim=64, layers=1, heads=2, feed_forward=64)
    connector.dropout = dropout
    config = C2SERConfig(connector=connector, lora=LoraSettings(dropout=dropout), style="implicit")
    encoder = whisper(setting, "medium" if real else "quick", dropout)
    acoustic = AcousticEncoder(emotion2vec_cases.build(setting, decoder_layers=0))
    llm = language(setting, "7B" if real else "quick", config.lora)
    torch.manual_seed(setting.seed)
    return C2SERNetwork(config, encoder, acoustic, llm).eval().to(setting.device)


def small_system(setting: Setting) -> C2SERNetwork:
    """Return a random C²SER of the parts of `--size small` without Emotion2Vec-S; Whisper is not trained."""
    real = setting.size == "real"
    connector = ConnectorConfig(
        dim=256 if real else 64, layers=0, heads=8, feed_forward=512, dropout=0.0, strides=(2, 2, 2)
    )
    lora = LoraSettings(r=8, alpha=32, dropout=0.0)
    config = C2SERConfig(connector=connector, lora=lora, trainable=["connector", "lora"], style="implicit")
    encoder = whisper(setting, "base" if real else "quick")
    llm = language(setting, "135M" if real else "quick", lora)
    torch.manual_seed(setting.seed)
    return C2SERNetwork(config, encoder, None, llm).eval().to(setting.device)


def both_encoders(model: C2SERNetwork) -> tuple[WhisperEncoder, AcousticEncoder]:
    """Return Whisper's encoder and Emotion2Vec-S of a model that has both.

    Raises:
        ValueError: it lacks one.
    """
    if model.whisper is None or not isinstance(model.acoustic, AcousticEncoder):
        raise ValueError("the benchmarks need a model with both encoders")
    return model.whisper, model.acoustic


def tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokeniser under which instructions and answers are about as long as under Qwen2's."""
    texts = [*INSTRUCTIONS.values(), *map(explicit_answer, range(len(EMOTIONS))), *short_answers("en")[0]]
    words = [word for text in texts for word in re.findall(" ?[^ ]+", text)]
    return train_tokenizer([*texts, *words] * 8, 400)


def explicit_answer(number: int) -> str:
    """Return Table I's sentence for some utterance."""
    levels = dict.fromkeys(ATTRIBUTES, "medium")
    text = "I never thought that I would see all of you here again"
    return sentence(Request("", "en", text, EMOTIONS[number % len(EMOTIONS)], levels), "explicit")


@dataclass
class Asked:
    """A language model and what it is asked.

    Attributes:
        language: the model.
        speech: embeddings (batch, time, dim).
        boundaries: embeddings of the begin and the end of speech, (2, dim).
        prompts: one for each utterance.
    """

    language: LanguageModel
    speech: Vectors
    boundaries: Tensor
    prompts: list[str]

    @classmethod
    def of(cls, model: C2SERNetwork, speech: Vectors, style: Style) -> "Asked":
        """Return a C²SER's language model, asked about embeddings of speech in a style."""
        return cls(model.language, speech, model.connector.boundaries, [instruction(style)] * len(speech.values))

    @property
    def positions(self) -> list[int]:
        """How long each context is."""
        around = [sum(map(len, self.language.prompt_ids(prompt))) + 2 for prompt in self.prompts]
        return [length + more for length, more in zip(self.speech.lengths.tolist(), around, strict=True)]

    def one(self, number: int) -> "Asked":
        """Return one utterance alone."""
        length = int(self.speech.lengths[number])
        alone = stack([self.speech.values[number, :length]])
        return Asked(self.language, alone, self.boundaries, self.prompts[number : number + 1])


def asked(model: LanguageModel, style: Style, utterances: int, seed: int) -> Asked:
    """Return a model asked about random speech: ten acoustic vectors and 12.5 for each of about 6.5 s."""
    generator = rng(seed, 14)
    lengths = generator.integers(10 + 75, 10 + 88, utterances)
    rows = [generator.normal(0.0, model.llm.config.initializer_range, (length, model.dim)) for length in [*lengths, 2]]
    *speech, boundaries = (torch.from_numpy(row).float() for row in rows)
    device = model.llm.device
    return Asked(model, stack(speech).to(device), boundaries.to(device), [instruction(style)] * utterances)


def linear_flops(module: nn.Module, places: int) -> float:
    """Return the operations of all linear layers of a module on so many vectors."""
    return 2.0 * places * sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))


def decoder_flops(model: LanguageModel, places: int, before: int = 0) -> float:
    """Return the operations of the decoder, without its head, on places that follow others; attention is causal."""
    config, decoder = model.llm.config, model.llm.get_decoder()
    seen = places * before + places * (places + 1) / 2
    return linear_flops(decoder, places) + 4 * seen * config.hidden_size * config.num_hidden_layers


def learning_flops(asking: Asked, answers: Sequence[str]) -> tuple[float, int]:
    """Return the operations of a language model's loss of answers and its gradient, and how many labels they have.

    Frozen weights need no gradient of their own, so a backward pass counts as one forward pass.
    """
    model = asking.language
    labels = sum(len(row) + 1 for row in model.tokenizer(list(answers), add_special_tokens=False)["input_ids"])
    decoder = sum(decoder_flops(model, places + labels // len(answers)) for places in asking.positions)
    return 2 * (decoder + linear_flops(model.llm.get_output_embeddings(), labels)), labels


def whisper_flops(encoder: WhisperEncoder, samples: int) -> float:
    """Return the operations of the encoder on so many samples."""
    frames, config = samples // HOP, encoder.config
    states, dim = (frames + 1) // 2, config.d_model
    convs = 6 * dim * (frames * config.num_mel_bins + states * dim)
    return convs + linear_flops(encoder.layers, states) + 4 * states**2 * dim * config.encoder_layers


def weight_bytes(module: nn.Module) -> int:
    """Return the bytes of all weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


def listening_flops(model: C2SERNetwork, samples: int) -> tuple[float, float, float]:
    """Return the operations of Whisper, Emotion2Vec-S and the connector on so many samples."""
    count, (whisper, acoustic) = model.max_embeddings(samples / RATE), both_encoders(model)
    flops = emotion2vec_cases.extraction_cost(acoustic.model.config, samples)[0]
    return whisper_flops(whisper, samples), flops, linear_flops(model.connector, count)
