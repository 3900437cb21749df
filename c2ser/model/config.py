"""Settings of the C²SER model and of decoding; importing them loads no model library."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from c2ser.cot.config import Style
from c2ser.emotion2vec.config import Level

Dtype = Literal["float32", "bfloat16"]

Padding = Literal["exact", "30s"]
"""Length of the spectrogram that Whisper gets: the utterance's own, or 30 s with silence at the end."""

Part = Literal["whisper", "connector", "lora", "llm"]
"""The parts of a model that can be trained."""

Engine = Literal["transformers", "vllm"]
"""What writes the answers."""

Tuning = Literal["frozen", "lora", "full"]
"""What of an encoder under a head is trained: nothing, adapters beside its weights, or all of it."""

AcousticProjection = Literal["auto", "pad", "linear"]


@dataclass
class ConnectorConfig:
    """Sizes of the connector.

    Attributes:
        kind: the paper's Transformer layers, or a Q-Former as in SECap, a fixed number of vectors for any utterance.
        dim: size of its vectors.
        layers: Transformer layers.
        heads: attention heads.
        feed_forward: inner size of the feed-forward modules.
        dropout: share of values dropped in training.
        strides: of the convolutions on Whisper's states; the default turns 50 vectors per second into 12.5.
        acoustic: how acoustic vectors get the size `dim`: "pad" adds zeros (as published), "linear" learns a
            projection, "auto" pads smaller vectors and learns a projection for larger ones.
        queries: qformer: vectors for an utterance or a window.
        window: qformer: seconds of a window, as in SALMONN; 0 takes the whole utterance at once, as in SECap.
    """

    kind: Literal["transformer", "qformer"] = "transformer"
    dim: int = 1024
    layers: int = 4
    heads: int = 4
    feed_forward: int = 2560
    dropout: float = 0.1
    strides: tuple[int, ...] = (1, 2, 2)
    acoustic: AcousticProjection = "auto"
    queries: int = 32
    window: float = 0.0


@dataclass
class LoraSettings:
    """LoRA adapters (section V.A; the targets are those of the published checkpoint).

    Attributes:
        r: rank; 0 adds no adapters.
        alpha: scale.
        dropout: on the adapters' input.
        targets: names of the linear layers that get an adapter.
    """

    r: int = 8
    alpha: int = 32
    dropout: float = 0.1
    targets: list[str] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]
    )


@dataclass
class C2SERConfig:
    """The parts of a model; the defaults are the paper's (section V.A).

    Attributes:
        whisper: Whisper model, folder or hub id; null for a model without Whisper.
        emotion2vec: folder of an Emotion2Vec-S model; null for a model without it. Or, as in SECap, a folder or hub id
            of HuBERT, WavLM or another encoder of waveforms of transformers, then with `acoustic` frame or utterance.
        acoustic: which of its vectors are used: the utterance tokens (the paper's intent), the first ten frames (what
            the published features hold), the mean frame, or every frame.
        connector: sizes of the connector.
        llm: causal language model, folder or hub id.
        lora: its adapters.
        chat_template: whether prompts use the chat template of the language model.
        end_token: the token that ends an answer; null takes the tokenizer's own.
        lower_case: write answers as the published system does: in lower case, no blanks beside Chinese characters.
        trainable: the parts to train; "llm" means all weights of the language model, for tiny random ones.
        style: the chain of thought that the model is asked for.
        llm_dtype: precision of the language model's own weights; weights that are trained should be float32.
        whisper_dropout: dropout in Whisper in training (0.1 in the published configuration).
        whisper_pad: what Whisper gets: the utterance at its exact length, or padded to 30 s as published.
        whisper_layers: use only so many of Whisper's layers, the first ones, with a plain layer norm after them; null
            takes all. The middle layers of a frozen Whisper tell emotions best (docs/results.md).
        checkpointing: recompute the activations of Whisper's and the language model's layers in the backward pass;
            slower, for GPUs with little memory.
    """

    whisper: str | None = "openai/whisper-medium"
    emotion2vec: str | None = None
    acoustic: Level = "tokens"
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    llm: str = "Qwen/Qwen2-7B-Instruct"
    lora: LoraSettings = field(default_factory=LoraSettings)
    chat_template: bool = False
    end_token: str | None = None
    lower_case: bool = False
    trainable: list[Part] = field(default_factory=lambda: ["whisper", "connector", "lora"])
    style: Style = "explicit"
    llm_dtype: Dtype = "float32"
    whisper_dropout: float = 0.1
    whisper_pad: Padding = "exact"
    whisper_layers: int | None = None
    checkpointing: bool = False


