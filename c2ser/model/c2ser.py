"""C²SER (section III): hears with Whisper and Emotion2Vec-S, thinks and answers with a language model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from c2ser.cot.prompts import Style, instruction
from c2ser.data.collate import pad_waves
from c2ser.emotion2vec import convert
from c2ser.model.connector import Connector, ConnectorConfig
from c2ser.model.lm import Dtype, LanguageModel, LoraSettings, load_llm
from c2ser.model.perception import Acoustic, AcousticEncoder, Features, Vectors, WhisperEncoder

Part = Literal["whisper", "connector", "lora", "llm"]


@dataclass
class C2SERConfig:
    """What a model is made of; the defaults are the paper's (section V.A).

    Attributes:
        whisper: Whisper model, folder or hub id; null leaves it out.
        emotion2vec: folder of an Emotion2Vec-S model; null leaves it out.
        acoustic: which of its vectors are used.
        connector: sizes of the connector.
        llm: causal language model, folder or hub id.
        lora: its adapters.
        chat_template: whether prompts go through the chat template of the language model.
        trainable: the parts that train; "llm" means all weights of the language model, for tiny random ones.
        style: the chain of thought that is asked for when answering.
        llm_dtype: precision of the language model's own weights; those that train should be float32.
        whisper_dropout: dropout in Whisper while it trains (0.1 in the published configuration).
        checkpointing: recompute activations in the backward pass; slower, for cards with little memory.
    """

    whisper: str | None = "openai/whisper-medium"
    emotion2vec: str | None = None
    acoustic: Acoustic = "tokens"
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    llm: str = "Qwen/Qwen2-7B-Instruct"
    lora: LoraSettings = field(default_factory=LoraSettings)
    chat_template: bool = False
    trainable: list[Part] = field(default_factory=lambda: ["whisper", "connector", "lora"])
    style: Style = "explicit"
    llm_dtype: Dtype = "float32"
    whisper_dropout: float = 0.1
    checkpointing: bool = False


class C2SER(nn.Module):
    """A C²SER model; `build` makes one of its parts, `from_pretrained` reads a trained one.

    Args:
        config: what it is made of.
        whisper: semantic encoder, or None.
        acoustic: acoustic encoder, or None.
        language: language model.
        llm_inside: whether the language model's own weights are this model's, because they were trained with it.

    Attributes:
        wording: which wording of its instruction it is asked with; see `c2ser.cot.prompts.instruction`.
    """

    def __init__(
        self,
        config: C2SERConfig,
        whisper: WhisperEncoder | None,
        acoustic: AcousticEncoder | None,
        language: LanguageModel,
        llm_inside: bool = False,
    ) -> None:
        super().__init__()
        self.llm_inside = llm_inside
        self.wording = 0
        self.config = config
        self.whisper, self.acoustic, self.language = whisper, acoustic, language
        self.connector = Connector(
            config.connector, whisper and whisper.dim, acoustic and acoustic.dim, out=language.dim
        )
        self.set_trainable(config.trainable)
        if config.checkpointing:
            language.llm.gradient_checkpointing_enable()

    @classmethod
    def build(cls, config: C2SERConfig) -> "C2SER":
        """Put a model together from trained parts; the connector and the adapters are new."""
        whisper = config.whisper and WhisperEncoder.from_pretrained(config.whisper, config.whisper_dropout)
        acoustic = config.emotion2vec and AcousticEncoder(convert.load_model(config.emotion2vec), config.acoustic)
        llm, tokenizer = load_llm(config.llm, config.llm_dtype)
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template)
        return cls(config, whisper or None, acoustic or None, language)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "C2SER":
        """Read a trained model, ready to answer; see `c2ser.model.folder.load`."""
        from c2ser.model.folder import load  # the folder's module needs this class

        return load(folder)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model into a folder; see `c2ser.model.folder.save`."""
        from c2ser.model.folder import save

        save(self, folder)

    def set_trainable(self, parts: Sequence[Part]) -> None:
        """Let these parts train and freeze all others; Emotion2Vec-S is always frozen."""
        self.config.trainable = list(parts)
        self.llm_inside = self.llm_inside or "llm" in parts
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(_part(name) in parts)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.connector.boundaries.device

    @torch.no_grad()
    def features(self, waves: Sequence[np.ndarray]) -> Features:
        """Compute what needs no trained weights, so that it can be kept.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32.
        """
        padded, lengths = (tensor.to(self.device) for tensor in pad_waves(waves))
        with torch.autocast(self.device.type, enabled=False):
            mel = self.whisper.log_mel(padded, lengths) if self.whisper else None
            acoustic = self.acoustic(padded, lengths) if self.acoustic else None
        return Features(mel, acoustic)

    def listen(self, features: Features) -> Vectors:
        """Return speech embeddings (batch, time, size of the language model)."""
        semantic = self.whisper(features.mel) if self.whisper else None
        return self.connector(semantic, features.acoustic)

    def forward(self, features: Features, prompts: Sequence[str], answers: Sequence[str]) -> dict[str, Tensor]:
        """Return "loss", the mean cross-entropy of the answers' tokens, and "accuracy", the share predicted rightly."""
        speech = self.listen(features)
        loss, accuracy = self.language.answer_loss(speech, self.connector.boundaries, prompts, answers)
        return {"loss": loss, "accuracy": accuracy}

    def answer(
        self, features: Features, style: Style, max_new_tokens: int = 400, beams: int = 1
    ) -> tuple[list[str], list[int]]:
        """Answer a batch of features; see `generate`."""
        with torch.no_grad():
            speech = self.listen(features)
        prompts = [instruction(style, self.wording)] * len(speech.values)
        return self.language.generate(speech, self.connector.boundaries, prompts, max_new_tokens, beams)

    def generate(
        self, waves: Sequence[np.ndarray], style: Style | None = None, max_new_tokens: int = 400, beams: int = 1
    ) -> tuple[list[str], list[int]]:
        """Say what is heard; an utterance gets the same answer alone and in any batch.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32.
            style: the chain of thought asked for; None takes the model's own.
            max_new_tokens: where an answer is cut off.
            beams: width of the search; 1 is greedy.

        Returns:
            one answer for each waveform, and how many tokens it took.
        """
        self.eval()
        return self.answer(self.features(waves), style or self.config.style, max_new_tokens, beams)


def _part(name: str) -> str:
    """Return the part of the model that a parameter belongs to."""
    if name.startswith("whisper."):
        return "frozen" if name.endswith("embed_positions.weight") else "whisper"
    if name.startswith("language."):
        return "lora" if ".lora_" in name else "llm"
    return name.split(".", 1)[0]
