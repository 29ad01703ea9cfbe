"""One client's conversation: it is always listened to, whatever is being answered meanwhile."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicenode.errors import BusyError, ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import Frame, FramingError, read_frame
from voicenode.transports.wyoming import messages
from voicenode.transports.wyoming.answers import Answer, Answers, Errand
from voicenode.transports.wyoming.outgoing import ClientGoneError, Outgoing
from voicenode.transports.wyoming.text_stream import TextStream, text_too_long
from voicenode.transports.wyoming.voices import refusal, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from voicenode.processor import VoiceProcessor
    from voicenode.request import SynthesisRequest
    from voicenode.transports.wyoming.voices import VoiceTalk

_log = logging.getLogger(__name__)

_MAX_PAYLOAD = 1024 * 1024
"""Bytes: no message that the node understands has a payload; those of others are read and dropped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do; times in seconds."""

    max_text_chars: int
    stall_timeout: float
    """Reading nothing while the node has something to say."""
    idle_timeout: float | None
    """Saying nothing while the node has nothing to say; None is no limit."""
    finishes_at_eof: bool = False
    """Whether the end of the client's words is no hang-up: what was asked is still answered."""


class Connection:
    """One client from its first byte to its last.

    Two tasks, both owned by `run`: one listens, one answers. When listening ends, so does the conversation.
    """

    def __init__(
        self,
        processor: VoiceProcessor,
        describe: Callable[[], bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        peer: str,
        limits: Limits,
        voices: VoiceTalk | None = None,
    ) -> None:
        self._describe = describe
        self._reader = reader
        self._out = Outgoing(writer, limits.stall_timeout)
        self._peer = peer
        self._limits = limits
        self._voices = voices
        self._answers = Answers(processor, self._out, peer)
        self._text: TextStream | None = None
        self._draining = False
        self._idle: asyncio.TimerHandle | None = None
        self._over = asyncio.get_running_loop().create_future()
        """Set when there is no more to say, whatever the client still sends."""

    async def run(self) -> None:
        """Converse until the client hangs up, a synthesis fails, or a limit is reached."""
        self._await_client()
        try:
            await self._converse()
        finally:
            self._forget_client()
            if self._voices is not None:
                self._voices.close()
            await self._out.close(self._reader)

    def drain(self) -> None:
        """Accept no more requests, and hang up once those accepted are answered."""
        self._draining = True
        self._await_client()

    def abort(self) -> None:
        """Hang up now."""
        self._out.abort()
        self._end()

    async def _converse(self) -> None:
        # Not attributes: a cancelled task keeps its frames, and they would keep this object and all that it
        # has buffered until the garbage collector looks for cycles.
        listening = asyncio.create_task(self._listen(), name=f"wyoming listens to {self._peer}")
        answering = asyncio.create_task(self._answer(), name=f"wyoming answers {self._peer}")
        await self._unless_over(listening)
        if self._limits.finishes_at_eof:
            await self._unless_over(answering)
        listening.cancel()
        answering.cancel()
        await asyncio.wait({listening, answering})
        if not listening.cancelled() and (error := listening.result()):
            await self._say(messages.failure(error))

    async def _unless_over(self, task: asyncio.Task[Any]) -> None:
        await asyncio.wait({task, self._over}, return_when=asyncio.FIRST_COMPLETED)

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def _answer(self) -> None:
        await self._answers.give(self._await_client)
        self._end()

    async def _listen(self) -> VoiceServiceError | None:
        """Listen until the client has no more to say; what is wrong when that is not its own end."""
        try:
            room = self._voices.room_for if self._voices else None
            while (frame := await read_frame(self._reader, _MAX_PAYLOAD, room)) is not None:
                await self._hear(frame)
                self._await_client()
                await asyncio.sleep(
                    0
                )  # a buffer may hold thousands of messages: others have turns in between
        except FramingError as error:
            _log.info("%s: cannot be understood: %s", self._peer, error)
            return RequestError(ErrorCode.BAD_REQUEST, f"not a Wyoming message: {error}")
        except (EOFError, OSError, ClientGoneError) as error:
            _log.debug("%s: gone: %s", self._peer, error)
        except VoiceServiceError as error:  # a payload that will not be read
            _log.info("%s: %s", self._peer, error)
            return error
        except Exception:  # noqa: BLE001 - the boundary: one client must not harm another
            _log.exception("%s: a message failed for a reason nobody foresaw", self._peer)
            return VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
        if self._limits.finishes_at_eof:
            self._end_text()
            await self._answers.finish()
        return None

    async def _hear(self, frame: Frame) -> None:
        """Act on one message. Unknown ones are skipped, and with one program so is `select-program`."""
        if self._voices is not None and self._voices.takes(frame := unwrapped(frame)):
            await self._hear_of_voices(self._voices, frame)
            return
        match frame.type:
            case "describe":
                await self._out.send(self._describe())
            case "ping":
                await self._pong(frame.data)
            case "synthesize" if self._text is None:  # while streaming, it repeats the text for old servers
                await self._ask(frame.data)
            case "synthesize-start":
                await self._start_text(frame.data)
            case "synthesize-chunk" | "synthesize-stop":
                await self._continue_text(frame)

    async def _hear_of_voices(self, voices: VoiceTalk, frame: Frame) -> None:
        try:
            if self._draining:
                raise BusyError("the node is shutting down; ask again when it is back")
            work = voices.hear(frame)
            if work is not None:
                self._answers.add(Errand(work, frame.data))
        except VoiceServiceError as error:
            await self._out.send(refusal(error, frame.data))

    async def _pong(self, data: Mapping[str, Any]) -> None:
        try:
            await self._out.send(messages.pong(data))
        except RequestError as error:
            await self._out.send(messages.failure(error))

    async def _start_text(self, data: Mapping[str, Any]) -> None:
        if self._text is None:
            self._text = TextStream(self._limits.max_text_chars)
            await self._ask(data, self._text)
        else:
            await self._object("synthesize-start, but synthesize-stop of the last one is missing")

    async def _continue_text(self, frame: Frame) -> None:
        if self._text is None:
            await self._object(f"{frame.type} without synthesize-start")
        elif frame.type == "synthesize-stop":
            self._end_text()
        else:
            try:
                self._text.write(messages.required_text(frame.data))
            except RequestError as error:
                self._text.fail(error)

    def _end_text(self) -> None:
        if self._text is not None:
            self._text.end()
            self._text = None

    async def _ask(self, data: Mapping[str, Any], stream: TextStream | None = None) -> None:
        """Put a request in the line, or the error it gets: answers come in the order of requests."""
        try:
            self._answers.add(Answer(self._request(data, stream), stream))
        except BusyError as error:
            await self._out.send(messages.failure(error, streaming=stream is not None))

    def _request(
        self, data: Mapping[str, Any], stream: TextStream | None
    ) -> SynthesisRequest | VoiceServiceError:
        if self._draining:
            return BusyError("the node is shutting down; ask again when it is back")
        try:
            text = messages.required_text(data) if stream is None else stream
            request = messages.synthesis_request(data, text)
        except RequestError as error:
            return error
        if isinstance(text, str) and len(text) > self._limits.max_text_chars:
            return text_too_long(len(text), self._limits.max_text_chars)
        return request

    async def _object(self, complaint: str) -> None:
        await self._out.send(messages.failure(RequestError(ErrorCode.BAD_REQUEST, complaint)))

    async def _say(self, last_words: bytes) -> None:
        try:
            await self._out.send(last_words)
        except ClientGoneError as gone:
            _log.debug("%s: gone: %s", self._peer, gone)

    def _await_client(self) -> None:
        """Start the client's time anew if it is the client's turn; hang up if it shall have no other turn."""
        self._forget_client()
        if self._draining and not self._answers.unanswered:
            self._end()
        elif self._limits.idle_timeout is not None and (
            self._text is not None or not self._answers.unanswered
        ):
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._limits.idle_timeout, self._end)

    def _forget_client(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
