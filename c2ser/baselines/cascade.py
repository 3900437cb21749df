"""The cascade of section V.C: Whisper writes down what was said, and a language model names the emotion of the words.

It cannot hear how something was said. The paper prints no prompt; ours is `turns`.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, WhisperForConditionalGeneration

from c2ser import audio
from c2ser.audio import SAMPLE_RATE
from c2ser.baselines.answers import Answer
from c2ser.baselines.config import BaselineConfig
from c2ser.chat_templates import render_around
from c2ser.data.collate import pad_waves
from c2ser.data.datasets import MAX_SECONDS
from c2ser.label_sets import SEVEN, LabelSet
from c2ser.model.config import GREEDY, LoraSettings
from c2ser.model.continuations import log_probabilities
from c2ser.model.key_values import Reading
from c2ser.model.llm_loading import load_llm, load_tokenizer
from c2ser.model.lm import LanguageModel
from c2ser.model.perception import FULL_SECONDS, LogMel
from c2ser.model.search import search_tokens
from c2ser.pretrained import find_model, load_pretrained, read_sizes

MAX_TRANSCRIPT = 200
"""Tokens of up to 30 s, at most; fast speech has about 150. Without a limit Whisper can repeat a word 400 times."""

MAX_ANSWER = 16
"""Tokens of an answer, at most."""

PLACE = "<|c2ser-transcript|>"
"""Marks the position of the transcript in a chat template; the model never gets it."""

INSTRUCTION = "You name the emotion of what somebody says. You answer with one word, which is one of: {labels}."

QUESTION = "What is the emotion of this sentence?\n{transcript}"

EXAMPLES = (
    ("The train leaves at noon.", "neutral"),
    ("This food is rotten.", "disgust"),
    ("I hate you!", "anger"),
    ("I never thought that this could happen!", "surprise"),
    ("I am so glad to see you.", "happiness"),
    ("Something is following me.", "fear"),
    ("I lost my best friend.", "sadness"),
)
"""One turn for each emotion. docs/decisions.md has the wordings that were tried."""

NO_WORDS = ("N/A", "...", "[text]")
"""Transcripts that say nothing. What a model answers to them is its bias towards some labels."""


def turns(transcript: str, labels: LabelSet = SEVEN) -> list[dict[str, str]]:
    """Return the chat in which a language model names the emotion of a transcript, after examples of the seven."""
    chat = [{"role": "system", "content": INSTRUCTION.format(labels=", ".join(labels))}]
    for text, emotion in ((text, emotion) for text, emotion in EXAMPLES if emotion in labels):
        chat += [
            {"role": "user", "content": QUESTION.format(transcript=text)},
            {"role": "assistant", "content": emotion},
        ]
    return [*chat, {"role": "user", "content": QUESTION.format(transcript=transcript)}]


class Transcriber:
    """Whisper, greedy, on 30 s as it was trained.

    Args:
        model: the model.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: WhisperForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.model.generation_config.max_length = MAX_TRANSCRIPT
        self.spectrogram = LogMel(model.config.num_mel_bins)

    @classmethod
    def from_pretrained(cls, name: str) -> "Transcriber":
        """Load a Whisper model, given as folder or hub id.

        Raises:
            ValueError: there is no such model, or it is of another kind or damaged.
        """
        if (kind := read_sizes(name, "Whisper").model_type) != "whisper":
            raise ValueError(f"{name}: a model of the kind {kind}, not Whisper; choose a Whisper model")
        model = load_pretrained(WhisperForConditionalGeneration, name, "Whisper", dtype=torch.float32)
        assert isinstance(model, WhisperForConditionalGeneration)
        return cls(model, load_tokenizer(name))

    @torch.no_grad()
    def transcribe(self, waves: Sequence[np.ndarray], languages: Sequence[str | None]) -> tuple[list[str], list[int]]:
        """Write down what is said.

        Args:
            waves: mono waveforms at 16 kHz, (samples,), up to 30 s.
            languages: ISO 639-1 code of each; where Whisper does not know it, it detects the language.

        Returns:
            a transcript for each, and the number of its tokens.
        """
        device, full = self.model.device, FULL_SECONDS * SAMPLE_RATE
        padded = torch.zeros(len(waves), full)
        rows, _ = pad_waves(waves)
        padded[:, : rows.shape[1]] = rows
        mel = self.spectrogram(padded.to(device), torch.full((len(waves),), full, device=device)).values
        options = {"language": self._codes(mel, languages), "task": "transcribe"} if self._known else {}
        ids = self.model.generate(
            mel, attention_mask=torch.ones(mel.shape[0], mel.shape[2], device=device), do_sample=False, num_beams=1,
            **options,
        )  # fmt: skip
        special = {*self.tokenizer.all_special_ids}
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts], [sum(i not in special for i in row) for row in ids.tolist()]

    @property
    def _known(self) -> dict[str, int]:
        """The token of each language; empty for models that know English alone."""
        return getattr(self.model.generation_config, "lang_to_id", None) or {}

    def _codes(self, mel: Tensor, languages: Sequence[str | None]) -> list[str]:
        """Return codes that Whisper knows; the others are detected."""
        codes = [f"<|{code}|>" for code in languages]
        unknown = [row for row, code in enumerate(codes) if code not in self._known]
        if unknown:
            detected = self.tokenizer.convert_ids_to_tokens(self.model.detect_language(mel[unknown]).tolist())
            for row, code in zip(unknown, detected, strict=True):
                codes[row] = code
        return codes


