"""The answers to one client: each request in turn becomes one run of audio messages, or an error."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voicenode.errors import BusyError, ErrorCode, VoiceServiceError
from voicenode.transports.wyoming import messages
from voicenode.transports.wyoming.outgoing import ClientGoneError, Outgoing
from voicenode.transports.wyoming.voices import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from voicenode.processor import VoiceProcessor
    from voicenode.request import SynthesisRequest
    from voicenode.transports.wyoming.text_stream import TextStream

_log = logging.getLogger(__name__)

_MAX_WAITING = 32
"""Requests of one client that wait for their turn."""


@dataclass(slots=True)
class Answer:
    """One request in the line; a refused request is the error it gets."""

    request: SynthesisRequest | VoiceServiceError
    stream: TextStream | None = None
    """The text, when it arrives in pieces."""

    @property
    def streaming(self) -> bool:
        return self.stream is not None


@dataclass(frozen=True, slots=True)
class Errand:
    """A message about voices in the line, which is answered by one message."""

    work: Callable[[], Awaitable[bytes]]
    data: Mapping[str, Any]
    """What was said."""


class Answers:
    """The line of one client's requests, and the task's work of answering them."""

    def __init__(self, processor: VoiceProcessor, out: Outgoing, peer: str) -> None:
        self.unanswered = 0
        self._processor = processor
        self._out = out
        self._peer = peer
        self._line: asyncio.Queue[Answer | Errand | None] = asyncio.Queue(_MAX_WAITING)

    def add(self, answer: Answer | Errand) -> None:
        """Put a request in the line.

        Raises:
            BusyError: the line is full.
        """
        try:
            self._line.put_nowait(answer)
        except asyncio.QueueFull:
            message = f"{_MAX_WAITING} requests of this connection are waiting already; send fewer at once"
            raise BusyError(message) from None
        self.unanswered += 1

    async def finish(self) -> None:
        """Let `give` return when everything in the line is answered."""
        await self._line.put(None)

    async def give(self, answered: Callable[[], None]) -> None:
        """Answer every request, and call `answered` after each.

        Return after the first that failed: a client of any age understands an error that is followed by the
        end of the connection. A request that was malformed from the start has failed nothing.
        """
        while (answer := await self._line.get()) is not None:
            if not await self._give_one(answer):
                return
            self.unanswered -= 1
            answered()

    async def _give_one(self, answer: Answer | Errand) -> bool:
        """Whether the conversation goes on."""
        if isinstance(answer, Errand):
            return await self._run(answer)
        try:
            await self._speak(answer)
        except ClientGoneError as gone:
            _log.debug("%s: %s before all was said", self._peer, gone)
            return False
        except VoiceServiceError as error:
            await self._fail(answer, error)
            return error is answer.request and error.code is ErrorCode.BAD_REQUEST
        except Exception:  # noqa: BLE001 - the boundary: one request must not harm the next
            _log.exception("%s: a request failed for a reason nobody foresaw", self._peer)
            await self._fail(
                answer, VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
            )
            return False
        finally:  # the cut ends this task too, and maybe before the engine has been freed
            if self._out.stalled:
                _log.info("wyoming %s: cut off: %s", self._peer, self._out.stalled)
        return True

    async def _run(self, errand: Errand) -> bool:
        try:
            said = await errand.work()
        except VoiceServiceError as error:
            said = refusal(error, errand.data)
        except Exception:  # noqa: BLE001 - the boundary: one request must not harm the next
            _log.exception("%s: a message about voices failed for a reason nobody foresaw", self._peer)
            unforeseen = VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
            said = refusal(unforeseen, errand.data)
        try:
            await self._out.send(said)
        except ClientGoneError as gone:
            _log.debug("%s: %s before it was answered about voices", self._peer, gone)
            return False
        return True

    async def _speak(self, answer: Answer) -> None:
        """One pair of `audio-start` and `audio-stop` around all the audio; no stop when it breaks off."""
        if isinstance(answer.request, VoiceServiceError):
            _log.info("wyoming %s: refused: %s (%s)", self._peer, answer.request.code, answer.request)
            raise answer.request
        async with self._processor.speak(replace(answer.request, peer=self._peer)) as speech:
            audio = messages.AudioMessages(speech.format)
            prelude = audio.start()
            async for pcm in speech:
                await self._out.send(prelude + audio.chunk(pcm) if prelude else audio.chunk(pcm))
                prelude = b""
                await asyncio.sleep(0)  # a fast engine must not keep the loop from other clients
        end = prelude + audio.stop()
        await self._out.send(end + messages.SYNTHESIZE_STOPPED if answer.streaming else end)

    async def _fail(self, answer: Answer, error: VoiceServiceError) -> None:
        try:
            await self._out.send(messages.failure(error, streaming=answer.streaming))
        except ClientGoneError as gone:
            _log.debug("%s: %s before it was told of an error", self._peer, gone)
