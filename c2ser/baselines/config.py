"""Settings of baselines; importing them loads no model library."""

from dataclasses import dataclass, field
from typing import Literal

from c2ser.chat.config import ServerConfig
from c2ser.cot.config import Style
from c2ser.model.config import Dtype

Kind = Literal["cascade", "classifier", "audio_llm", "server", "sensevoice", "emotion2vec", "audio_classifier"]
"""What answers; `BaselineConfig` says what each is."""

VoxEmo = Literal["direct", "transcript", "attributes", "both", "reasoning"]
"""The prompts of VoxEmo: the recording alone; with its transcript; with its attributes; with both; and then reasons
first."""

MAX_SECONDS = 3600.0
"""Seconds of an utterance that any kind takes, at most, as everywhere."""

ASKED: tuple[Kind, ...] = ("audio_llm", "server")
"""The kinds that get an instruction, and so can be asked in other words."""


@dataclass
class BaselineConfig:
    """A baseline that answers.

    Attributes:
        kind: cascade: Whisper writes the words down, and a language model names their emotion; classifier: a model of
            `c2ser finetune`; audio_llm: a language model of transformers that takes speech; server: one
            behind an OpenAI-compatible server; sensevoice: SenseVoice-Small; emotion2vec: one with a classifier, such
            as emotion2vec+ large; audio_classifier: any AutoModelForAudioClassification of transformers.
        model: its folder or hub id; server: the name that the server knows it by.
        whisper: cascade: Whisper model, folder or hub id; a path in tools/models is looked for in the project.
        llm: cascade: causal language model with a chat template; likewise.
        llm_dtype: cascade: precision of the language model's weights.
        batch_seconds: padded audio in one batch, at most.
        batch_utterances: utterances in one batch, at most.
        prompt: audio_llm, server: the instruction; {transcript}, {pitch}, {loudness} and {rate} in it are filled from
            `text` and `utt2level`.
        style: audio_llm, server: ask what C²SER is asked, the instruction of this style, in place of `prompt`.
        voxemo: audio_llm, server: ask as VoxEmo does, with what its prompt of this name tells beside the recording, in
            place of `prompt`.
        system: audio_llm, server: the turn before it that tells the model what it is; none if empty.
        template: audio_llm: the whole input, with {prompt} in it and the model's own mark of audio, for models that
            were not trained for chats; by default the chat template that came with the model.
        loader: audio_llm: class of transformers that loads the model, where the automatic choice is not the right one.
        adapter: audio_llm: subfolder of an adapter that the model hears with.
        dtype: audio_llm: precision of the weights.
        max_new_tokens: audio_llm, server: an answer has so many tokens at most.
        label_scores: audio_llm: compute probabilities of the seven emotions, too.
        longest: audio_llm, server, sensevoice: seconds that the model takes; longer utterances are rejected.
        ban_unknown: sensevoice: whether it has to name an emotion (its own `ban_emo_unk`), or may say "unknown".
        labels: audio_classifier: our emotion by the model's class, for classes with other names than usual.
        server: server: how it is asked.
    """

    kind: Kind = "cascade"
    model: str | None = None
    whisper: str = "tools/models/whisper-base"
    llm: str = "tools/models/smollm2-135m-instruct"
    llm_dtype: Dtype = "float32"
    batch_seconds: float = 120.0
    batch_utterances: int = 16
    prompt: str = "Recognize the emotion with keywords in English:"
    style: Style | None = None
    voxemo: VoxEmo | None = None
    system: str = ""
    template: str | None = None
    loader: str | None = None
    adapter: str | None = None
    dtype: Dtype = "bfloat16"
    max_new_tokens: int = 64
    label_scores: bool = True
    longest: float = 30.0
    ban_unknown: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    server: ServerConfig = field(default_factory=ServerConfig)

    @property
    def scored(self) -> bool:
        """Whether the answers come with probabilities; a server gives text alone, and reasons come before a label."""
        if self.kind == "audio_llm":
            return self.label_scores and self.voxemo != "reasoning"
        return self.kind != "server"

    @property
    def longest_taken(self) -> float:
        """Seconds of an utterance, at most; the other kinds cut long speech into pieces themselves."""
        return self.longest if self.kind in ("audio_llm", "server", "sensevoice") else MAX_SECONDS