class Cascade:
    """Whisper and a language model.

    Args:
        transcriber: Whisper.
        language: the language model, with a chat template.
        labels: the classes that it can name.
    """

    transcribes = True

    def __init__(self, transcriber: Transcriber, language: LanguageModel, labels: LabelSet = SEVEN) -> None:
        self.transcriber, self.language, self.labels = transcriber, language.eval(), labels
        parts = render_around(language.tokenizer, turns(PLACE, labels), PLACE, language.name)
        self.around = [self._ids(part) for part in parts]
        self.words = [[*self._ids(emotion), language.end] for emotion in labels]
        self.bias: Tensor | None = None

    @classmethod
    def from_pretrained(cls, config: BaselineConfig, labels: LabelSet = SEVEN) -> "Cascade":
        """Load both models, to name these classes.

        Raises:
            ValueError: one is missing, of another kind or damaged, or the language model has no chat template.
        """
        whisper, llm = find_model(config.whisper, "Whisper"), find_model(config.llm, "language model")
        language = LanguageModel(*load_llm(llm, config.llm_dtype), LoraSettings(r=0), chat_template=True)
        return cls(Transcriber.from_pretrained(whisper), language, labels)

    def to(self, device: torch.device | str) -> "Cascade":
        """Move both models to a device."""
        self.transcriber.model.to(device)
        self.transcriber.spectrogram.to(device)
        self.language.to(device)
        self.bias = None
        return self

    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; see `c2ser.baselines.answers.Answerer`."""
        start = time.perf_counter()
        pieces = [(name, piece) for name, wave in waves.items() for piece in audio.pieces(wave, MAX_SECONDS)]
        said: dict[str, list[str]] = {name: [] for name in waves}
        tokens = dict.fromkeys(waves, 0)
        for first in range(0, len(pieces), len(waves)):  # long speech has several pieces
            part = pieces[first : first + len(waves)]
            texts, counts = self.transcriber.transcribe([p for _, p in part], [languages.get(n) for n, _ in part])
            for (name, _), text, count in zip(part, texts, counts, strict=True):
                said[name].append(text)
                tokens[name] += count
        transcripts = {name: " ".join(filter(None, texts)) for name, texts in said.items()}
        contexts, reading = self._contexts(list(transcripts.values())), Reading()
        generated = search_tokens(self.language.llm, contexts, MAX_ANSWER, GREEDY, reading=reading)
        answers, counts = self.language.texts(generated)
        milliseconds = 1000 * (time.perf_counter() - start) / len(waves)
        rows = self._probabilities(contexts, reading)
        return {
            name: Answer(text, row, milliseconds, tokens[name] + count, transcripts[name])
            for name, text, count, row in zip(waves, answers, counts, rows, strict=True)
        }

    def _ids(self, text: str, is_data: bool = False) -> list[int]:
        """Return token ids; in what is data, such as a transcript, no special token is recognised."""
        options = {"split_special_tokens": True} if is_data else {}
        return self.language.tokenizer(text, add_special_tokens=False, **options)["input_ids"]

    @torch.no_grad()
    def _contexts(self, transcripts: Sequence[str]) -> list[Tensor]:
        """Return what the language model reads about each transcript, as embeddings (time, dim)."""
        table, (before, after) = self.language.llm.get_input_embeddings(), self.around
        rows = [[*before, *self._ids(text, is_data=True), *after] for text in transcripts]
        return [table(torch.tensor(ids, device=self.language.llm.device)) for ids in rows]

    def _probabilities(self, contexts: Sequence[Tensor], reading: Reading | None = None) -> np.ndarray:
        """Return the probabilities (batch, classes) of the emotions, freed of the model's bias towards some labels.

        Each label's probability is divided by what it has, on average, after transcripts that say nothing (contextual
        calibration, Zhao et al., 2021): small language models would otherwise nearly always name the same one. What the
        answers' `reading` kept of the contexts is not read again.
        """
        if self.bias is None:
            self.bias = self._scores(self._contexts(NO_WORDS)).softmax(dim=-1).mean(dim=0).log()
        return (self._scores(contexts, reading) - self.bias).softmax(dim=-1).cpu().numpy()

    def _scores(self, contexts: Sequence[Tensor], reading: Reading | None = None) -> Tensor:
        """Return the log-probabilities (batch, classes) of the labels, end token included, in float64."""
        known = reading.take() if reading else None
        rows = log_probabilities(self.language.llm, contexts, [self.words] * len(contexts), known)
        return torch.stack(rows).double()
