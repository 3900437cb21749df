"""For tests: tiny random audio language models of real classes, with their real processors, and a tiny SenseVoice."""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "initializer_range": 0.3, "model_type": "qwen2",
}  # fmt: skip
AUDIO = {"num_mel_bins": 128}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'audio' %}<sound>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _tokenizer(*special):
    from transformers import PreTrainedTokenizerFast

    special = ["<|im_end|>", "<|endoftext|>", "<|im_start|>", *special]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*special, *alphabet])}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=special[0], pad_token=special[1], extra_special_tokens=special[2:]
    )


def make_qwen2_audio(folder):
    """Write a tiny random Qwen2-Audio."""
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    tokenizer = _tokenizer("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    torch.manual_seed(0)
    encoder = {**AUDIO, "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    config = Qwen2AudioConfig(
        audio_config=encoder, text_config={**TEXT, "vocab_size": len(tokenizer)}, audio_token_index=3
    )
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config.update(eos_token_id=[0, 1], do_sample=True, temperature=0.7, top_k=20)
    model.save_pretrained(folder)
    Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=128), tokenizer).save_pretrained(folder)


def make_flamingo(folder):
    """Write a tiny random Audio Flamingo 3."""
    from transformers import (
        AudioFlamingo3Config,
        AudioFlamingo3ForConditionalGeneration,
        AudioFlamingo3Processor,
        WhisperFeatureExtractor,
    )

    tokenizer = _tokenizer("<sound>")
    torch.manual_seed(0)
    encoder = {**AUDIO, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = AudioFlamingo3Config(
        audio_config=encoder, text_config={**TEXT, "vocab_size": len(tokenizer)}, audio_token_id=3
    )
    AudioFlamingo3ForConditionalGeneration(config).save_pretrained(folder)
    extractor = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    AudioFlamingo3Processor(extractor, tokenizer, chat_template=CHAT).save_pretrained(folder)


def make_omni(folder):
    """Write a tiny random thinker of Qwen2.5-Omni; its processor needs torchvision."""
    import transformers as t

    names = ["audio_token", "image_token", "video_token", "audio_bos_token", "audio_eos_token", "vision_bos_token",
             "vision_eos_token"]  # fmt: skip
    special = [
        "<|AUDIO|>",
        "<|IMAGE|>",
        "<|VIDEO|>",
        "<|audio_bos|>",
        "<|audio_eos|>",
        "<|vision_bos|>",
        "<|vision_eos|>",
    ]
    tokenizer = _tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": dict(zip(names, special, strict=True))})
    ids = tokenizer.convert_tokens_to_ids(special)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    text = {**TEXT, "vocab_size": len(tokenizer), "head_dim": 8, "rope_parameters": rope, "rope_scaling": rope}
    text.pop("model_type")
    encoder = {**AUDIO, "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
               "output_dim": 16}  # fmt: skip
    torch.manual_seed(0)
    config = t.Qwen2_5OmniThinkerConfig(
        audio_config=encoder, text_config=text, pad_token_id=1, audio_token_index=ids[0], image_token_index=ids[1],
        video_token_index=ids[2], audio_start_token_id=ids[3], audio_end_token_id=ids[4],
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 16},
    )  # fmt: skip
    t.Qwen2_5OmniThinkerForConditionalGeneration(config).save_pretrained(folder)
    t.Qwen2_5OmniProcessor(
        image_processor=t.Qwen2VLImageProcessor(), video_processor=t.Qwen2VLVideoProcessor(), tokenizer=tokenizer,
        feature_extractor=t.WhisperFeatureExtractor(feature_size=128, chunk_length=300, return_attention_mask=True),
        chat_template=CHAT.replace("<sound>", "<|audio_bos|><|AUDIO|><|audio_eos|>"),
    ).save_pretrained(folder)  # fmt: skip


def make_sensevoice(folder):
    """Write the files of a SenseVoice of random weights, of the true sizes but with few and thin layers."""
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def add(name, *shape):
        weights[name] = torch.randn(*shape, generator=generator) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.1)

    for part in ("encoders0.0", "encoders.0", "tp_encoders.0"):
        size, prefix = 560 if part == "encoders0.0" else 512, f"encoder.{part}."
        for norm, width in (("norm1", size), ("norm2", 512)):
            add(f"{prefix}{norm}.weight", width)
            add(f"{prefix}{norm}.bias", width)
        for name, shape in (("self_attn.linear_q_k_v", (1536, size)), ("self_attn.linear_out", (512, 512)),
                            ("feed_forward.w_1", (8, 512)), ("feed_forward.w_2", (512, 8))):  # fmt: skip
            add(f"{prefix}{name}.weight", *shape)
            add(f"{prefix}{name}.bias", shape[0])
        add(f"{prefix}self_attn.fsmn_block.weight", 512, 1, 11)
    for norm in ("after_norm", "tp_norm"):
        add(f"encoder.{norm}.weight", 512)
        add(f"encoder.{norm}.bias", 512)
    add("embed.weight", 16, 560)
    add("ctc.ctc_lo.weight", 25055, 512)
    add("ctc.ctc_lo.bias", 25055)
    weights["ctc.ctc_lo.weight"] = weights["ctc.ctc_lo.weight"].half()  # the file is 25 MB instead of 50
    folder.mkdir(parents=True)
    torch.save(weights, folder / "model.pt")
    numbers = [" ".join(f"{x:.4f}" for x in row) for row in np.random.default_rng(0).uniform(0.1, 0.2, (2, 560))]
    rows = [
        f"<{name}> 560 560\n<LearnRateCoef> 0 [ {row} ]"
        for name, row in zip(("AddShift", "Rescale"), numbers, strict=True)
    ]
    (folder / "am.mvn").write_text("\n".join(["<Nnet>", "<Splice> 560 560", "[ 0 ]", *rows, "</Nnet>"]))
