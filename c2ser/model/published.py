"""The authors' checkpoint (`C2SER_llm.pt`, `C2SER_model.pt`) as a model folder that computes the same.

Every weight of the file is used, dropped for a reason given here, or an error that names it.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor
from transformers import PreTrainedModel, WhisperConfig

from c2ser.cot.prompts import Style
from c2ser.emotion2vec.convert import load_model
from c2ser.log import get_logger, one_line
from c2ser.model.acoustic import AcousticEncoder
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, ConnectorConfig, Dtype, LoraSettings
from c2ser.model.connector import positions
from c2ser.model.folder import load_weights, save_network
from c2ser.model.llm_loading import empty_llm, load_llm, load_tokenizer
from c2ser.model.lm import LanguageModel
from c2ser.model.model_card import format_card
from c2ser.model.perception import WhisperEncoder
from c2ser.model.published_names import COPIES, Names, rename
from c2ser.pretrained import read_sizes, readable
from c2ser.tables import write_text
from c2ser.tensors import whole_folder

logger = get_logger(__name__)

END_TOKEN, END_ID = "<|endoftext|>", 151643
"""What ends an answer, and its number in the vocabulary of Qwen2."""

ALPHA = 32
"""Scale of the adapters; it does not follow from their weights."""

BOUNDARIES = [4097, 4098]
"""The rows of the speech embeddings before and after the speech; the others belong to a speech decoder."""

WHISPER_POSITIONS = "whisper.layers.embed_positions.weight"
EMBEDDINGS, HEAD = "language.llm.model.embed_tokens.weight", "language.llm.lm_head.weight"

NOTES = """## Published mode

Converted from the authors' checkpoint. It computes what their code computes, with its peculiarities:

- Its acoustic vectors are the first ten frames of Emotion2Vec-S, not its utterance tokens, from waveforms that are
  not normalised, and padded with zeros. Most of those frames lie in the first tenths of a second and are nearly zero.
- Answers are in lower case; prompts are plain text, without a chat template.
- Their code searches with four beams (`local/conf/decode_published.yaml`) and never turns dropout off, so that its
  answers change from run to run. Here dropout is off, and the default search is greedy.
"""


@dataclass(frozen=True)
class Sources:
    """What the checkpoint does not hold.

    Attributes:
        llm: folder or hub id of its language model, for sizes and tokenizer; for weights too where the file has none.
        whisper: folder or hub id of its Whisper, for sizes.
        emotion2vec: Emotion2Vec-S: the published `checkpoint.pt`, or a model folder.
    """

    llm: str
    whisper: str
    emotion2vec: Path


def convert(checkpoint: str | Path, sources: Sources, style: Style, out: str | Path) -> None:
    """Write the model folder of a published checkpoint, complete or not at all.

    Args:
        checkpoint: the file; a DeepSpeed state with the weights under "module" will do.
        sources: what it does not hold.
        style: the chain of thought that the checkpoint was trained on last.
        out: the new folder.

    Raises:
        ValueError: `out` exists, the file is no such checkpoint, or a weight is missing, unknown or of another shape.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if out.exists():
        raise ValueError(f"{out}: exists; choose a new folder, or remove it first")
    weights = read_flat(checkpoint)
    names = rename(weights, checkpoint)
    tensors = {ours: weights[theirs] for theirs, ours in names.used.items()}
    tensors["connector.boundaries"] = _boundaries(weights, checkpoint)
    _check_dropped(weights, names, checkpoint)
    network = _build(tensors, names, sources, style)
    tensors = _completed(network, tensors, checkpoint)
    _check_shapes(network, tensors, names, checkpoint)
    load_weights(network, tensors, checkpoint)
    with whole_folder(out) as temporary:
        save_network(network, temporary)
        write_text(temporary / "README.md", format_card(network.config, network.llm_inside, notes=NOTES))
    logger.info("%s: %d weights used, %d dropped; written to %s", checkpoint, len(names.used), len(names.dropped), out)


