"""Any language model of transformers that takes speech, such as Qwen2-Audio: asked as its makers ask it, greedily.

The probabilities of the seven emotions come from the same model: the utterance and the instruction pass through it
once, for the answer, and each label is then read as a continuation of them.
"""

import base64
import inspect
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, GenerationMixin, PreTrainedModel

from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.answers import Answer
from c2ser.baselines.audio_llm_loading import BASE64, load_audio_llm
from c2ser.baselines.config import BaselineConfig
from c2ser.baselines.instructions import Instructions, wav_bytes
from c2ser.emotions import EMOTIONS
from c2ser.label_sets import SEVEN
from c2ser.model.key_values import cache_name

SILENCE_SECONDS = 3
"""Length of the recordings without speech by which the label scores are freed of the model's bias."""


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
        return cls(*load_audio_llm(config), config, instructions)

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
        ids, cache = self._generate(inputs, self.config.max_new_tokens)
        answers = self._texts(ids)
        milliseconds = 1000 * (time.perf_counter() - start) / len(asked)
        scored = self.config.scored
        rows: Sequence[np.ndarray | None] = [*self._probabilities(inputs, cache)] if scored else [None] * len(asked)
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

    def _generate(self, inputs: Mapping[str, Tensor], length: int) -> tuple[Tensor, DynamicCache]:
        """Return at most `length` tokens (batch, time), and keys and values of all but the last token of the inputs."""
        cache = DynamicCache()  # also where a model would forget what is outside a window
        more = {cache_name(self.model.forward): cache}
        assert isinstance(self.model, GenerationMixin)  # as every class that `loader` may name is
        # a hub's own settings (sampling, penalties) would make answers differ from run to run
        ids = self.model.generate(
            **inputs, max_new_tokens=length, do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None,
            repetition_penalty=1.0, pad_token_id=self.pad, **more,
        )  # fmt: skip
        read = inputs["input_ids"].shape[1]
        cache.crop(read - 1 - cache.get_seq_length())
        return ids[:, read:], cache

    def _texts(self, ids: Tensor) -> list[tuple[str, int]]:
        """Return the answer in each row of ids (batch, time), and the number of its tokens, its end token included."""
        ends = self.model.generation_config.eos_token_id
        ends = {*ends} if isinstance(ends, list) else {self.end}
        cut = [row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))] for row in ids.tolist()]
        return [(self.tokenizer.decode(row, skip_special_tokens=True).strip(), len(row)) for row in cut]

    def _probabilities(self, inputs: Mapping[str, Tensor], cache: DynamicCache) -> np.ndarray:
        """Return the probabilities (batch, 7) of the emotions, freed of the model's bias towards some labels.

        Each label's probability is divided by what it has, on average, where nobody speaks, as in the cascade.
        """
        scores = self._scores(inputs, cache)  # first, for models of the Qwen-Omni family remember the last input
        if self.bias is None:
            empty = self._inputs(no_speech())
            self.bias = self._scores(empty, self._generate(empty, 1)[1]).softmax(dim=-1).mean(dim=0).log()
        return (scores - self.bias).softmax(dim=-1).cpu().numpy()

    @torch.no_grad()
    def _scores(self, inputs: Mapping[str, Tensor], cache: DynamicCache) -> Tensor:
        """Return the log-probabilities (batch, 7) of the labels, end token included, in float64.

        The last token of the inputs and the labels are all that passes through the model.
        """
        return torch.stack([self._score(ids, inputs, cache) for ids in self.label_ids], dim=1)

    def _score(self, ids: Sequence[int], inputs: Mapping[str, Tensor], cache: DynamicCache) -> Tensor:
        """Return the log-probability (batch,) of a label's tokens; the cache is left as it was."""
        last, mask = inputs["input_ids"][:, -1:], inputs["attention_mask"]
        tokens = torch.cat([last, last.new_tensor([ids[:-1]]).expand(len(last), -1)], dim=1)
        longer = torch.cat([mask, mask.new_ones(len(mask), len(ids) - 1)], dim=1)
        more = {cache_name(self.model.forward): cache, **self._positions(longer, len(ids))}
        logits = self.model(input_ids=tokens, attention_mask=longer, use_cache=True, **more).logits
        cache.crop(-len(ids))
        rows = logits.double().log_softmax(dim=-1)
        return torch.stack([rows[:, place, token] for place, token in enumerate(ids)]).sum(dim=0)

    def _positions(self, mask: Tensor, number: int) -> dict[str, Tensor]:
        """Return the positions of new tokens, as `generate` counts them; padding has none.

        Models of the Qwen-Omni family count time, height and width of pictures, and add what speech moved them by.

        Args:
            mask: which tokens count, those in the cache and the new ones, (batch, time).
            number: how many new ones there are.
        """
        if "position_ids" not in inspect.signature(self.model.forward).parameters:
            return {}
        positions = mask.cumsum(dim=-1)[:, -number:] - 1
        deltas = getattr(getattr(self.model, "model", None), "rope_deltas", None)
        if deltas is not None:
            positions = (positions + deltas.to(mask.device)).expand(3, -1, -1)
        return {"position_ids": positions}


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