@dataclass
class SearchConfig:
    """How the tokens of an answer are chosen.

    Attributes:
        beams: width of the beam search; 1 is greedy.
        sample: draw tokens at random instead of taking the most probable ones.
        top_k: draw among this many most probable tokens; 0 for all.
        top_p: draw among the most probable tokens that together have this probability; with beams, at least two.
        temperature: above 1 draws more evenly.
        repetition_penalty: makes tokens that the answer already holds less probable; 1 is off.
        seed: decides, with the utterance's id, what is drawn.
        compiled: on a GPU, compile the step from token to token, for batches and lengths that are rounded up. The first
            answers of each size take long, so this is for servers and large sets; a processor takes no notice.
    """

    beams: int = 1
    sample: bool = False
    top_k: int = 0
    top_p: float = 1.0
    temperature: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 777
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse values that transformers would accept silently, or fail on with a traceback."""
        if self.beams < 1 or not 0 <= self.top_p <= 1 or self.top_k < 0 or self.repetition_penalty <= 0:
            raise ValueError("search: no such search; set beams from 1, top_p from 0 to 1, top_k from 0")

    def options(self) -> dict[str, Any]:
        """Return the arguments for `generate` of transformers."""
        sampling = {"top_k": self.top_k, "top_p": self.top_p, "temperature": self.temperature} if self.sample else {}
        return {
            "num_beams": self.beams,
            "do_sample": self.sample,
            "repetition_penalty": self.repetition_penalty,
            **sampling,
        }


GREEDY = SearchConfig()
"""The default: the same answer on every run."""


@dataclass
class DecodeConfig(SearchConfig):
    """How answers are decoded, and how utterances are grouped into batches.

    Attributes:
        batch_seconds: padded audio in one batch, at most.
        batch_utterances: utterances in one batch, at most.
        max_new_tokens: an answer is cut off after this many tokens.
        style: the chain of thought to ask for; null takes the model's own.
        engine: what writes the answers of `c2ser decode`: transformers, or vLLM (not run on a GPU yet), hundreds at
            once, which needs pip install 'c2ser[vllm]' and room for the language model twice.
    """

    batch_seconds: float = 240.0
    batch_utterances: int = 64
    max_new_tokens: int = 400
    style: Style | None = None
    engine: Engine = "transformers"

    def __post_init__(self) -> None:
        """Refuse searches that vLLM does not know, or does otherwise: its repetition penalty counts the prompt too."""
        super().__post_init__()
        unknown = self.beams > 1 or self.repetition_penalty != 1 or (self.sample and self.top_p == 0)
        if self.engine == "vllm" and unknown:
            raise ValueError("engine vllm: knows no beams, no repetition_penalty and no top_p of 0; leave these out, "
                             "or set engine: transformers")  # fmt: skip


@dataclass
class TinyWhisper:
    """Sizes of a small Whisper.

    Attributes:
        dim: size of its states.
        layers: encoder layers.
        heads: attention heads.
        bins: mel bins.
    """

    dim: int = 128
    layers: int = 2
    heads: int = 4
    bins: int = 80


@dataclass
class TinyLlm:
    """Sizes of a small language model with Qwen2's architecture.

    Attributes:
        dim: hidden size.
        layers: decoder layers.
        heads: attention heads; half as many for keys and values.
        vocabulary: tokens, of which 256 are bytes; fewer if the texts do not give as many.
        init_std: standard deviation of the initial weights.
    """

    dim: int = 128
    layers: int = 3
    heads: int = 4
    vocabulary: int = 800
    init_std: float = 0.05


def check_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a dataclass, all of them known ones.

    Raises:
        ValueError: it has no setting of that name.
    """
    unknown = sorted(set(values) - {field.name for field in fields(kind)})
    if unknown:
        raise ValueError(f"{kind.__name__} has no setting '{unknown[0]}'")
    return dict(values)
