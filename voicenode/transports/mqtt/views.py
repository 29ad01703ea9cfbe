"""What is told of jobs, voices and audio, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicenode.jobs import Job
    from voicenode.transports.mqtt.topics import Topics
    from voicenode.voice import Voice


@dataclass(frozen=True, slots=True)
class Views:
    """Needs to know where audio can be had.

    Args:
        topics: those of this node.
        url_of: the URL of an audio file by its name.
    """

    topics: Topics
    url_of: Callable[[str], str | None]

    def job(self, job: Job) -> dict[str, Any]:
        """All that may be known of a job."""
        return {
            "job": job.id,
            "state": job.state,
            "progress": job.progress,
            "priority": job.options.priority,
            "deliver": job.options.deliver,
            "chars": job.chars,
            "created": _time(job.created),
            "started": _time(job.started),
            "finished": _time(job.finished),
            "expires": _time(job.expires),
            **self.speech(job),
            "error": job.error.text if job.error else None,
            "code": job.error.code if job.error else None,
        }

    def event(self, job: Job) -> dict[str, Any]:
        """What has become of a job; its type is the state."""
        return {
            "event_type": job.state,
            "job": job.id,
            "transaction": transaction(job),
            "progress": job.progress,
            **self.speech(job),
            "error": job.error.text if job.error else None,
            "code": job.error.code if job.error else None,
        }

    def speech(self, job: Job) -> dict[str, Any]:
        """Who speaks, and what of the sound is known by now."""
        spoken = {"voice": job.voice, "engine": job.engine, "quality": job.quality}
        if job.audio is None:
            return spoken
        audio = {
            "content_type": job.audio.content_type,
            "sample_rate": job.audio.sample_rate,
            "duration_s": job.audio.duration_s,
        }
        if job.options.deliver == "topic":
            audio["topic"] = self.topics.audio(job.id)
        elif job.options.deliver == "url" and job.audio.file is not None:
            audio["url"] = self.url_of(job.audio.file)
        return {**spoken, **audio}


def transaction(job: Job) -> str | None:
    """What the client of a job calls it, if it came from here."""
    return None if job.reply is None else job.reply.get("transaction")


def voice(voice: Voice) -> dict[str, Any]:
    """What a user can know of a voice."""
    return {
        "name": voice.name,
        "engine": voice.engine,
        "description": voice.description,
        "languages": list(voice.languages),
        "speakers": list(voice.speakers),
        **({"cloned": True, "revision": voice.revision} if voice.cloned else {}),
    }


def _time(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601."""
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )
