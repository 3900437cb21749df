"""The emotions of one recording along its time."""

from typing import Any, Protocol

from c2ser.recordings.assembly import Channels, Options
from c2ser.recordings.pooling import Recording, recognise_recordings
from c2ser.recordings.results import Recogniser, Segment, Timeline
from c2ser.recordings.sources import Source, source_name

__all__ = ["Model", "Segment", "Timeline", "make_timeline"]


class Model(Protocol):
    """What a timeline needs of a model; see `c2ser.recordings.speech_model`."""

    def recogniser(
        self, language: str | None = None, style: str | None = None, answers: bool = True, decode: Any = None
    ) -> Recogniser:
        """Return the function that recognises emotions."""
        ...


def make_timeline(
    model: Model,
    source: Source,
    *,
    segments: str = "vad",
    channels: Channels = "mean",
    min_confidence: float = 0.0,
    language: str | None = None,
    style: str | None = None,
    answers: bool = True,
    rate: int | None = None,
    name: str | None = None,
) -> Timeline:
    """Return the emotions of a recording along its time.

    Args:
        model: C²SER, or another model with a `recogniser`.
        source: a file, its content, an open file, samples, or samples with their rate.
        segments: "vad" for stretches of speech, "fixed:SECONDS", or "none" for the whole.
        channels: "mean" mixes them, "each" treats each alone, as in calls with a speaker on each.
        min_confidence: an emotion with a smaller probability is "unsure".
        language: ISO 639-1 code of the spoken language; None if unknown.
        style: the chain of thought to ask for; None takes the model's own.
        answers: whether the model answers in words.
        rate: samples per second of an array.
        name: of the recording, for the result and for messages; None takes that of the source.

    Raises:
        ValueError: the recording cannot be used, or there is no such option; one line says why.
    """
    options = Options(segments, channels, min_confidence)
    recognise = model.recogniser(language, style, answers)
    recording = Recording(name or source_name(source), source, rate)
    ((outcome,),) = recognise_recordings([recording], recognise, options)
    if outcome.timeline is None:
        raise ValueError(outcome.rejected[0].error)
    return outcome.timeline
