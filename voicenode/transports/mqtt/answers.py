"""Answers on their way, those at once and those for jobs that have ended."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

from voicenode.errors import ErrorCode, RequestError, StoreError, VoiceServiceError
from voicenode.transports.mqtt.messages import Answer, Reply
from voicenode.transports.mqtt.packets import Publication

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicenode.jobs import Job, JobQueue
    from voicenode.transports.mqtt.client import Client
    from voicenode.transports.mqtt.topics import Topics
    from voicenode.transports.mqtt.views import Views

_log = logging.getLogger(__name__)

MAX_INLINE_BYTES = 256 * 1024
"""Of an audio file that fits into an answer: brokers and clients dislike large messages."""

_AT_ONCE = 64
"""Answers to jobs that wait for the broker's acknowledgement, their audio in memory."""

AnswerJob = "Callable[[Job], Awaitable[bool]]"


class Answers:
    """Publishes answers on the response topics, and where a request wants them as well."""

    def __init__(self, client: Client, topics: Topics, node_id: str) -> None:
        self._client = client
        self._topics = topics
        self._node_id = node_id

    def publish(self, name: str, reply: Reply, answer: Answer) -> asyncio.Future[list[bool]]:
        """Answer a request of this name; done when the broker has all that was published."""
        topic = self._topics.shared_response if reply.shared else self._topics.response(name)
        payload = answer.payload(reply.transaction, self._node_id if reply.shared else None)
        publications = [Publication(topic=topic, payload=payload)]
        if reply.topic is not None:
            publications.append(
                Publication(topic=reply.topic, payload=payload, correlation=reply.correlation)
            )
        return asyncio.gather(*(self._client.publish(each) for each in publications))


class JobAnswers:
    """Answers jobs when they have ended; what could not be sent is sent after the next connection or start.

    Args:
        client: publishes.
        answers: says where to.
        queue: knows which jobs have ended and are not answered.
        views: tell of jobs.
        others: answer jobs whose reply has their name as `door`, and tell whether the answer has arrived.
    """

    def __init__(self, client: Client, answers: Answers, queue: JobQueue, views: Views) -> None:
        self.others: dict[str, Callable[[Job], Awaitable[bool]]] = {}
        self._client = client
        self._answers = answers
        self._queue = queue
        self._views = views
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer for ever."""
        try:
            with self._queue.answers() as owed:
                async for job in owed:
                    await self._free.acquire()
                    await self._client.connected.wait()
                    task = asyncio.create_task(self._answer(job), name=f"mqtt answer to job {job.id}")
                    self._tasks.add(task)
                    task.add_done_callback(self._done)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()

    async def _answer(self, job: Job) -> None:
        try:
            other = self.others.get(job.reply.get("door"))
            if await (other(job) if other else self._publish(job)):
                await self._queue.answered(job)
        except StoreError as error:
            _log.error("MQTT: job %s may be answered once more after the next start: %s", job.id, error)
        except Exception:  # noqa: BLE001 - the boundary: the next job is answered all the same
            _log.exception("MQTT: job %s cannot be answered", job.id)

    async def _publish(self, job: Job) -> bool:
        try:
            answer = Answer("ok", await self._data(job))
        except VoiceServiceError as error:
            answer = Answer.failed(error)
        # What the broker refuses now it would refuse again: that it was said once must do.
        await self._answers.publish("synthesize", Reply.from_json(job.reply), answer)
        return True

    async def _data(self, job: Job) -> dict[str, Any]:
        if job.error is not None:
            raise VoiceServiceError(job.error.code, job.error.text)
        data = {"job": job.id, **self._views.speech(job)}
        if job.options.deliver == "inline":
            data.pop("url", None)
            data["audio_b64"] = await self._inline(job)
        return data

    async def _inline(self, job: Job) -> str:
        path = self._queue.audio_path(job.audio.file) if job.audio and job.audio.file else None
        if job.audio is None or path is None:
            raise RequestError(ErrorCode.EXPIRED, f"the audio of job '{job.id}' is no longer kept")
        if job.audio.bytes > MAX_INLINE_BYTES:
            raise RequestError(
                ErrorCode.AUDIO_TOO_LARGE,
                f"the audio has {job.audio.bytes} bytes; {MAX_INLINE_BYTES} fit into an answer: "
                "choose deliver 'url', or format 'opus'",
            )
        try:
            return await asyncio.to_thread(lambda: base64.b64encode(path.read_bytes()).decode())
        except OSError as error:
            raise StoreError.of(error, f"The audio of job '{job.id}' cannot be read") from error
