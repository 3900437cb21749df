"""The answers of a baseline for a whole data directory, in the tables that C²SER's decoding writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch

from c2ser.baselines.config import ASKED, BaselineConfig
from c2ser.baselines.instructions import instruction
from c2ser.label_sets import LabelSet, write_label_set
from c2ser.model.decoding import UTT2MS, format_row, unfinished_batches
from c2ser.scoring.distributions import UTT2PROB
from c2ser.tables import TableMap, write_json

TEXT_ASR = "text_asr"
"""The table beside the answers of a cascade: what was said, as Whisper wrote it down."""


@dataclass(frozen=True)
class Answer:
    """What a baseline gives for an utterance.

    Attributes:
        text: its answer, in which the parser reads the emotion.
        probabilities: of the classes, (classes,); None from a baseline without any.
        milliseconds: time of the answer: the batch's time divided by its size, without the label scores.
        tokens: number of tokens that were generated for it.
        transcript: what was said, from a baseline that writes it down.
        problem: why there is no answer, or None.
    """

    text: str
    probabilities: np.ndarray | None
    milliseconds: float
    tokens: int
    transcript: str = ""
    problem: str | None = None


class Answerer(Protocol):
    """A baseline.

    Attributes:
        transcribes: whether its answers have transcripts.
    """

    transcribes: bool

    @property
    def labels(self) -> LabelSet:
        """The classes that it can name."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """Move the models to a device."""
        ...

    def answer(self, waves: Mapping[str, np.ndarray], languages: Mapping[str, str | None]) -> dict[str, Answer]:
        """Answer for the utterances of a batch; each gets the same answer alone and in any batch.

        Args:
            waves: mono waveforms at 16 kHz by utterance, (samples,), of any length.
            languages: ISO 639-1 code by utterance, None where unknown.
        """
        ...


def answer(baseline: Answerer, data: str | Path, out: str | Path, config: BaselineConfig, wording: int = 0) -> None:
    """Write the table of answers and `utt2ms`, also `utt2prob` and `text_asr` of baselines that have them.

    Batches are made from the whole data directory, as in `c2ser.model.decoding.decode`. Utterances that cannot be used
    are rejected with the reason. What was asked is in `<out>.json`.

    Raises:
        ValueError: a batch does not fit into the GPU's memory.
    """
    out = Path(out)
    write_label_set(out.parent, baseline.labels)
    names = [UTT2MS, *([UTT2PROB] if config.scored else []), *([TEXT_ASR] if baseline.transcribes else [])]
    with TableMap(out, *(out.with_name(name) for name in names)) as job:
        sizes = config.batch_seconds, config.batch_utterances
        for waves, languages in unfinished_batches(job, data, *sizes, config.longest_taken):
            try:
                results = baseline.answer(waves, languages)
            except torch.OutOfMemoryError:
                first, number = next(iter(waves)), len(waves)
                raise ValueError(
                    f"{first}: in its batch of {number} utterances the GPU ran out of memory; lower batch_utterances"
                ) from None
            for name in job.todo(results):
                _write(job, name, results[name], baseline.transcribes)
        write_json(out.with_name(f"{out.name}.json"), describe(config, wording))


def _write(job: TableMap, name: str, result: Answer, transcribes: bool) -> None:
    """Write an utterance's answer, or reject it."""
    if result.problem:
        job.reject(name, result.problem)
        return
    numbers = [] if result.probabilities is None else result.probabilities.tolist()
    values = [f"{result.milliseconds:.1f} {result.tokens}", *([format_row(numbers)] if numbers else [])]
    values += [result.transcript] if transcribes else []
    job.write(name, result.text, *values, numbers=numbers)


def describe(config: BaselineConfig, wording: int) -> dict[str, str]:
    """Return what is recorded beside the answers: the models, and every word that they were asked with."""
    described = {"kind": config.kind, "model": config.model or ""}
    if config.kind == "cascade":
        return {**described, "model": f"{config.whisper}, {config.llm}"}
    if config.kind in ASKED:
        described |= {"system": config.system, "prompt": instruction(config, wording)}
        described |= {"template": config.template} if config.template else {}
    return described
