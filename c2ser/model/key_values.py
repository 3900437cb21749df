"""Keys and values of what a language model has read already, so that it reads nothing twice."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer


@dataclass
class KeyValues:
    """Keys and values of the first positions of each row of a batch; who goes on from them adds to them.

    Attributes:
        cache: the keys and values.
        mask: which positions are no padding, (batch, positions).
        lengths: how many those are in each row.
    """

    cache: Cache
    mask: Tensor
    lengths: list[int]


class Reading:
    """What was read to answer a batch, for whoever scores answers of the same batch next."""

    def __init__(self) -> None:
        self._read: KeyValues | None = None

    def keep(self, cache: Cache, mask: Tensor, beams: int) -> None:
        """Keep all but the last position of the contexts that were read, which scoring begins with.

        Args:
            cache: keys and values of the contexts and of the answers after them, `beams` rows for each context.
            mask: which positions of the contexts are no padding, (batch, positions); the last one never is.
            beams: how many answers were looked for at once.
        """
        layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]
        if not isinstance(cache, DynamicCache) or len(layers) < len(cache.layers):
            return  # others drop what is old, or have room for what is to come
        places = mask.shape[1] - 1
        for layer in layers:
            assert layer.keys is not None and layer.values is not None  # they have just been written
            layer.keys, layer.values = layer.keys[::beams, :, :places], layer.values[::beams, :, :places]
        lengths = mask[:, :-1].sum(dim=1).tolist()
        self._read = KeyValues(cache, mask[:, :-1].bool(), lengths)

    def take(self) -> KeyValues | None:
        """Return what is kept, once; None if nothing is."""
        read, self._read = self._read, None
        return read


class InstructionCache:
    """The keys and values of an instruction, computed once for as long as the weights stay as they are."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Any, ...], Cache] | None = None

    @torch.no_grad()
    def begin(self, llm: PreTrainedModel, prompt: str, boundaries: Tensor, embedded: Tensor) -> Cache:
        """Return the keys and values of an instruction, of one row.

        Args:
            llm: the language model.
            prompt: the instruction.
            boundaries: embeddings of the begin and the end of speech, which may be trained too.
            embedded: its embeddings and that of the begin of speech, (time, dim).
        """
        kind = embedded.device.type
        # whoever changes a weight in place raises its version, and other weights lie elsewhere
        weights = ((weight.data_ptr(), weight._version) for weight in (*llm.parameters(), boundaries))
        state = (prompt, embedded.dtype, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind), *weights)
        known = self._known  # taken and set at once: threads may share a model
        if known is None or known[0] != state:
            known = self._known = state, read(llm, embedded[None])
        return known[1]


def may_share(llm: nn.Module) -> bool:
    """Return whether rows of a batch may go on from common keys and values.

    Not if dropout is to differ between rows; if activations are recomputed, which transformers cannot combine with a
    cache; if layers are compiled, which knows no cache either; or if processes share the layers' weights, which they
    would have to exchange twice.
    """
    return not any(
        isinstance(module, FSDPModule)
        or getattr(module, "gradient_checkpointing", False)
        or (getattr(module, "compiled", False) and module.training)
        or (isinstance(module, nn.Dropout) and module.training and module.p)
        for module in llm.modules()
    )


def read(llm: PreTrainedModel, embedded: Tensor) -> Cache:
    """Return the keys and values of embeddings (batch, time, dim) without padding."""
    decoder = llm.get_decoder()
    return decoder(inputs_embeds=embedded, use_cache=True)[cache_name(decoder.forward)]


def repeated(cache: Cache, rows: int) -> Cache:
    """Return a copy of the keys and values of one row for each of some rows."""
    cache = copy.deepcopy(cache)
    cache.batch_repeat_interleave(rows)
    return cache


def shared_by_all(cache: Cache, rows: int, device: torch.device) -> KeyValues:
    """Return the keys and values of one row, without padding, as the beginning of all rows of a batch."""
    size = cache.get_seq_length()
    return KeyValues(repeated(cache, rows), torch.ones(rows, size, dtype=torch.bool, device=device), [size] * rows)


def cache_name(function: Callable[..., Any]) -> str:
    """Return what a function of transformers calls its keys and values: `cache` in newer releases."""
    return "cache" if "cache" in inspect.signature(function).parameters else "past_key_values"