def read_flat(path: Path) -> dict[str, Tensor]:
    """Read a file of weights by name; nothing in it is run.

    Raises:
        ValueError: no such file, damaged, or it holds something else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; download the checkpoint first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a broken file makes torch raise nearly anything
        # torch's own message for foreign objects would advise to run them
        foreign = type(error).__name__ == "UnpicklingError"
        reason = "foreign objects in it" if foreign else one_line(error, 160)
        raise ValueError(f"{path}: not a readable checkpoint ({reason}); download it again") from None
    while isinstance(content, dict) and isinstance(content.get("module"), dict):
        content = content["module"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path}: holds other things than weights by name; choose another file")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _boundaries(weights: Mapping[str, Tensor], path: Path) -> Tensor:
    table = weights["speech_token_emded.weight"]
    if len(table) <= max(BOUNDARIES):
        raise ValueError(f"{path}: speech_token_emded.weight has {len(table)} rows, not {max(BOUNDARIES)} and more; "
                         "choose a checkpoint of C²SER")  # fmt: skip
    return table[BOUNDARIES]


def _check_dropped(weights: Mapping[str, Tensor], names: Names, path: Path) -> None:
    """Check that what is dropped as a copy, or as sinusoids, is one."""
    for theirs, ours in COPIES.items():
        if theirs in weights and ours in weights and not torch.equal(weights[theirs], weights[ours]):
            raise ValueError(f"{path}: {theirs} is no copy of {ours}; choose another file")
    table = weights.get("speech_transformer.embed.pos_enc.pe")
    if table is not None and (table[0].float() - positions(*table.shape[1:])).abs().max() > 0.01:
        raise ValueError(f"{path}: speech_transformer.embed.pos_enc.pe holds no sinusoids; choose another file")
    for reason in dict.fromkeys(names.dropped.values()):
        dropped = [name for name, why in names.dropped.items() if why == reason]
        logger.info("dropped (%s): %s", reason, ", ".join(dropped[:4]) + (", …" if len(dropped) > 4 else ""))


def _build(tensors: Mapping[str, Tensor], names: Names, sources: Sources, style: Style) -> C2SERNetwork:
    """Build the network, without the weights that the checkpoint has."""
    encoder = load_model(sources.emotion2vec)
    encoder.config.normalize = False
    adapters = [name for name in tensors if ".lora_A." in name]
    lora = LoraSettings(r=len(tensors[adapters[0]]), alpha=ALPHA, targets=names.targets)
    base = [tensor for name, tensor in tensors.items() if _of_llm(name)]
    dtype: Dtype = "bfloat16" if (base or [tensors[adapters[0]]])[0].dtype == torch.bfloat16 else "float32"
    config = C2SERConfig(
        whisper=sources.whisper, emotion2vec=str(sources.emotion2vec), acoustic="first-frames",
        connector=_connector(tensors), llm=sources.llm, lora=lora, end_token=END_TOKEN, lower_case=True, style=style,
        llm_dtype=dtype,
    )  # fmt: skip
    with readable(sources.whisper, "Whisper", "download it again"):
        sizes = WhisperConfig.from_pretrained(sources.whisper, trust_remote_code=False, dropout=config.whisper_dropout)
    whisper = WhisperEncoder(sizes)
    llm, tokenizer = _language_model(config, bool(base)), load_tokenizer(sources.llm)
    language = LanguageModel(llm, tokenizer, lora, chat_template=False, end_token=END_TOKEN)
    if llm.config.vocab_size > END_ID and language.end != END_ID:
        raise ValueError(f"{sources.llm}: {END_TOKEN} is {language.end} in its tokenizer, not {END_ID}; "
                         "give the language model that the checkpoint was trained with")  # fmt: skip
    return C2SERNetwork(config, whisper, AcousticEncoder(encoder, config.acoustic), language, llm_inside=bool(base))


def _of_llm(name: str) -> bool:
    """Return whether a weight, by our name, is the language model's own."""
    return name.startswith("language.") and ".lora_" not in name


def _language_model(config: C2SERConfig, inside: bool) -> PreTrainedModel:
    if not inside:
        return load_llm(config.llm, config.llm_dtype)[0]
    sizes = read_sizes(config.llm, "language model")
    with init_empty_weights():
        llm = empty_llm(sizes, config.llm_dtype)
    llm.tie_weights()
    return llm


def _connector(tensors: Mapping[str, Tensor]) -> ConnectorConfig:
    dim = len(tensors["connector.enter.weight"])
    layers = {name.split(".")[2] for name in tensors if name.startswith("connector.layers.")}
    feed_forward = len(tensors["connector.layers.0.up_proj.weight"])
    return ConnectorConfig(dim=dim, layers=len(layers), feed_forward=feed_forward, acoustic="pad")


def _completed(network: C2SERNetwork, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return tensors in the precision in which they are used, with those that the checkpoint lacks."""
    dtype = getattr(torch, network.config.llm_dtype)
    completed = {name: tensor.to(dtype if _of_llm(name) else torch.float32) for name, tensor in tensors.items()}
    if WHISPER_POSITIONS in completed:
        completed[WHISPER_POSITIONS] = completed[WHISPER_POSITIONS].squeeze(0)
    defaults = network.state_dict()
    completed |= {name: tensor for name, tensor in defaults.items() if name.startswith("acoustic.")}
    completed.setdefault(WHISPER_POSITIONS, defaults[WHISPER_POSITIONS])
    if network.language.llm.config.tie_word_embeddings and (head := completed.pop(HEAD, None)) is not None:
        if not torch.equal(head, completed[EMBEDDINGS]):
            raise ValueError(f"{path}: its head is no copy of its embeddings, as it is in --llm; check --llm")
    return completed


def _check_shapes(network: C2SERNetwork, tensors: Mapping[str, Tensor], names: Names, path: Path) -> None:
    """Refuse weights that do not fit the sizes of the models given, under the names that the file has for them."""
    theirs = {ours: name for name, ours in names.used.items()}
    expected = network.state_dict()
    for name, tensor in tensors.items():
        their_name = theirs.get(name, name)
        if name not in expected:
            raise ValueError(f"{path}: {their_name} is unknown to the models given; check --llm and --whisper")
        if tensor.shape != expected[name].shape:
            shape = tuple(expected[name].shape)
            raise ValueError(
                f"{path}: {their_name} is {tuple(tensor.shape)}, but the models given ask for {shape}; "
                "check --llm and --whisper"
            )
