"""C²SER (section III): hears with Whisper and Emotion2Vec-S, thinks and answers with a language model."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from c2ser.cot.prompts import Style, instruction, published_spelling
from c2ser.data.collate import pad_waves
from c2ser.emotion2vec import convert
from c2ser.model.config import GREEDY, C2SERConfig, Part, SearchConfig
from c2ser.model.connector import Connector
from c2ser.model.lm import LanguageModel, load_llm
from c2ser.model.perception import AcousticEncoder, Features, Vectors, WhisperEncoder

if TYPE_CHECKING:
    from c2ser.model.recognition import Recognition, Source


class C2SER(nn.Module):
    """A C²SER model; `build` makes one of its parts, `from_pretrained` reads a trained one.

    Args:
        config: what it is made of.
        whisper: semantic encoder, or None.
        acoustic: acoustic encoder, or None.
        language: language model.
        llm_inside: whether the language model's own weights are this model's, because they were trained with it.

    Attributes:
        temperature: divides the log-probabilities of the seven emotions; fitted on a validation set.
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
        self.temperature = 1.0
        self.wording = 0
        self.config = config
        self.whisper, self.acoustic, self.language = whisper, acoustic, language
        self.connector = Connector(
            config.connector, whisper and whisper.dim, acoustic and acoustic.dim, out=language.dim
        )
        self.set_trainable(config.trainable)
        if whisper:
            whisper.padding = config.whisper_pad
        self.set_checkpointing(config.checkpointing)

    @classmethod
    def build(cls, config: C2SERConfig) -> "C2SER":
        """Put a model together from trained parts; the connector and the adapters are new."""
        whisper = config.whisper and WhisperEncoder.from_pretrained(config.whisper, config.whisper_dropout)
        acoustic = config.emotion2vec and AcousticEncoder(convert.load_model(config.emotion2vec), config.acoustic)
        llm, tokenizer = load_llm(config.llm, config.llm_dtype)
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template, config.end_token)
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

    def set_checkpointing(self, wanted: bool) -> None:
        """Choose whether activations are recomputed in the backward pass."""
        self.config.checkpointing = wanted
        for part in filter(None, [self.whisper and self.whisper.layers, self.language.llm]):
            if wanted != any(getattr(module, "gradient_checkpointing", False) for module in part.modules()):
                part.gradient_checkpointing_enable() if wanted else part.gradient_checkpointing_disable()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.connector.boundaries.device

    @torch.no_grad()
    def features(
        self, waves: Sequence[np.ndarray], acoustic: Sequence[np.ndarray] | None = None, exact: bool = True
    ) -> Features:
        """Compute what needs no trained weights, so that it can be kept.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32.
            acoustic: their acoustic vectors (rows, dim) where they were extracted before.
            exact: compute acoustic vectors in single precision whatever autocast says; the spectrogram always is.
        """
        padded, lengths = (tensor.to(self.device) for tensor in pad_waves(waves))
        single = torch.autocast(self.device.type, enabled=False)
        with single:
            mel = self.whisper.log_mel(padded, lengths) if self.whisper else None
        if self.acoustic is None:
            return Features(mel, None)
        if acoustic is not None:
            return Features(mel, self.acoustic.arrange([torch.from_numpy(row).to(self.device) for row in acoustic]))
        with single if exact else nullcontext():
            return Features(mel, self.acoustic(padded, lengths))

    def length(self, seconds: float) -> int:
        """Return how many speech embeddings so much audio gives, at most."""
        acoustic = self.acoustic.count(seconds) if self.acoustic else 0
        return acoustic + (self.connector.downsampler.count(ceil(50 * seconds)) if self.whisper else 0)

    def listen(self, features: Features) -> Vectors:
        """Return speech embeddings (batch, time, size of the language model)."""
        semantic = self.whisper(features.mel) if self.whisper else None
        return self.connector(semantic, features.acoustic)

    @torch.no_grad()
    def hear(self, waves: Sequence[np.ndarray]) -> Vectors:
        """Return speech embeddings (batch, time, size of the language model) of waveforms, to answer them.

        On a GPU everything before the language model computes in its precision too; see `precision`.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32, up to 30 s.
        """
        with self.precision():
            return self.listen(self.features(waves, exact=False))

    def precision(self) -> AbstractContextManager:
        """Return bfloat16 autocast on a card whose language model is bfloat16, and nothing elsewhere."""
        dtype = self.language.llm.get_input_embeddings().weight.dtype
        fast = self.device.type == "cuda" and dtype == torch.bfloat16
        return torch.autocast("cuda", dtype) if fast else nullcontext()

    def forward(self, features: Features, prompts: Sequence[str], answers: Sequence[str]) -> dict[str, Tensor]:
        """Return "loss", the mean cross-entropy of the answers' tokens, and "accuracy", the share predicted rightly."""
        speech, answers = self.listen(features), self.spelled(answers)
        loss, accuracy = self.language.answer_loss(speech, self.connector.boundaries, prompts, answers)
        return {"loss": loss, "accuracy": accuracy}

    def spelled(self, answers: Sequence[str]) -> list[str]:
        """Return answers in the spelling that this model learns."""
        return [published_spelling(answer) if self.config.lower_case else answer for answer in answers]

    def answer(
        self, features: Features, style: Style, max_new_tokens: int = 400, search: SearchConfig = GREEDY
    ) -> tuple[list[str], list[int]]:
        """Answer a batch of features; see `generate`."""
        with torch.no_grad():
            return self.say(self.listen(features), style, max_new_tokens, search)

    def say(
        self,
        speech: Vectors,
        style: Style,
        max_new_tokens: int,
        search: SearchConfig = GREEDY,
        keys: Sequence[str] | None = None,
    ) -> tuple[list[str], list[int]]:
        """Answer speech embeddings (batch, time, size of the language model); see `generate`."""
        prompts = [instruction(style, self.wording)] * len(speech.values)
        return self.language.generate(speech, self.connector.boundaries, prompts, max_new_tokens, search, keys)

    @torch.no_grad()
    def score(self, speech: Vectors, style: Style, answers: Sequence[Sequence[str]]) -> list[Tensor]:
        """Return the log-probabilities of the answers given for each row of speech embeddings, each (answers,)."""
        prompts = [instruction(style, self.wording)] * len(speech.values)
        spelled = [self.spelled(row) for row in answers]
        return self.language.score(speech, self.connector.boundaries, prompts, spelled)

    def generate(
        self,
        waves: Sequence[np.ndarray],
        style: Style | None = None,
        max_new_tokens: int = 400,
        search: SearchConfig = GREEDY,
    ) -> tuple[list[str], list[int]]:
        """Say what is heard; an utterance gets the same answer alone and in any batch.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32, up to 30 s.
            style: the chain of thought asked for; None takes the model's own.
            max_new_tokens: where an answer is cut off.
            search: how the answer's tokens are chosen.

        Returns:
            one answer for each waveform, and how many tokens it took.
        """
        self.eval()
        return self.say(self.hear(waves), style or self.config.style, max_new_tokens, search)

    def predict(
        self,
        audio: "Source | Sequence[Source]",
        rate: int | None = None,
        language: str | None = None,
        style: Style | None = None,
        answers: bool = True,
    ) -> "Recognition | list[Recognition]":
        """Recognise the emotion in speech of any length; see `c2ser.model.recognition.predict`."""
        from c2ser.model.recognition import predict  # that module needs this class

        return predict(self, audio, rate, language, style, answers)


def _part(name: str) -> str:
    """Return the part of the model that a parameter belongs to."""
    if name.startswith("whisper."):
        return "frozen" if name.endswith("embed_positions.weight") else "whisper"
    if name.startswith("language."):
        return "lora" if ".lora_" in name else "llm"
    return name.split(".", 1)[0]
