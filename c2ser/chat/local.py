"""A model in this process, through `transformers`."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from c2ser.chat.config import LocalConfig
from c2ser.chat.protocol import Line, completion, response
from c2ser.chat_templates import render_chats
from c2ser.devices import move
from c2ser.pretrained import load_pretrained, readable


class LocalChat:
    """Answers in batches of similar length, the longest first.

    Each prompt has its own seed: apart from rounding, a reply does not depend on the other prompts of its batch.

    Args:
        config: device, precision and batch size.
        model: folder or hub id of a causal language model with a chat template.

    Raises:
        ValueError: the model has no chat template.
    """

    def __init__(self, config: LocalConfig, model: str) -> None:
        self.config, self.name = config, model
        with readable(model, "tokenizer", "download it again"):
            self.tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False, padding_side="left")
        if not self.tokenizer.chat_template:
            raise ValueError(f"{model}: its tokenizer has no chat template; choose a model that was trained for chats")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        dtype = getattr(torch, config.dtype)
        llm = load_pretrained(AutoModelForCausalLM, model, "language model", dtype=dtype)
        self.llm = move(llm, config.device).eval()
        ends = self.llm.generation_config.eos_token_id or self.tokenizer.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends])

    def responses(self, requests: Sequence[Line]) -> Iterator[Line]:
        """Yield responses batch by batch; see `Chat`.

        Raises:
            OSError: a batch does not fit into the memory of the GPU.
        """
        ordered = sorted(requests, key=lambda line: (-len(_text(line)), line["custom_id"]))
        for start in range(0, len(ordered), self.config.batch):
            batch = ordered[start : start + self.config.batch]
            try:
                replies = self._answer(batch)
            except torch.OutOfMemoryError:
                raise OSError(
                    f"{batch[0]['custom_id']}: {len(batch)} prompts of up to {len(_text(batch[0]))} characters do not "
                    "fit into memory; lower local.batch and run this again; it goes on where it stopped"
                ) from None
            for line, (text, finished) in zip(batch, replies, strict=True):
                yield response(line["custom_id"], 200, completion(text, finished, self.name))

    @torch.inference_mode()
    def _answer(self, batch: Sequence[Line]) -> list[tuple[str, bool]]:
        chats = [line["body"]["messages"] for line in batch]
        texts = render_chats(self.tokenizer, chats, self.name)
        encoded = self.tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        encoded = encoded.to(self.llm.device)
        ids = self.llm.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            logits_processor=_sampler([line["body"] for line in batch], self.llm.device),
            max_new_tokens=batch[0]["body"]["max_tokens"],
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=sorted(self.ends),
        )
        return [self._until_end(row) for row in ids[:, encoded["input_ids"].shape[1] :].tolist()]

    def _until_end(self, ids: list[int]) -> tuple[str, bool]:
        end = next((position for position, token in enumerate(ids) if token in self.ends), None)
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True)
        assert isinstance(text, str)  # a list only for several sequences
        return text, end is not None


def _text(line: Line) -> str:
    return line["body"]["messages"][0]["content"]


def _sampler(bodies: Sequence[dict], device: torch.device) -> LogitsProcessorList:
    """Return what turns the choice of the most probable token into a random draw."""
    temperature, top_p = bodies[0]["temperature"], bodies[0]["top_p"]
    if temperature == 0:
        return LogitsProcessorList()
    warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(float(temperature))]
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    return LogitsProcessorList([*warpers, _Gumbel([body["seed"] for body in bodies], device)])


class _Gumbel(LogitsProcessor):
    """Adds Gumbel noise: the largest noisy logit is a draw from the softmax of the logits."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return noisy logits, (batch, vocabulary), the noise of each row from its own generator."""
        rows = [torch.empty_like(row, dtype=torch.float32).exponential_(generator=generator)
                for row, generator in zip(scores, self.generators, strict=True)]  # fmt: skip
        return scores.float() - torch.stack(rows).log()
