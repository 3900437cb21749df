"""A C²SER model to use: read from a folder, asked for the emotion in speech, written to a folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch

from c2ser.cot.prompts import Style
from c2ser.devices import move
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.acoustic import load_acoustic
from c2ser.model.c2ser_network import C2SERNetwork
from c2ser.model.config import C2SERConfig, DecodeConfig
from c2ser.model.folder import load_network, read_temperature, save_network
from c2ser.model.hub import find_model
from c2ser.model.llm_loading import load_llm
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import WhisperEncoder
from c2ser.model.recognition import recognise
from c2ser.model.vllm_engine import VllmEngine
from c2ser.recordings.results import Recogniser, Recognition
from c2ser.recordings.speech_model import SpeechModel, check_language


class C2SER(SpeechModel):
    """A C²SER model; `from_pretrained` reads a trained one, `build` makes a new one of trained parts.

    Args:
        network: the network.
        temperature: divides the log-probabilities of the classes; fitted on a validation set.
        folder: where it was read from, None if nowhere.
    """

    def __init__(self, network: C2SERNetwork, temperature: float = 1.0, folder: Path | None = None) -> None:
        self.network, self.temperature, self.folder = network, temperature, folder
        self.classes = network.labels.names

    @classmethod
    def build(cls, config: C2SERConfig, labels: LabelSet = SEVEN, mapped: bool = False) -> "C2SER":
        """Make a model of trained parts, for these classes; the connector and the adapters are new.

        Args:
            config: its settings.
            labels: its classes.
            mapped: see `load_llm`.
        """
        whisper = WhisperEncoder.from_pretrained(config.whisper, config.whisper_dropout) if config.whisper else None
        if whisper and config.whisper_layers is not None:
            whisper.cut(config.whisper_layers)
        acoustic = load_acoustic(config.emotion2vec, config.acoustic) if config.emotion2vec else None
        llm, tokenizer = load_llm(config.llm, config.llm_dtype, mapped)
        language = LanguageModel(llm, tokenizer, config.lora, config.chat_template, config.end_token)
        return cls(C2SERNetwork(config, whisper, acoustic, language, labels=labels))

    @classmethod
    def from_pretrained(cls, model: str | Path, device: str = "cpu") -> "C2SER":
        """Read a trained model.

        Args:
            model: its folder, or an id of the Hugging Face hub; see `c2ser.model.hub.find_model`.
            device: "cpu", "cuda", …; "auto" takes a GPU where there is one.

        Raises:
            ValueError: there is no C²SER model, or a damaged one; or no such device.
        """
        folder = find_model(model)
        return move(cls(load_network(folder), read_temperature(folder), folder), device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model to a folder, without the temperature: `calibrate` fits one to the weights that are there.

        Raises:
            ValueError: a weight is NaN or infinite.
        """
        save_network(self.network, folder)

    @property
    def config(self) -> C2SERConfig:
        """The settings of the network."""
        return self.network.config

    def to(self, device: str | torch.device) -> "C2SER":
        """Move the model to a device and return it."""
        self.network.to(device)
        return self

    def recognise(
        self,
        waves: Mapping[str, np.ndarray],
        languages: Mapping[str, str | None],
        config: DecodeConfig,
        answers: bool = True,
        engine: VllmEngine | None = None,
    ) -> dict[str, Recognition]:
        """Recognise the emotions in waveforms by utterance; see `c2ser.model.recognition.recognise`."""
        return recognise(self.network, waves, languages, config, answers, self.temperature, engine)

    def start_engine(self, config: DecodeConfig) -> VllmEngine | None:
        """Return what writes the answers in place of the model's own network, None if nothing does.

        Raises:
            ValueError: the model was read from no folder.
        """
        if config.engine == "transformers":
            return None
        if self.folder is None:
            raise ValueError("vLLM reads models from folders; save this one, and load it with from_pretrained")
        return VllmEngine(self.network, self.folder / "vllm", config)

    def recogniser(
        self,
        language: str | None = None,
        style: str | None = None,
        answers: bool = True,
        decode: DecodeConfig | None = None,
    ) -> Recogniser:
        """Return the function that recognises emotions; see `SpeechModel.recogniser`."""
        if style is not None and style not in get_args(Style):
            raise ValueError(f"style {style!r}: no chain of thought of C²SER; give {' or '.join(get_args(Style))}")
        config = decode or DecodeConfig()
        config = replace(config, style=cast(Style | None, style) or config.style or self.config.style)
        if config.engine != "transformers":
            raise ValueError(f"engine {config.engine}: answers data directories, in c2ser decode; leave it out here")
        if config.style == "explicit" and not answers:
            raise ValueError("probabilities of explicit models follow from their answers; let them answer")
        code = check_language(language)
        return lambda waves: self.recognise(waves, dict.fromkeys(waves, code), config, answers)
