"""The network of C²SER (section III): Whisper, Emotion2Vec-S, the connector and a language model.

It knows nothing of files and folders; `c2ser.model.c2ser` reads and writes it.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from c2ser.cot.prompts import Style, instruction, published_spelling
from c2ser.data.collate import pad_waves
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.acoustic import FrozenEncoder
from c2ser.model.adapters import hold_frozen_in_bfloat16, take_inputs_as_they_are
from c2ser.model.config import GREEDY, C2SERConfig, Part, SearchConfig
from c2ser.model.connector import Connector
from c2ser.model.key_values import Reading
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import Features, Vectors, WhisperEncoder
from c2ser.model.qformer import QFormerConnector
from c2ser.model.token_weights import token_weights


class C2SERNetwork(nn.Module):
    """The network of a C²SER model.

    Args:
        config: its settings.
        whisper: semantic encoder, or None.
        acoustic: acoustic encoder, or None.
        language: language model.
        llm_inside: whether the language model's own weights belong to this model, because they were trained with it.
        labels: the classes that its answers name.

    Attributes:
        wording: number of the wording of the instruction in prompts; see `c2ser.cot.prompts.instruction`.
    """

    def __init__(
        self,
        config: C2SERConfig,
        whisper: WhisperEncoder | None,
        acoustic: FrozenEncoder | None,
        language: LanguageModel,
        llm_inside: bool = False,
        labels: LabelSet = SEVEN,
    ) -> None:
        super().__init__()
        self.llm_inside = llm_inside
        self.labels = labels
        self.wording = 0
        self.config = config
        self.whisper, self.acoustic, self.language = whisper, acoustic, language
        kind = QFormerConnector if config.connector.kind == "qformer" else Connector
        self.connector = kind(
            config.connector, whisper.dim if whisper else None, acoustic.dim if acoustic else None, out=language.dim
        )
        self.set_trainable(config.trainable)
        if whisper:
            whisper.padding = config.whisper_pad
        self.set_checkpointing(config.checkpointing)

    def set_trainable(self, parts: Sequence[Part]) -> None:
        """Make these parts trainable and freeze all others; Emotion2Vec-S is always frozen."""
        self.config.trainable = list(parts)
        self.llm_inside = self.llm_inside or "llm" in parts
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of(name) in parts)

    def set_checkpointing(self, enabled: bool) -> None:
        """Choose whether activations are recomputed in the backward pass."""
        self.config.checkpointing = enabled
        for part in self.transformers:
            if enabled != any(getattr(module, "gradient_checkpointing", False) for module in part.modules()):
                part.gradient_checkpointing_enable() if enabled else part.gradient_checkpointing_disable()

    @property
    def transformers(self) -> list[PreTrainedModel]:
        """The parts from the library transformers: Whisper's layers, if it is there, and the language model."""
        return [*([self.whisper.layers] if self.whisper else []), self.language.llm]

    @property
    def trained_layers(self) -> list[nn.Module]:
        """The Transformer layers that are trained, or that gradients pass through."""
        whisper: Iterable[nn.Module] = []
        if self.whisper and not self.whisper_frozen:
            whisper = self.whisper.layers.layers
        return [*whisper, *self.connector.layers, *self.language.llm.get_decoder().layers]

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.connector.boundaries.device

    def autocast(self) -> AbstractContextManager:
        """Return bfloat16 autocast on a GPU if the language model is bfloat16; otherwise a context without effect."""
        dtype = self.language.llm.dtype
        if self.device.type == "cuda" and dtype == torch.bfloat16:
            return torch.autocast("cuda", dtype)
        return nullcontext()

    @torch.no_grad()
    def extract_features(
        self, waves: Sequence[np.ndarray], acoustic: Sequence[np.ndarray] | None = None, exact: bool = True
    ) -> Features:
        """Compute what needs no trained weights; training can keep it.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32.
            acoustic: their acoustic vectors, each (rows, dim), if they were extracted before.
            exact: compute acoustic vectors in float32 even under autocast; the spectrogram always is.
        """
        padded, lengths = pad_waves(waves)
        padded = padded.to(self.device)
        float32 = torch.autocast(self.device.type, enabled=False)
        with float32:
            mel = self.whisper.log_mel(padded, lengths) if self.whisper else None
        if self.acoustic is None:
            return Features(mel, None)
        if acoustic is not None:
            return Features(mel, self.acoustic.arrange([torch.from_numpy(rows).to(self.device) for rows in acoustic]))
        with float32 if exact else nullcontext():
            return Features(mel, self.acoustic(padded, lengths))

    def encode_features(self, features: Features) -> Vectors:
        """Return speech embeddings (batch, time, size of the language model) of features."""
        semantic = features.semantic
        if semantic is None and self.whisper:
            semantic = self.whisper(features.mel)
        return self.connector(semantic, features.acoustic)

    @torch.no_grad()
    def encode_semantic(self, features: Features) -> Features:
        """Return features with Whisper's states in place of the spectrogram; training can keep them if it is frozen."""
        if self.whisper is None:
            return features
        with torch.autocast(self.device.type, enabled=False):
            return Features(None, features.acoustic, self.whisper(features.mel))

    def use_bfloat16(self) -> None:
        """Keep the language model's frozen weights in bfloat16, for a training under autocast.

        On a CPU the backward pass of PyTorch's fused attention is slow in bfloat16.
        """
        llm = self.language.llm
        hold_frozen_in_bfloat16(llm)
        take_inputs_as_they_are(llm)
        if self.device.type == "cpu":
            llm.set_attn_implementation("eager")

    @property
    def whisper_frozen(self) -> bool:
        """Whether no weight of Whisper is trained; there may be no Whisper."""
        return self.whisper is None or not any(parameter.requires_grad for parameter in self.whisper.parameters())

    def train(self, mode: bool = True) -> "C2SERNetwork":
        """Switch to training or evaluation; a frozen Whisper stays in evaluation, without dropout."""
        super().train(mode)
        if self.whisper is not None and self.whisper_frozen:
            self.whisper.eval()
        return self

    @torch.no_grad()
    def encode(self, waves: Sequence[np.ndarray]) -> Vectors:
        """Return speech embeddings (batch, time, size of the language model) of waveforms, for `generate` and `score`.

        On a GPU the encoders compute in the language model's precision too; see `autocast`.

        Args:
            waves: mono waveforms at 16 kHz, each (samples,) float32, up to 30 s.
        """
        with self.autocast():
            return self.encode_features(self.extract_features(waves, exact=False))

    def max_embeddings(self, seconds: float) -> int:
        """Return the largest number of speech embeddings that audio of this length gives."""
        acoustic = self.acoustic.max_vectors(seconds) if self.acoustic else 0
        return self.connector.max_embeddings(ceil(50 * seconds), acoustic)

    def forward(self, features: Features, prompts: Sequence[str], answers: Sequence[str]) -> dict[str, Tensor]:
        """Return "loss", the mean cross-entropy of the answers' tokens, and "accuracy", the share predicted rightly."""
        return self.answer_loss(self.encode_features(features), prompts, answers)

    def answer_loss(
        self, speech: Vectors, prompts: Sequence[str], answers: Sequence[str], named: float = 1.0
    ) -> dict[str, Tensor]:
        """Return the same as `forward`, from speech embeddings.

        Args:
            speech: embeddings (batch, time, size of the language model).
            prompts: one for each row.
            answers: one for each row.
            named: weight of the tokens that name a class; see `c2ser.model.token_weights`.
        """
        answers, boundaries = self.spell(answers), self.connector.boundaries
        weights = token_weights(self.language.tokenizer, answers, self.labels, named)
        loss, accuracy = self.language.answer_loss(speech, boundaries, prompts, answers, weights)
        return {"loss": loss, "accuracy": accuracy}

    def spell(self, answers: Sequence[str]) -> list[str]:
        """Return answers in the spelling that this model learns."""
        return [published_spelling(answer) if self.config.lower_case else answer for answer in answers]

    def generate(
        self,
        speech: Vectors,
        style: Style | None = None,
        max_new_tokens: int = 400,
        search: SearchConfig = GREEDY,
        keys: Sequence[str] | None = None,
        reading: Reading | None = None,
    ) -> tuple[list[str], list[int]]:
        """Answer each row of speech embeddings; a row gets the same answer alone and in any batch.

        Args:
            speech: embeddings (batch, time, size of the language model), from `encode`.
            style: the chain of thought to ask for; None takes the model's own.
            max_new_tokens: an answer is cut off after this many tokens.
            search: how the answer's tokens are chosen.
            keys: utterance ids; if tokens are drawn at random, the draws depend on them.
            reading: keeps what is read of the speech, for `score`.

        Returns:
            one answer for each row, and how many tokens it has.
        """
        prompts = self._prompts(style or self.config.style, speech)
        language, boundaries = self.language, self.connector.boundaries
        return language.texts(
            language.answer_tokens(speech, boundaries, prompts, max_new_tokens, search, keys, reading)
        )

    @torch.no_grad()
    def score(
        self, speech: Vectors, style: Style, answers: Sequence[Sequence[str]], reading: Reading | None = None
    ) -> list[Tensor]:
        """Return the log-probabilities of the answers given for each row of speech embeddings, each (answers,).

        Args:
            speech: embeddings (batch, time, size of the language model), from `encode`.
            style: the chain of thought that is asked for.
            answers: those to score, for each row.
            reading: what `generate` kept of the same speech in the same style; it is used up.
        """
        spelled = [self.spell(row) for row in answers]
        return self.language.score(speech, self.connector.boundaries, self._prompts(style, speech), spelled, reading)

    @torch.no_grad()
    def contexts(self, speech: Vectors, style: Style) -> list[Tensor]:
        """Return what the language model reads before each answer, (time, dim), for another program to go on from."""
        return self.language.contexts(speech, self.connector.boundaries, self._prompts(style, speech))

    def max_context(self, style: Style, seconds: float) -> int:
        """Return the largest number of embeddings that `contexts` gives for audio of this length."""
        (around,) = self.language.sequence_lengths(instruction(style, self.wording), [""])
        return around - 1 + self.max_embeddings(seconds)  # all but the end token of an answer

    def _prompts(self, style: Style, speech: Vectors) -> list[str]:
        return [instruction(style, self.wording)] * len(speech.values)


def part_of(name: str) -> str:
    """Return the part of the model that a parameter belongs to."""
    if name.startswith("whisper."):
        return "frozen" if name.endswith("embed_positions.weight") else "whisper"
    if name.startswith("language."):
        return "lora" if ".lora_" in name else "llm"
    return name.split(".", 1)[0]
