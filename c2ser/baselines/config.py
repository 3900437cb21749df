"""Settings of baselines; importing them loads no model library."""

from dataclasses import dataclass
from typing import Literal

from c2ser.model.config import Dtype

Kind = Literal["cascade", "classifier"]
"""Whisper writes the words down and a language model names their emotion; or an encoder with a head."""


@dataclass
class BaselineConfig:
    """A baseline that answers.

    Attributes:
        kind: cascade: Whisper writes the words down, and a language model names their emotion; classifier: a
            model of `c2ser finetune`.
        model: classifier: its folder.
        whisper: cascade: Whisper model, folder or hub id; a path in tools/models is looked for in the project.
        llm: cascade: causal language model with a chat template; likewise.
        llm_dtype: cascade: precision of the language model's weights.
        batch_seconds: padded audio in one batch, at most.
        batch_utterances: utterances in one batch, at most.
    """

    kind: Kind = "cascade"
    model: str | None = None
    whisper: str = "tools/models/whisper-base"
    llm: str = "tools/models/smollm2-135m-instruct"
    llm_dtype: Dtype = "float32"
    batch_seconds: float = 120.0
    batch_utterances: int = 16
