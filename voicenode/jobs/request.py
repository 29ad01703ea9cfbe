"""What a client asks of a job, checked word by word."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from voicenode.encoding import AudioFormat
from voicenode.errors import ErrorCode, RequestError
from voicenode.request import SPEED_RANGE

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Delivery = Literal["url", "inline", "topic", "play"]
"""As a file to fetch, in the answer, in pieces as they are made, or on the node's own sound card."""

_SHOWN_PROBLEMS = 5
_SHOWN_CHARS = 60
"""Of a value that an error message repeats."""


def _encodable(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:  # JSON can carry half of a surrogate pair
            raise ValueError("should be valid Unicode") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class JobOptions(BaseModel):
    """All that a request says beside its text; what is absent is the node's or the voice's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    text_format: Literal["text", "ssml"] = "text"
    voice: Text | None = None
    speaker: Text | None = None
    language: Text | None = None
    engine: Text | None = None
    quality: Text | None = None
    """The name of a quality profile of the voice's engine."""
    speed: Annotated[float, Ge(SPEED_RANGE[0]), Le(SPEED_RANGE[1])] | None = None
    volume: Annotated[float, Ge(0), Le(2)] | None = None
    format: Annotated[AudioFormat, Field(strict=False)] = AudioFormat.WAV
    sample_rate: Annotated[int, Ge(8000), Le(48000)] | None = None
    """In Hz; a format that does not have it takes the next above. None: as the engine speaks."""
    deliver: Delivery = "url"
    priority: Literal["live", "batch"] = "live"
    expires_s: Annotated[float, Gt(0)] | None = None
    """Seconds from acceptance after which it is too late to begin speaking."""
    keep_alive: Annotated[float, Ge(0)] | Literal[-1] | None = None
    """Seconds that the engine stays loaded afterwards; -1: for ever, None: as the node's settings say."""

    @property
    def live(self) -> bool:
        return self.priority == "live"

    @model_validator(mode="after")
    def _a_sound_card_takes_wav(self) -> Self:
        if self.deliver == "play" and self.format is not AudioFormat.WAV:
            raise ValueError(f"format '{self.format}' cannot be played by the node; leave it out")
        return self


class JobRequest(JobOptions):
    """A text to speak, and how."""

    text: Text

    @classmethod
    def of(cls, data: object) -> Self:
        """The request in a client's JSON object.

        Raises:
            RequestError: it is not one; the sentence names each wrong key.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problems = [_sentence(each) for each in error.errors(include_url=False)]
            shown = "; ".join(problems[:_SHOWN_PROBLEMS])
            more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
            raise RequestError(ErrorCode.BAD_REQUEST, shown + more) from None

    @property
    def options(self) -> JobOptions:
        """The request without its text."""
        return JobOptions.model_construct(**self.model_dump(exclude={"text"}))


def _sentence(problem: ErrorDetails) -> str:
    key = str(problem["loc"][0])[:_SHOWN_CHARS] if problem["loc"] else ""
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    match problem["type"]:
        case "extra_forbidden":
            near = get_close_matches(key, JobRequest.model_fields, n=1)
            return f"unknown key '{key}'" + (f"; did you mean '{near[0]}'?" if near else "")
        case "missing":
            return f"{key} is missing"
        case "model_type":
            return "the request must be a JSON object"
        case _ if not key:
            return reason
        case _:
            return f"{key} {reason}, not {_shown(problem['input'])}"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):  # never the repr of something large
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value[:_SHOWN_CHARS] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "\u2026"
