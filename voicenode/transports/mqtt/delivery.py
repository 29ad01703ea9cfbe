"""Audio on a topic, in pieces as they are made."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.transports.mqtt.messages import Answer, Reply
from voicenode.transports.mqtt.packets import Publication
from voicenode.transports.mqtt.topics import check_word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicenode.audio import PcmFormat
    from voicenode.jobs import Job, Write
    from voicenode.transports.mqtt.answers import Answers
    from voicenode.transports.mqtt.client import Client
    from voicenode.transports.mqtt.topics import Topics

_PIECE_BYTES = 64 * 1024
_PIECES_UNDER_WAY = 32
"""Until the broker has acknowledged one of them, nothing more is taken from the engine."""
_STALL_SECONDS = 300.0
"""Long enough for a broker to restart, and not for ever: the job holds an engine."""


class TopicDelivery:
    """A sink of jobs: says `started`, publishes pieces in their order, and ends with an empty one."""

    def __init__(self, client: Client, topics: Topics, answers: Answers) -> None:
        self._client = client
        self._topics = topics
        self._answers = answers

    @asynccontextmanager
    async def __call__(self, job: Job, pcm_format: PcmFormat) -> AsyncIterator[Write]:
        """Deliver the sound of one job.

        Raises:
            VoiceServiceError: the broker refuses it, or was away too long.
        """
        topic = self._topics.audio(check_word("the job's id", job.id))
        if job.reply is not None:
            self._answers.publish("synthesize", Reply.from_json(job.reply), _started(job, pcm_format, topic))
        pieces = _Pieces(self._client, topic, job.options.format.content_type)
        yield pieces.write
        await pieces.end()


class _Pieces:
    """What is published on one topic, numbered, so many at a time."""

    def __init__(self, client: Client, topic: str, content_type: str) -> None:
        self._client = client
        self._topic = topic
        self._content_type = content_type
        self._number = 0
        self._under_way: deque[asyncio.Future[bool]] = deque()

    async def write(self, encoded: bytes) -> None:
        for start in range(0, len(encoded), _PIECE_BYTES):
            while len(self._under_way) >= _PIECES_UNDER_WAY:
                await self._arrival()
            self._publish(encoded[start : start + _PIECE_BYTES], last=False)

    async def end(self) -> None:
        self._publish(b"", last=True)
        while self._under_way:
            await self._arrival()

    def _publish(self, piece: bytes, *, last: bool) -> None:
        publication = Publication(
            topic=self._topic,
            payload=piece,
            content_type=self._content_type,
            user=(("seq", str(self._number)), ("last", "true" if last else "false")),
        )
        self._number += 1
        self._under_way.append(self._client.publish(publication))

    async def _arrival(self) -> None:
        """Wait for the oldest piece to arrive."""
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                taken = await self._under_way.popleft()
        except TimeoutError:
            raise VoiceServiceError(
                ErrorCode.INTERRUPTED, f"the broker took no audio for {_STALL_SECONDS:g} s"
            ) from None
        if not taken:
            raise VoiceServiceError(ErrorCode.INTERRUPTED, f"the broker refuses messages on {self._topic}")


def _started(job: Job, pcm_format: PcmFormat, topic: str) -> Answer:
    return Answer(
        "started",
        {
            "job": job.id,
            "topic": topic,
            "format": job.options.format,
            "content_type": job.options.format.content_type,
            "rate": pcm_format.rate,
            "width": pcm_format.width,
            "channels": pcm_format.channels,
        },
    )
