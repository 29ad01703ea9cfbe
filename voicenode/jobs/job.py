"""What is known of one job, as it is kept in the store."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from voicenode.encoding import AudioFormat
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.jobs.request import JobOptions

if TYPE_CHECKING:
    from voicenode.jobs.request import JobRequest

MAX_ID_CHARS = 200


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will be spoken."""
        return self not in {JobState.QUEUED, JobState.PROCESSING}


@dataclass(frozen=True, slots=True)
class JobError:
    """Why there is no sound, for programs and for people."""

    code: ErrorCode
    text: str

    @classmethod
    def of(cls, error: VoiceServiceError) -> Self:
        return cls(error.code, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAudio:
    """The sound of a completed job."""

    format: AudioFormat
    sample_rate: int
    duration_s: float
    bytes: int
    """As encoded."""
    file: str | None = None
    """The name of the file, which nobody can guess; none where the sound was not kept."""

    @property
    def content_type(self) -> str:
        return self.format.content_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request and what became of it; times are seconds since the epoch.

    A transport answers a final job with its `error` if there is one, else with its `audio`.
    """

    id: str
    options: JobOptions
    digest: str
    """The same for the same request, text included; how long it is of interest shrinks on its way."""
    chars: int
    """Of the text."""
    text: str | None = None
    """Until it is spoken, and unless it is long: then it lies in a file beside the document."""
    state: JobState = JobState.QUEUED
    progress: int = 0
    """Per cent of the text that the engine has taken; stays 0 for SSML until the end."""
    attempts: int = 0
    """How often it was begun after a crash."""
    created: float
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    """When the job and its audio are forgotten; known once it is final."""
    voice: str | None = None
    engine: str | None = None
    quality: str | None = None
    error: JobError | None = None
    audio: JobAudio | None = None
    reply: Any = None
    """Where and how to answer: JSON that only the transport understands; none where nobody waits."""
    answered: bool = False

    @classmethod
    def of(cls, request: "JobRequest", job_id: str | None, reply: Any) -> Self:  # noqa: ANN401 - JSON
        """A new job; without an id it gets one of its own.

        Raises:
            RequestError: the id is empty or too long.
        """
        if job_id is not None and not 0 < len(job_id) <= MAX_ID_CHARS:
            raise RequestError(
                ErrorCode.BAD_REQUEST,
                f"a job's id must have 1 to {MAX_ID_CHARS} characters, not {len(job_id)}",
            )
        return cls(
            id=secrets.token_hex(8) if job_id is None else job_id,
            options=request.options,
            digest=hashlib.sha256(request.model_dump_json(exclude={"expires_s"}).encode()).hexdigest(),
            chars=len(request.text),
            created=time.time(),
            reply=reply,
        )

    @property
    def deadline(self) -> float | None:
        """When it is too late to begin."""
        return None if self.options.expires_s is None else self.created + self.options.expires_s
