"""Speech for Rhasspy's satellites: what they ask for is played by their own speakers."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, RequestError, StoreError, VoiceServiceError
from voicenode.transports.mqtt.hermes_messages import (
    GET_VOICES,
    PLAY_FINISHED,
    SAY,
    Conversation,
    speech,
)
from voicenode.transports.mqtt.messages import parse
from voicenode.transports.mqtt.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voicenode.jobs import Job, JobQueue, JobRequest
    from voicenode.transports.mqtt.packets import Message
    from voicenode.transports.mqtt.transport import MqttTransport
    from voicenode.voice import Voice

_log = logging.getLogger(__name__)

DOOR = "hermes"
"""What marks the jobs that came from here."""

_GRACE = 0.25
"""Seconds beyond its length after which a sound was heard though nobody said so, as in Rhasspy itself."""
_SENT_AT_ONCE = 4
"""Sounds of all sites: each is in memory as a whole until the broker has it."""


@dataclass(slots=True, eq=False)
class _Turn:
    """One job in the line of its site."""

    job_id: str
    stored: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is known whether the job could be stored."""


class Hermes:
    """Answers every site, at each one request after the other in the order in which they came.

    Create it before the queue and the transport start, and stop it before the transport.

    Args:
        transport: publishes, and hears the satellites.
        queue: speaks what they ask for.
        voices: those that can be chosen from.
    """

    def __init__(
        self, transport: MqttTransport, queue: JobQueue, voices: Callable[[], Iterable[Voice]]
    ) -> None:
        self._client = transport.client
        self._queue = queue
        self._voices = voices
        self._lines: dict[str, deque[_Turn]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._known: set[str] = set()
        """The jobs in all lines."""
        self._playing: dict[str, tuple[str, asyncio.Event]] = {}
        """Site -> what it plays, by its id, and whether that was heard."""
        self._sending = asyncio.Semaphore(_SENT_AT_ONCE)
        self._problems = Problems()
        transport.client.subscribe(SAY, self._say)
        transport.client.subscribe(GET_VOICES, self._list_voices)
        transport.client.subscribe(PLAY_FINISHED, self._note_heard)
        transport.job_answers.others[DOOR] = self._take_up

    async def stop(self) -> None:
        """Wait for no speaker any longer; who has not got a sound gets it after the next start."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _say(self, message: Message) -> None:
        asked = Conversation()
        try:
            if message.retain:
                raise RequestError(ErrorCode.BAD_REQUEST, "a retained message is ignored")
            data = parse(message.payload, None)
            asked = Conversation.of(data)
            asked.check()
            await self._accept(speech(data), asked)
        except VoiceServiceError as error:
            self._problems.report(f"MQTT: {message.topic}: {error}", kind=f"{message.topic} {error.code}")
            if not message.retain:
                self._client.publish(asked.error(str(error)))
                self._client.publish(asked.say_finished())
        message.ack()

    async def _accept(self, request: JobRequest, asked: Conversation) -> None:
        turn = _Turn(secrets.token_hex(8))
        self._line_up(asked.site, turn)  # before it is stored, which takes longer for some than for others
        try:
            reply = {"door": DOOR, **asked.to_json()}
            await self._queue.submit(request, job_id=turn.job_id, reply=reply)
            turn.stored = True
        finally:
            turn.settled.set()

    async def _take_up(self, job: Job) -> bool:
        """A job has ended. It is answered when it is its turn; those of an earlier life line up now."""
        if job.id not in self._known:
            turn = _Turn(job.id, stored=True)
            turn.settled.set()
            self._line_up(Conversation.from_json(job.reply).site, turn)
        return False

    def _line_up(self, site: str, turn: _Turn) -> None:
        self._known.add(turn.job_id)
        if site in self._lines:
            self._lines[site].append(turn)
        else:
            self._lines[site] = deque([turn])
            task = asyncio.create_task(self._serve(site), name=f"hermes site {site}")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, site: str) -> None:
        """Answer what a site has asked for, until nothing is left."""
        line = self._lines[site]
        while line:
            turn = line.popleft()
            try:
                await turn.settled.wait()
                if turn.stored:
                    await self._answer(await self._queue.wait(turn.job_id))
            except VoiceServiceError as error:
                _log.error("MQTT: job %s cannot be answered at site %s: %s", turn.job_id, site, error)
            except Exception:  # noqa: BLE001 - the boundary: the next job is answered all the same
                _log.exception("MQTT: job %s cannot be answered at site %s", turn.job_id, site)
            self._known.discard(turn.job_id)
        del self._lines[site]

    async def _answer(self, job: Job) -> None:
        """Play the sound of a job, or tell what went wrong; either way the satellite hears of the end.

        Raises:
            StoreError: it cannot be noted, and is played again after the next start.
        """
        if job.answered:
            return
        asked = Conversation.from_json(job.reply)
        heard: asyncio.Event | None = None
        try:
            heard = await self._send(job, asked)
        except VoiceServiceError as error:
            await self._client.publish(asked.error(str(error)))
        try:
            await self._queue.answered(job)
            if heard is not None and job.audio is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(job.audio.duration_s + _GRACE):
                        await heard.wait()
        finally:
            self._playing.pop(asked.site, None)
            self._client.publish(asked.say_finished())

    async def _send(self, job: Job, asked: Conversation) -> asyncio.Event:
        """Give the sound to the site's speaker; the event is set when it has played it.

        Raises:
            VoiceServiceError: there is no sound, or the broker does not take it.
        """
        async with self._sending:
            wav = await self._read(job)
            request_id, heard = asked.id or job.id, asyncio.Event()
            self._playing[asked.site] = request_id, heard
            if not await self._client.publish(asked.play_bytes(request_id, wav)):
                raise VoiceServiceError(ErrorCode.INTERRUPTED, "the broker refuses the sound")
        return heard

    async def _read(self, job: Job) -> bytes:
        if job.error is not None:
            raise VoiceServiceError(job.error.code, job.error.text)
        path = self._queue.audio_path(job.audio.file) if job.audio and job.audio.file else None
        if path is None:
            raise RequestError(ErrorCode.EXPIRED, f"the audio of job '{job.id}' is no longer kept")
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise StoreError.of(error, f"The audio of job '{job.id}' cannot be read") from error

    async def _list_voices(self, message: Message) -> None:
        message.ack()
        try:
            asked = Conversation.of(parse(message.payload, None))
        except RequestError as error:
            self._problems.report(f"MQTT: {message.topic}: {error}", kind=message.topic)
            return
        self._client.publish(asked.voices(voice for voice in self._voices() if voice.advertised))

    async def _note_heard(self, message: Message) -> None:
        message.ack()
        playing = self._playing.get(message.topic.split("/")[2])
        try:
            finished = Conversation.of(parse(message.payload, None)).id
        except RequestError as error:
            self._problems.report(f"MQTT: {message.topic}: {error}", kind=PLAY_FINISHED)
            return
        if playing is not None and playing[0] == finished:
            playing[1].set()
