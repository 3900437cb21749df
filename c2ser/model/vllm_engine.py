"""Answers by vLLM, which decodes hundreds of utterances side by side; our encoders and connector give it embeddings.

Not run on a GPU yet: the tests compare it with transformers through a stub of vLLM's documented interface.
"""

import copy
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from c2ser.data.datasets import MAX_SECONDS
from c2ser.log import get_logger, one_line
from c2ser.model.adapters import merge_adapters
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import DecodeConfig
from c2ser.model.fingerprints import weights_digest
from c2ser.model.search import draw_seed
from c2ser.tables import read_json, write_json
from c2ser.tensors import whole_folder

logger = get_logger(__name__)

RECORD = "merged.json"
"""What a folder of merged weights was made of."""

SHARE = 0.7
"""The share of a GPU's free memory that vLLM gets; the rest is for our encoders and the label scores."""


class VllmEngine:
    """vLLM with the language model of a C²SER model; it starts when the first answers are asked for.

    Args:
        network: the model's network.
        folder: where the language model is written for vLLM, with its adapters merged.
        config: how answers are decoded.
    """

    def __init__(self, network: C2SERNetwork, folder: Path, config: DecodeConfig) -> None:
        self.network, self.folder, self.config = network, folder, config
        self._llm: Any = None

    def answer(self, contexts: Sequence[Tensor], keys: Sequence[str]) -> list[list[int]]:
        """Return the tokens that follow each context, the end token included.

        Args:
            contexts: embeddings before each answer, (time, dim), in the precision of the language model.
            keys: utterance ids; if tokens are drawn at random, the draws depend on them.

        Raises:
            ValueError: vLLM is not installed, does not start, or does not answer.
        """
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # it would tell its authors about this machine
        try:
            import vllm
        except ImportError as error:
            raise ValueError(f"vllm: cannot be imported ({one_line(error)}); pip install 'c2ser[vllm]'") from None
        if self._llm is None:
            write_merged(self.network.language.llm, self.folder)
            self._llm = self._start(vllm)
        try:
            outputs = self._llm.generate(
                [{"prompt_embeds": context.cpu()} for context in contexts],
                [vllm.SamplingParams(**self._options(key)) for key in keys],
                use_tqdm=False,
            )
        except Exception as error:  # its errors have no common kind
            raise ValueError(f"vLLM: stopped ({one_line(error)}); its lines above say more, give the same command "
                             "again to go on, or set engine: transformers") from None  # fmt: skip
        return [_finished(output, key) for output, key in zip(outputs, keys, strict=True)]

    def _start(self, vllm: Any) -> Any:
        config, llm = self.config, self.network.language.llm
        longest = self.network.max_context(config.style or self.network.config.style, MAX_SECONDS)
        try:
            return vllm.LLM(
                str(self.folder),
                skip_tokenizer_init=True,  # it gets embeddings and returns tokens
                enable_prompt_embeds=True,
                generation_config="vllm",  # its own, which adds nothing to the settings of each request
                dtype=str(llm.dtype).removeprefix("torch."),
                max_model_len=longest + config.max_new_tokens,
                **_memory(llm.device),
            )
        except Exception as error:
            raise ValueError(f"vLLM: does not start ({one_line(error)}); its lines above say more, mend that, or set "
                             "engine: transformers") from None  # fmt: skip

    def _options(self, key: str) -> dict[str, Any]:
        """Return the settings of the request of one utterance."""
        config, drawn = self.config, {"temperature": 0.0}
        if config.sample:
            drawn = {"temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p}
            drawn["seed"] = draw_seed(config.seed, key)
        end = {"stop_token_ids": [self.network.language.end], "ignore_eos": True}  # no other token ends an answer
        return {"max_tokens": config.max_new_tokens, "detokenize": False, **end, **drawn}


def _finished(output: Any, key: str) -> list[int]:
    """Return the tokens of an answer that is whole, or as long as it may be."""
    (answer,) = output.outputs
    if answer.finish_reason not in ("stop", "length"):
        raise ValueError(f"{key}: vLLM gave up its answer ({answer.finish_reason}); give the same command again, or "
                         "set engine: transformers")  # fmt: skip
    return list(answer.token_ids)


def _memory(device: torch.device) -> dict[str, float]:
    """Return the option that leaves our own part of a GPU's memory alone; it counts in shares of all memory."""
    if device.type != "cuda":
        return {}
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory_utilization": SHARE * free / total}


def write_merged(llm: PreTrainedModel, folder: Path) -> None:
    """Write a language model with its adapters merged, as transformers writes models, unless the folder holds it.

    Raises:
        OSError: it cannot be written.
    """
    record = {"weights": weights_digest(llm)}
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)  # jobs on other GPUs wait here for the first one
        if (folder / RECORD).is_file() and read_json(folder / RECORD) == record:
            return
        with whole_folder(folder) as temporary:
            merged = copy.deepcopy(llm)
            merge_adapters(merged)
            merged.save_pretrained(temporary)
            for path in temporary.iterdir():
                path.chmod(0o644)  # safetensors keeps files from others
            write_json(temporary / RECORD, record)
        logger.info("%s: the language model with its adapters merged, for vLLM", folder)
    finally:
        os.close(handle)
