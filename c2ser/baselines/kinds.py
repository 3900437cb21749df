"""The baselines by their kinds."""

from pathlib import Path

from c2ser.baselines.answers import Answerer
from c2ser.baselines.audio_llm import AudioLlm
from c2ser.baselines.audio_server import AudioServer
from c2ser.baselines.cascade import Cascade
from c2ser.baselines.class_answers import load_audio_classifier, load_emotion2vec
from c2ser.baselines.classifier import ClassifierAnswers
from c2ser.baselines.config import ASKED, BaselineConfig
from c2ser.baselines.instructions import Instructions
from c2ser.baselines.sensevoice import SenseVoice
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.head_model import HeadModel


def load_baseline(
    config: BaselineConfig, labels: LabelSet = SEVEN, wording: int = 0, data: str | Path | None = None
) -> Answerer:
    """Load what a configuration asks for.

    Args:
        config: the baseline.
        labels: the classes of the data; a cascade names them, a classifier those that it has learnt, and all others the
            seven emotions alone.
        wording: 0 asks as `config` says, 1 to 10 in other words.
        data: the data directory, for instructions that tell of its tables.

    Raises:
        ValueError: a model is missing, of another kind or damaged, or it cannot be asked in other words.
        FileNotFoundError: the data directory lacks a table that the instruction tells of.
    """
    if wording and config.kind not in ASKED:
        raise ValueError(f"wording: nobody asks a baseline of the kind {config.kind}; leave --wording out")
    if labels != SEVEN and config.kind not in ("cascade", "classifier"):
        raise ValueError(f"{config.kind}: names the seven emotions alone; leave this baseline out for other classes")
    match config.kind:
        case "cascade":
            return Cascade.from_pretrained(config, labels)
        case "audio_llm":
            return AudioLlm.from_pretrained(config, Instructions(config, wording, data))
        case "server":
            return AudioServer(config, Instructions(config, wording, data))
        case "sensevoice":
            return SenseVoice.from_pretrained(config)
        case "emotion2vec":
            return load_emotion2vec(config)
        case "audio_classifier":
            return load_audio_classifier(config)
    if config.model is None:
        raise ValueError("baseline.model: the classifier's folder is missing; give that of c2ser finetune")
    return ClassifierAnswers(HeadModel.from_pretrained(config.model))
