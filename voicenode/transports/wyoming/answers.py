"""The answers to one client: each request in turn becomes one run of audio messages, or an error."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from voicenode.errors import BusyError, ErrorCode, VoiceServiceError
from voicenode.transports.wyoming import messages
from voicenode.transports.wyoming.outgoing import ClientGoneError, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicenode.processor import VoiceProcessor
    from voicenode.request import SynthesisRequest
    from voicenode.transports.wyoming.text_stream import TextStream

_log = logging.getLogger(__name__)

_MAX_WAITING = 32
"""Requests of one client that wait for their turn."""


@dataclass(slots=True)
class Answer:
    """One request in the line, and what the log tells about it; a refused request is the error it gets."""

    request: SynthesisRequest | VoiceServiceError
    stream: TextStream | None = None
    """The text, when it arrives in pieces."""
    arrived: float = field(default_factory=perf_counter)
    voice: str = "-"
    first_audio: float | None = None
    audio: messages.AudioMessages | None = None

    @property
    def streaming(self) -> bool:
        return self.stream is not None

    @property
    def chars(self) -> int:
        if self.stream is not None:
            return self.stream.chars
        text = None if isinstance(self.request, VoiceServiceError) else self.request.text
        return len(text) if isinstance(text, str) else 0


class Answers:
    """The line of one client's requests, and the task's work of answering them."""

    def __init__(self, processor: VoiceProcessor, out: Outgoing, peer: str) -> None:
        self.unanswered = 0
        self._processor = processor
        self._out = out
        self._peer = peer
        self._line: asyncio.Queue[Answer | None] = asyncio.Queue(_MAX_WAITING)

    def add(self, answer: Answer) -> None:
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

    async def _give_one(self, answer: Answer) -> bool:
        """Whether the conversation goes on."""
        outcome = "cancelled"
        try:
            await self._speak(answer)
            outcome = "done"
        except ClientGoneError as gone:
            outcome = str(gone)
            return False
        except VoiceServiceError as error:
            outcome = f"{error.code}: {error}"
            await self._fail(answer, error)
            return error is answer.request and error.code is ErrorCode.BAD_REQUEST
        except Exception:  # noqa: BLE001 - the boundary: one request must not harm the next
            outcome = "failed"
            _log.exception("%s: a request failed for a reason nobody foresaw", self._peer)
            await self._fail(
                answer, VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
            )
            return False
        finally:
            self._report(answer, outcome)
        return True

    async def _speak(self, answer: Answer) -> None:
        """One pair of `audio-start` and `audio-stop` around all the audio; no stop when it breaks off."""
        if isinstance(answer.request, VoiceServiceError):
            raise answer.request
        async with self._processor.speak(answer.request) as speech:
            answer.voice = speech.voice.name
            answer.audio = audio = messages.AudioMessages(speech.format)
            prelude = audio.start()
            async for pcm in speech:
                await self._out.send(prelude + audio.chunk(pcm) if prelude else audio.chunk(pcm))
                answer.first_audio = answer.first_audio or perf_counter()
                prelude = b""
                await asyncio.sleep(0)  # a fast engine must not keep the loop from other clients
        end = prelude + audio.stop()
        await self._out.send(end + messages.SYNTHESIZE_STOPPED if answer.streaming else end)

    async def _fail(self, answer: Answer, error: VoiceServiceError) -> None:
        try:
            await self._out.send(messages.failure(error, streaming=answer.streaming))
        except ClientGoneError as gone:
            _log.debug("%s: %s before it was told of an error", self._peer, gone)

    def _report(self, answer: Answer, outcome: str) -> None:
        """One line a request, never the text."""
        first = "no audio"
        if answer.first_audio is not None:
            first = f"first audio after {(answer.first_audio - answer.arrived) * 1000:.1f} ms"
        _log.info(
            "%s: voice %s, %d characters, %s, %.2f s of audio in %.3f s: %s",
            self._peer,
            answer.voice,
            answer.chars,
            first,
            answer.audio.seconds if answer.audio else 0.0,
            perf_counter() - answer.arrived,
            outcome,
        )
