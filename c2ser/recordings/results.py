"""What comes out of a recording: its emotions along its time, or the reason why there are none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from c2ser.scoring.labels import read_label

NO_SPEECH = "no speech"
"""In place of an emotion where nobody speaks."""

UNSURE = "unsure"
"""In place of an emotion whose probability is below the one asked for."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording with one emotion.

    Attributes:
        start: seconds from the start of the recording.
        end: seconds from the start of the recording.
        channel: from 0; None where the channels were mixed.
        emotion: the most probable one, `UNSURE` or `NO_SPEECH`.
        probabilities: of each emotion; their sum is 1; none without speech.
        answer: the model's answer; "" if it was not asked for, or the model gives none.
        speaker: who speaks, where it was told.
        columns: what the list of recordings says about it, by heading.
        said: the class that the answer names, from models with classes of their own.
    """

    start: float
    end: float
    channel: int | None
    emotion: str
    probabilities: dict[str, float]
    answer: str
    speaker: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    said: str = ""

    @property
    def differs(self) -> bool:
        """Whether the answer does not name this emotion."""
        return differs(self.answer, self.emotion, self.said)


@dataclass(frozen=True)
class Timeline:
    """The emotions of a recording.

    Attributes:
        name: the recording's file as it was given, or another name.
        seconds: how long it is.
        segments: in order of time; one without speech if there is none in the recording.
        emotion: of the whole: the most probable one by the mean over all segments with speech, weighted by seconds.
        probabilities: that mean; none without speech.
        answer: of the segment that contributes most to this emotion.
        said: the class that the answer names, from models with classes of their own.
        error: None; see `Unusable`.
    """

    name: str
    seconds: float
    segments: list[Segment]
    emotion: str
    probabilities: dict[str, float]
    answer: str
    said: str = ""
    error: None = None

    @property
    def differs(self) -> bool:
        """Whether the answer does not name this emotion."""
        return differs(self.answer, self.emotion, self.said)


def differs(answer: str, emotion: str, said: str = "") -> bool:
    """Return whether an answer does not name an emotion, or names another one too; an empty answer says nothing.

    What it names is `said` or, where that is empty, what one reads in it of the seven emotions.
    """
    return bool(answer) and (said or read_label(answer)) != emotion


@dataclass(frozen=True)
class Recognition:
    """What a model recognises in an utterance.

    Attributes:
        emotion: the most probable one, `UNSURE` or `NO_SPEECH`; "" of a model of dimensions.
        probabilities: of each emotion, their sum is 1; or the value of each dimension; none without speech.
        answer: the model's answer, "" if it was not asked for; the emotion that it names may be another one.
        style: the chain of thought that was asked for; None for models that give no answers.
        tokens: number of tokens of the answers, of all segments of long speech.
        milliseconds: time of the answer: a batch's time divided by its size.
        said: the class that the answer names, from models with classes of their own.
        error: None; see `Unusable`.
    """

    emotion: str
    probabilities: dict[str, float]
    answer: str = ""
    style: str | None = None
    tokens: int = 0
    milliseconds: float = 0.0
    said: str = ""
    error: None = None

    @property
    def differs(self) -> bool:
        """Whether the answer does not name this emotion."""
        return differs(self.answer, self.emotion, self.said)


Recogniser = Callable[[Mapping[str, np.ndarray]], Mapping[str, Recognition]]
"""Recognises the emotions in mono waveforms (samples,) at 16 kHz, by name."""


@dataclass(frozen=True)
class Unusable:
    """Stands in a list of results for a recording that could not be used.

    Attributes:
        name: the recording.
        error: the reason, in one line that begins with the name and ends with the remedy.
    """

    name: str
    error: str
