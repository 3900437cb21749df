"""Small random models in the formats of the large ones, for machines without a GPU or a hub."""

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import torch
from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, WhisperConfig, WhisperModel

from c2ser.cot.prompts import INSTRUCTIONS
from c2ser.log import get_logger
from c2ser.model.config import TinyLlm, TinyWhisper
from c2ser.tables import read_table
from c2ser.tensors import whole_folder

logger = get_logger(__name__)

PAD, UNKNOWN, END = "<|pad|>", "<unk>", "<|endoftext|>"
SPACE = "\u2581"
"""What SentencePiece writes for a space."""


TEXTS = ("cot_explicit", "cot_implicit")
"""The tables of a data directory that the tokenizer learns from."""


def make_tiny_models(data: str | Path, out: str | Path, whisper: TinyWhisper, llm: TinyLlm, seed: int) -> None:
    """Write `<out>/whisper` and `<out>/llm`; the same inputs give the same files.

    Args:
        data: data directory; the tokenizer learns from its chains of thought and from the instructions.
        out: the folder.
        whisper: sizes.
        llm: sizes.
        seed: decides the random weights.

    Raises:
        ValueError: there are no texts, or they hold more characters than the vocabulary takes.
    """
    tables = [path for name in TEXTS if (path := Path(data) / name).exists()]
    if not tables:
        raise ValueError(f"{data}: no chains of thought; run stage 3 first")
    sentences = [text for table in tables for text in read_table(table).values() if text]
    sentences += [text for texts in INSTRUCTIONS.values() for text in texts]
    tokenizer = train_tokenizer(sentences, llm.vocabulary)
    torch.manual_seed(seed)
    with whole_folder(Path(out) / "whisper") as folder:
        WhisperModel(_whisper_config(whisper)).save_pretrained(folder)
    with whole_folder(Path(out) / "llm") as folder:
        tokenizer.save_pretrained(folder)
        Qwen2ForCausalLM(_llm_config(llm, tokenizer)).save_pretrained(folder)
    logger.info("%s: whisper and llm with %d tokens", out, len(tokenizer))


def _whisper_config(sizes: TinyWhisper) -> WhisperConfig:
    return WhisperConfig(
        d_model=sizes.dim, num_mel_bins=sizes.bins, vocab_size=8, dropout=0.0,
        encoder_layers=sizes.layers, encoder_attention_heads=sizes.heads, encoder_ffn_dim=4 * sizes.dim,
        decoder_layers=1, decoder_attention_heads=sizes.heads, decoder_ffn_dim=sizes.dim, max_target_positions=8,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip


def _llm_config(sizes: TinyLlm, tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=sizes.dim, intermediate_size=4 * sizes.dim,
        num_hidden_layers=sizes.layers, num_attention_heads=sizes.heads, num_key_value_heads=max(1, sizes.heads // 2),
        max_position_embeddings=2048, initializer_range=sizes.init_std, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip


def train_tokenizer(sentences: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a SentencePiece model and wrap it as a tokenizer that `AutoTokenizer` loads.

    Decoding gives the exact text: nothing is normalised, spaces are part of the pieces, unseen characters become bytes.

    Args:
        sentences: texts in any languages.
        vocabulary: tokens at most.

    Raises:
        ValueError: the texts hold more characters than the vocabulary takes.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=model, vocab_size=vocabulary, hard_vocab_limit=False,
            byte_fallback=True, character_coverage=0.9995, normalization_rule_name="identity",
            add_dummy_prefix=False, remove_extra_whitespaces=False, num_threads=1, minloglevel=2,
            pad_id=0, unk_id=1, eos_id=2, bos_id=-1, pad_piece=PAD, unk_piece=UNKNOWN, eos_piece=END,
        )  # fmt: skip
    except RuntimeError as error:
        reason = str(error).rsplit("] ", 1)[-1]
        raise ValueError(f"no tokenizer of {vocabulary} tokens ({reason}); raise llm.vocabulary") from None
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    fast = Tokenizer(Unigram(scored, unk_id=1, byte_fallback=True))
    fast.normalizer = normalizers.Replace(" ", SPACE)
    fast.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    fast.add_special_tokens([AddedToken(token, normalized=False) for token in (PAD, UNKNOWN, END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, clean_up_tokenization_spaces=False
    )
