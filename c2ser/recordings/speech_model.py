"""What every model that recognises emotions in speech can do, and what it returns."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, cast

from c2ser.label_sets import chosen_classes
from c2ser.recordings.assembly import Channels, Options
from c2ser.recordings.pooling import Recording, recognise_recordings
from c2ser.recordings.results import Recogniser, Recognition, Timeline, Unusable
from c2ser.recordings.sources import Source, is_source, source_name

LANGUAGE = re.compile(r"[a-z]{2}")


Result = Recognition | Timeline | Unusable


class SpeechModel(ABC):
    """A model that recognises emotions in speech.

    Attributes:
        classes: the emotions that it tells apart, in the order of tables.
    """

    classes: tuple[str, ...]

    @abstractmethod
    def recogniser(
        self, language: str | None = None, style: str | None = None, answers: bool = True, decode: Any = None
    ) -> Recogniser:
        """Return the function that recognises emotions, after a check of what is asked for.

        Args:
            language: ISO 639-1 code of the spoken language; None if unknown.
            style: the chain of thought to ask for; None takes the model's own.
            answers: whether the model answers in words.
            decode: how answers are decoded, `c2ser.model.config.DecodeConfig`; None for the defaults.

        Raises:
            ValueError: there is no such language or style, or the model cannot do it.
        """

    def predict(
        self,
        audio: Source | Sequence[Source],
        rate: int | None = None,
        language: str | None = None,
        style: str | None = None,
        answers: bool = True,
        segments: str | None = None,
        channels: Channels = "mean",
        min_confidence: float = 0.0,
        among: Collection[str] | None = None,
    ) -> Any:
        """Recognise the emotion in speech of any length, or in each part of a recording.

        Args:
            audio: a file of any format, its content, an open file, samples of one or more channels (see
                `c2ser.recordings.sources.samples`), a dictionary with `array` and `sampling_rate`; or a list of these.
            rate: samples per second of arrays that come without it.
            language: ISO 639-1 code of the spoken language, "zh" or another; None if unknown.
            style: the chain of thought to ask for; None takes the model's own.
            answers: whether the model answers in words; an implicit model is much faster without.
            segments: "vad" for stretches of speech, "fixed:SECONDS", or "none"; None for one result and no timeline.
            channels: "mean" mixes them, "each" treats each alone.
            min_confidence: an emotion with a smaller probability is "unsure".
            among: the emotions to choose from, whose probabilities then add up to 1; None for all of `classes`.

        Returns:
            a `Recognition`, or with `segments` a `Timeline`; for a list a list of them, in which `Unusable` with its
            `error` stands for what cannot be used.

        Raises:
            ValueError: the one recording that was given cannot be used, or the model cannot do what is asked for.
        """
        sources: list[Any] = [audio] if is_source(audio) else [*cast(Sequence[Source], audio)]
        names = [source_name(source) for source in sources]
        recordings = [Recording(name, source, rate) for name, source in zip(names, sources, strict=True)]
        recognise = self.recogniser(language, style, answers)
        chosen_classes(self.classes, among)  # refuses what is no class
        options = Options("none" if segments is None else segments, channels, min_confidence, among)
        results: list[Result] = []
        for outcome in chain.from_iterable(recognise_recordings(recordings, recognise, options)):
            result = outcome.recognition if segments is None else outcome.timeline
            results.append(result or outcome.rejected[0])
        if not is_source(audio):
            return results
        if isinstance(results[0], Unusable):
            raise ValueError(results[0].error)
        return results[0]


def check_language(language: str | None) -> str | None:
    """Return a language's code.

    Raises:
        ValueError: it is none of ISO 639-1.
    """
    if language is not None and not (isinstance(language, str) and LANGUAGE.fullmatch(language)):
        raise ValueError(f"language {language!r}: no code of ISO 639-1; give two letters, such as en or zh")
    return language
