"""Any language model of transformers that takes speech, such as Qwen2-Audio: asked as its makers ask it, greedily.

The probabilities of the seven emotions come from the same model: the utterance and the instruction pass through it
once, and each label is then read as a continuation of them.
"""

import base64
import inspect
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForMultimodalLM,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    GenerationMixin,
    PreTrainedModel,
)

from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.answers import Answer
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.instructions import Instructions, wav_bytes
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN
from c2ser.log import one_line
from c2ser.model.key_values import cache_name
from c2ser.pretrained import find_model, load_pretrained, readable

LOADER = re.compile(r"[A-Z]\w+For(ConditionalGeneration|CausalLM)", re.ASCII)
"""Names of classes that load such models."""

SILENCE_SECONDS = 3
"""Length of the recordings without speech by which the label scores are freed of the model's bias."""

BASE64 = ("VoxtralProcessor",)
"""Processors that take audio as the text of a file, not as numbers."""

PACKAGES = {
    "mistral": "mistral-common[audio]",
    "torchvision": "torchvision",
    "pil": "pillow",
    "peft": "peft",
    "timm": "timm",
}
"""What to install, by a word in the message about a package that is missing."""


class AudioLlm:
    """A language model that takes speech.

    Args:
        model: the model, a class of transformers that generates.
        processor: what came with it: makes its inputs of waveforms and text.
        config: how it is asked.
        instructions: what it is asked about each utterance; None asks as `config` says.

    Raises:
        ValueError: it has neither a chat template nor `template`, or the instruction needs a data directory.
    """

    transcribes = False
    labels = SEVEN

    def __init__(
        self, model: PreTrainedModel, processor: Any, config: BaselineConfig, instructions: Instructions | None = None
    ) -> None:
        self.model, self.processor, self.config = model.eval(), processor, config
        self.instructions = instructions or Instructions(config)
        self.tokenizer = getattr(processor, "tokenizer", processor)
        if config.template is None and not _has_template(processor):
            raise ValueError(f"{config.model}: it has no chat template; give baseline.template, with {{prompt}} in it")
        ends = model.generation_config.eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        self.end: int = ends[0] if isinstance(ends, list) else ends
        pad = self.tokenizer.pad_token_id
        self.pad: int = self.end if pad is None else pad
        space = " " if config.template else ""  # a chat's answer begins its turn, other text goes on
        self.label_ids = [[*self._ids(space + emotion), self.end] for emotion in EMOTIONS]
        self.bias: Tensor | None = None

    @classmethod
    def from_pretrained(cls, config: BaselineConfig, instructions: Instructions | None = None) -> "AudioLlm":
        """Load a model and its processor from a folder or a hub id; nothing in its files is run.

        Raises:
            ValueError: there is no such model, it is of another kind or damaged, or a package is missing.
        """
        if not config.model:
            raise ValueError("baseline.model: missing; give the model's folder or hub id")
        name = find_model(config.model, "audio language model")
        processor = load_processor(name)
        loader, dtype = _loader(name, config.loader), getattr(torch, config.dtype)
        try:
            model = load_pretrained(loader, name, "audio language model", dtype=dtype)
        except ValueError as error:
            if not isinstance(error.__cause__, ImportError):
                raise
            raise ValueError(_broken(name, "model", error.__cause__)) from error
        if config.adapter:
            try:
                model.load_adapter(name, adapter_name="speech", adapter_kwargs={"subfolder": config.adapter})
            except Exception as error:  # files of strangers make transformers raise nearly anything
                raise ValueError(_broken(name, f"adapter {config.adapter}", error)) from error
            model.set_adapter("speech")
        return cls(model, processor, config, instructions)

    def to(self, device: torch.device | str) -> "AudioLlm":
        """Move the model to a device."""
        self.model.to(device)
        self.bias = None
        return self

    @torch.no_grad()
    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`."""
        start = time.perf_counter()
        asked, refused = self.instructions.of(waves)
        answered = {name: Answer("", None, 0.0, 0, problem=problem) for name, problem in refused.items()}
        if not asked:
            return answered
        inputs = self._inputs([waves[name] for name in asked], [*asked.values()])
        answers = self._generate(inputs)
        milliseconds = 1000 * (time.perf_counter() - start) / len(asked)
        scored = self.config.scored
        rows: Sequence[np.ndarray | None] = [*self._probabilities(inputs)] if scored else [None] * len(asked)
        return answered | {
            name: Answer(text, row, milliseconds, count)
            for name, (text, count), row in zip(asked, answers, rows, strict=True)
        }

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _inputs(self, waves: Sequence[np.ndarray], prompts: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Return the model's inputs; texts are padded at the left, where answers do not grow.

        Args:
            waves: waveforms at 16 kHz, (samples,).
            prompts: what is asked about each; None asks what is asked where nobody speaks.
        """
        prompts = prompts or [self.instructions.empty] * len(waves)
        padding = {"padding": True, "padding_side": "left"}
        if self.config.template is not None:
            texts = [self.config.template.replace("{prompt}", prompt) for prompt in prompts]
            inputs = self.processor(
                text=texts, audio=[*waves], sampling_rate=SAMPLE_RATE, return_tensors="pt", **padding
            )
        else:
            options = {} if type(self.processor).__name__ in BASE64 else {"processor_kwargs": {"text_kwargs": padding}}
            inputs = self.processor.apply_chat_template(
                [self._chat(*pair) for pair in zip(waves, prompts, strict=True)], tokenize=True,
                add_generation_prompt=True, return_dict=True, return_tensors="pt", **options,
            )  # fmt: skip
        return {name: self._placed(value) for name, value in inputs.items()}

    def _placed(self, value: Any) -> Any:
        """Return an input on the model's device, spectrograms in the precision of its weights."""
        if not isinstance(value, Tensor):
            return value
        value = value.to(self.model.device)
        return value.to(self.model.dtype) if value.is_floating_point() else value

    def _chat(self, wave: np.ndarray, prompt: str) -> list[dict[str, Any]]:
        """Return the turns of a chat about an utterance, at 16 kHz."""
        system = self.config.system
        turns: list[dict[str, Any]] = []
        if system:
            turns.append({"role": "system", "content": [{"type": "text", "text": system}]})
        audio: dict[str, Any] = {"type": "audio", "audio": wave}
        if type(self.processor).__name__ in BASE64:
            audio = {"type": "audio", "base64": base64.b64encode(wav_bytes(wave)).decode()}
        return [*turns, {"role": "user", "content": [audio, {"type": "text", "text": prompt}]}]

    def _generate(self, inputs: Mapping[str, Tensor]) -> list[tuple[str, int]]:
        """Return an answer to each input, and the number of its tokens, its end token included."""
        assert isinstance(self.model, GenerationMixin)  # as every class that `loader` may name is
        # a hub's own settings (sampling, penalties) would make answers differ from run to run
        ids = self.model.generate(
            **inputs, max_new_tokens=self.config.max_new_tokens, do_sample=False, num_beams=1, temperature=None,
            top_p=None, top_k=None, repetition_penalty=1.0, pad_token_id=self.pad,
        )  # fmt: skip
        ends = self.model.generation_config.eos_token_id
        ends = {*ends} if isinstance(ends, list) else {self.end}
        rows = ids[:, inputs["input_ids"].shape[1] :].tolist()
        cut = [row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))] for row in rows]
        return [(self.tokenizer.decode(row, skip_special_tokens=True).strip(), len(row)) for row in cut]

    def _probabilities(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        """Return the probabilities (batch, 7) of the emotions, freed of the model's bias towards some labels.

        Each label's probability is divided by what it has, on average, where nobody speaks, as in the cascade.
        """
        if self.bias is None:
            self.bias = self._scores(self._inputs(no_speech())).softmax(dim=-1).mean(dim=0).log()
        return (self._scores(inputs) - self.bias).softmax(dim=-1).cpu().numpy()

    @torch.no_grad()
    def _scores(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probabilities (batch, 7) of the labels, end token included, in float64.

        Audio and instruction pass through the model once; of the labels only what follows them does.
        """
        keep = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(self.model.forward).parameters else {}
        output = self.model(**inputs, use_cache=True, **keep)
        first = output.logits[:, -1].double().log_softmax(dim=-1)  # what follows the instruction
        past = output["cache" if "cache" in output else "past_key_values"]
        return torch.stack([self._score(ids, first, past, inputs["attention_mask"]) for ids in self.label_ids], dim=1)

    def _score(self, ids: Sequence[int], first: Tensor, past: Any, mask: Tensor) -> Tensor:
        """Return the log-probability (batch,) of a label's tokens; the cache is left as it was."""
        total, tokens = first[:, ids[0]], torch.tensor([ids[:-1]], device=first.device).expand(len(first), -1)
        longer = torch.cat([mask, mask.new_ones(tokens.shape)], dim=1)
        more = {cache_name(self.model.forward): past, **self._positions(longer, tokens.shape[1])}
        logits = self.model(input_ids=tokens, attention_mask=longer, use_cache=True, **more).logits
        past.crop(-tokens.shape[1])
        later = logits.double().log_softmax(dim=-1)
        return total + sum(later[:, place, token] for place, token in enumerate(ids[1:]))

    def _positions(self, mask: Tensor, number: int) -> dict[str, Tensor]:
        """Return the positions (3, batch, number) of new tokens for models of the Qwen-Omni family.

        They count time, height and width of pictures, and would compute them for all tokens since the start; the others
        count by themselves.

        Args:
            mask: which tokens count, those in the cache and the new ones.
            number: how many new ones there are.
        """
        deltas = getattr(getattr(self.model, "model", None), "rope_deltas", None)
        if deltas is None:
            return {}
        positions = mask.cumsum(dim=-1)[:, -number:] - 1 + deltas.to(mask.device)
        return {"position_ids": positions[None].expand(3, -1, -1)}


def _has_template(processor: Any) -> bool:
    """Return whether a processor can write a chat; that of Voxtral has no template and does it all the same."""
    has = getattr(processor, "chat_template", None) or getattr(
        getattr(processor, "tokenizer", None), "chat_template", None
    )
    return bool(has) or type(processor).__name__ in BASE64


def no_speech() -> list[np.ndarray]:
    """Return recordings (samples,) at 16 kHz in which nobody speaks: silence, faint noise, louder noise."""
    noise = np.random.default_rng(0).normal(size=SILENCE_SECONDS * SAMPLE_RATE).astype(np.float32)
    return [level * noise for level in (np.float32(0), np.float32(0.001), np.float32(0.03))]


def load_processor(name: str) -> Any:
    """Load what makes a model's inputs, from a folder or a hub id.

    Raises:
        ValueError: there is none, or a package that it needs is missing or half-installed.
    """
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
        if type(processor).__name__ in BASE64 and type(processor.tokenizer).__name__ != "MistralCommonBackend":
            raise ImportError("it needs mistral-common")
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # files of strangers make transformers raise nearly anything
        raise ValueError(_broken(name, "processor", error)) from error
    return processor


def _broken(name: str, what: str, error: Exception) -> str:
    """Return what is wrong with a model, and what to do: an error in loading it may be a package that is missing."""
    if name.startswith(("/", ".")) and not Path(name).is_dir():
        return f"{name}: no such folder; put the model's files there"
    text = str(error)
    package = next((name for word, name in PACKAGES.items() if word in text.lower()), None)
    remedy = f"pip install -U '{package}'" if package else "check its folder or hub id"
    return f"{name}: no {what} that loads ({one_line(error)}); {remedy}"


def _loader(name: str, loader: str | None) -> Any:
    """Return the class of transformers that loads a model."""
    if loader:
        kind = getattr(transformers, loader, None) if LOADER.fullmatch(loader) else None
        if kind is None:
            raise ValueError(f"baseline.loader: {loader} is no class of transformers that answers; correct the name")
        return kind
    with readable(name, "audio language model", "check its folder or hub id"):
        sizes = AutoConfig.from_pretrained(name, trust_remote_code=False)
    for kind in (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM):
        if type(sizes) in kind._model_mapping:
            return kind
    raise ValueError(f"{name}: {sizes.model_type} is no language model that takes speech; see docs/baselines.md")
