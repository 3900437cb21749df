"""For tests: what vLLM 0.26 documents of `LLM` and `SamplingParams`, strictly checked, answered by transformers."""

import random
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(kw_only=True)
class SamplingParams:
    """The fields that requests use, with vLLM's own defaults and checks."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    detokenize: bool = True

    def __post_init__(self):
        kinds = {"temperature": float, "top_p": float, "stop_token_ids": list}
        kinds |= {"ignore_eos": bool, "detokenize": bool}
        for name, value in vars(self).items():
            assert value is None or type(value) is kinds.get(name, int), f"{name} is a {type(value).__name__}"
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature must be in [0, 2], got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}.")
        assert self.max_tokens >= 1 and self.top_k >= 0 and -(2**63) <= (self.seed or 0) < 2**63


class LLM:
    """Takes what vLLM takes, loads the folder as it does, and answers each request alone.

    Attributes:
        started: the options of all that were made.
        calls: how many requests each call of `generate` had.
    """

    started: list[dict] = []
    calls: list[int] = []

    def __init__(
        self,
        model,
        *,
        skip_tokenizer_init=False,
        dtype="auto",
        gpu_memory_utilization=0.92,
        max_model_len=None,
        enable_prompt_embeds=False,
        generation_config="auto",
    ):
        from transformers import AutoModelForCausalLM

        assert type(model) is str and Path(model).is_dir() and type(max_model_len) is int
        assert generation_config in ("auto", "vllm") and 0 < gpu_memory_utilization <= 1
        self.embeds, self.length, self.tokenises = enable_prompt_embeds, max_model_len, not skip_tokenizer_init
        self.llm = AutoModelForCausalLM.from_pretrained(model, dtype=DTYPES[dtype], trust_remote_code=False).eval()
        assert self.length <= self.llm.config.max_position_embeddings
        LLM.started.append({"model": model, "dtype": dtype, "max_model_len": max_model_len})

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True):
        assert type(prompts) is list and len(prompts) == len(sampling_params) and self.embeds and not self.tokenises
        LLM.calls.append(len(prompts))
        for prompt, params in zip(prompts, sampling_params, strict=True):
            self.check(prompt, params)
        todo = [*enumerate(zip(prompts, sampling_params, strict=True))]
        random.Random(0).shuffle(todo)  # they end in any order, and are returned in that of the requests
        outputs = {number: self.answer(prompt["prompt_embeds"], params) for number, (prompt, params) in todo}
        return [outputs[number] for number in range(len(prompts))]

    def check(self, prompt, params):
        assert type(prompt) is dict and [*prompt] == ["prompt_embeds"] and type(params) is SamplingParams
        embeds = prompt["prompt_embeds"]
        assert isinstance(embeds, torch.Tensor) and embeds.ndim == 2 and embeds.device.type == "cpu"
        assert embeds.shape[1] == self.llm.config.hidden_size and embeds.dtype == self.llm.dtype
        assert not embeds.requires_grad and embeds.isfinite().all()
        if len(embeds) + params.max_tokens > self.length:
            raise ValueError(f"The decoder prompt (length {len(embeds)}) is longer than the maximum model length.")

    def answer(self, embeds, params):
        drawn = {"do_sample": params.temperature > 0}
        if drawn["do_sample"]:
            drawn |= {"temperature": params.temperature, "top_k": params.top_k, "top_p": params.top_p}
        with torch.random.fork_rng([]):
            torch.manual_seed(params.seed or 0)
            (tokens,) = self.llm.generate(
                inputs_embeds=embeds[None], attention_mask=torch.ones(1, len(embeds), dtype=torch.long),
                max_new_tokens=params.max_tokens, eos_token_id=params.stop_token_ids, **drawn,
            ).tolist()  # fmt: skip
        reason = "stop" if tokens[-1] in params.stop_token_ids else "length"
        answer = SimpleNamespace(index=0, text="", token_ids=tokens, finish_reason=reason, stop_reason=None)
        return SimpleNamespace(outputs=[answer], finished=True)


def module():
    """Return the stub as a module, with nothing started."""
    LLM.started, LLM.calls = [], []
    stub = ModuleType("vllm")
    stub.LLM, stub.SamplingParams = LLM, SamplingParams
    return stub
