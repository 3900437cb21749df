"""The names of the published checkpoint's weights, and our names for them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LLM = "llama_model.base_model.model."
"""Prefix of the language model: Qwen2 within an object of peft."""

WHOLE = {
    "encoder.embed.pos_enc.pe": "whisper.layers.embed_positions.weight",
    "speech_token_emded.weight": "connector.boundaries",
}
"""Single weights."""

PREFIXES = {
    "encoder.embed.conv.0": "whisper.layers.conv1",
    "encoder.embed.conv.2": "whisper.layers.conv2",
    "encoder.after_norm": "whisper.layers.layer_norm",
    "down_sample_2.conv.1": "connector.downsampler.convs.0",
    "down_sample_2.conv.4": "connector.downsampler.convs.1",
    "down_sample_2.conv.7": "connector.downsampler.convs.2",
    "speech_transformer.embed.out.0": "connector.enter",
    "speech_transformer.embed.out.1": "connector.enter_norm",
    "speech_transformer.after_norm": "connector.norm",
    "speech_llama_proj": "connector.project",
}
"""Modules with a weight and a bias."""

WHISPER_LAYER = {
    "self_attn.linear_q": "self_attn.q_proj",
    "self_attn.linear_k": "self_attn.k_proj",
    "self_attn.linear_v": "self_attn.v_proj",
    "self_attn.linear_out": "self_attn.out_proj",
    "feed_forward.w_1": "fc1",
    "feed_forward.w_2": "fc2",
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
}

CONNECTOR_LAYER = {
    "self_attn.linear_q": "query",
    "self_attn.linear_k": "key",
    "self_attn.linear_v": "value",
    "self_attn.linear_out": "out",
    "feed_forward.w_1": "up_proj",
    "feed_forward.w_2": "down_proj",
    "norm1": "attention_norm",
    "norm2": "feed_norm",
}

LAYERS = {
    "encoder": ("whisper.layers.layers", WHISPER_LAYER),
    "speech_transformer": ("connector.layers", CONNECTOR_LAYER),
}

COPIES = {"embed_tokens.weight": f"{LLM}model.embed_tokens.weight", "lm_head.weight": f"{LLM}lm_head.weight"}
"""Second names of the language model's weights."""

DROPPED = {
    r"ln_speech\.(weight|bias)": "never called",
    r"speaker_head\.(weight|bias)": "of a speech decoder",
    r"speech_transformer\.embed\.pos_enc\.pe": "sinusoids, computed here",
    r".*\.rotary_emb\.inv_freq": "computed here",
    "|".join(re.escape(name) for name in COPIES): "a copy",
}
"""Weights that are not needed, and why."""


@dataclass(frozen=True)
class Names:
    """The names of a checkpoint, sorted.

    Attributes:
        used: our name by theirs.
        dropped: reason by theirs.
        targets: names of the linear layers that have adapters.
    """

    used: dict[str, str]
    dropped: dict[str, str]
    targets: list[str]


def rename(theirs: Iterable[str], path: Path) -> Names:
    """Sort the names of a checkpoint.

    Args:
        theirs: all of them.
        path: the file, for messages.

    Raises:
        ValueError: a name is unknown, or a part of the system is missing.
    """
    theirs = list(theirs)
    adapted = {name.partition(".lora_A.")[0] for name in theirs if ".lora_A." in name}
    used, dropped = {}, {}
    for name in theirs:
        reason = next((why for pattern, why in DROPPED.items() if re.fullmatch(pattern, name)), None)
        ours = None if reason else _ours(name, adapted)
        if reason:
            dropped[name] = reason
        elif ours:
            used[name] = ours
        else:
            raise ValueError(f"{path}: {name} is unknown; choose a checkpoint of C²SER")
    for part in ("encoder.embed.conv.0.weight", "speech_transformer.embed.out.0.weight", *WHOLE):
        if part not in used and part != "encoder.embed.pos_enc.pe":
            raise ValueError(f"{path}: {part} is missing; choose a checkpoint of C²SER")
    if not adapted:
        raise ValueError(f"{path}: no adapters ({LLM}….lora_A) in it; choose a checkpoint of C²SER")
    return Names(used, dropped, sorted({module.rpartition(".")[2] for module in adapted}))


def _ours(name: str, adapted: set[str]) -> str | None:
    if name in WHOLE:
        return WHOLE[name]
    if name.startswith(LLM):
        return "language.llm." + _adapted_name(name, adapted).removeprefix(LLM)
    module, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    if module in PREFIXES:
        return f"{PREFIXES[module]}.{kind}"
    layer = re.fullmatch(r"(encoder|speech_transformer)\.encoders\.(\d+)\.(.+)", module)
    if layer:
        target, modules = LAYERS[layer[1]]
        return f"{target}.{layer[2]}.{modules[layer[3]]}.{kind}" if layer[3] in modules else None
    return None


def _adapted_name(name: str, adapted: set[str]) -> str:
    """Return the name of a weight with an adapter; older versions of peft did not rename it."""
    module, _, kind = name.rpartition(".")
    return f"{module}.base_layer.{kind}" if module in adapted else name
