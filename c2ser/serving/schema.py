"""The answers of the interface, as its OpenAPI page describes them."""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """That the server works."""

    status: str = "ok"
    model: str
    version: str


class Result(BaseModel):
    """What was recognised."""

    emotion: str = Field(description='the most probable emotion, "unsure" or "no speech"')
    probabilities: dict[str, float] = Field(description="of each emotion; none without speech")
    answer: str = Field(description="the model's answer in words")
    differs: bool = Field(description="whether the answer does not name this emotion")


class SegmentResult(Result):
    """A segment; times are seconds from the start of the recording."""

    start: float
    end: float
    channel: int | None = Field(description="from 0; null where the channels were mixed")
    speaker: str | None


class RecordingResult(Result):
    """A recording and its segments."""

    file: str
    seconds: float
    segments: list[SegmentResult]


class Failure(BaseModel):
    """A recording that could not be used."""

    file: str
    error: str = Field(description="the reason, in one line")


class Refusal(BaseModel):
    """Why a request was not answered."""

    detail: str
