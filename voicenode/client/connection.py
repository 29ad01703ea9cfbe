"""A connection to a Wyoming text-to-speech server.

Every wait has a limit, every frame a bound, and what goes wrong is a `VoiceServiceError` naming the server.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicenode.client.address import open_stream, reason
from voicenode.client.messages import manner, no_node, node_info, pcm_format, pieces, remote_error
from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.framing import Frame, FramingError, encode, read_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from voicenode.audio import PcmFormat
    from voicenode.client.messages import NodeInfo, Utterance

CONNECT_TIMEOUT = 5.0
"""Seconds until a server must have accepted the connection, and then until it must have described itself."""
FIRST_AUDIO_TIMEOUT = 180.0
"""Seconds from the end of the text to the first audio: room for a queue and the start of a large model."""
STALL_TIMEOUT = 60.0
"""Seconds without audio in the middle of an answer, or without the server reading what it is sent."""
MAX_PAYLOAD = 16 * 1024 * 1024
"""Bytes of one audio chunk: minutes of speech, for servers that send a whole answer at once."""
_AUDIO = {"audio-start", "audio-chunk"}


@dataclass(frozen=True, slots=True)
class Speech:
    """An answer on its way: its format, known before the first chunk, and its audio."""

    format: PcmFormat
    chunks: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks


@asynccontextmanager
async def connect(uri: str, limit: float = CONNECT_TIMEOUT) -> AsyncIterator[Connection]:
    """A connection to the server at `tcp://HOST[:PORT]` or `unix:///PATH`, made within `limit` seconds.

    Raises:
        RequestError: the address cannot be understood.
        VoiceServiceError: nobody answers there (`no-node`).
    """
    try:
        reader, writer = await asyncio.wait_for(open_stream(uri), limit)
    except TimeoutError as error:
        raise no_node(f"no answer from {uri} within {limit:g} s") from error
    except OSError as error:
        raise no_node(f"cannot connect to {uri} ({reason(error)}); is the node running?") from error
    try:
        yield Connection(uri, reader, writer)
    finally:
        writer.transport.abort()


class Connection:
    """One open connection; `describe` and `speak` may follow one another on it, but not overlap."""

    def __init__(self, uri: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.uri = uri
        self._reader = reader
        self._writer = writer

    async def describe(self, limit: float = CONNECT_TIMEOUT) -> NodeInfo:
        """What the server is and the voices it has.

        Raises:
            VoiceServiceError: it does not answer in time, or offers no text-to-speech (`no-node`).
        """
        with suppress(OSError):  # who hung up may have said why, and that is read below
            await self._write(Frame("describe"))
        return node_info(self.uri, await self._frame({"info"}, limit))

    @asynccontextmanager
    async def speak(
        self, utterance: Utterance, first_audio_limit: float = FIRST_AUDIO_TIMEOUT
    ) -> AsyncIterator[Speech]:
        """The utterance as speech, entered as soon as its first audio is on its way.

        Leaving early cancels; the connection is of no further use then.

        Raises:
            VoiceServiceError: the server's own error with its code, or `no-node` when it falls silent.
        """
        in_pieces = not isinstance(utterance.text, str) and (await self.describe()).streams_text
        end = "synthesize-stopped" if in_pieces else "audio-stop"
        sending = asyncio.create_task(self._send(utterance, in_pieces=in_pieces))
        try:
            first = await self._frame({*_AUDIO, end}, first_audio_limit, sending)
            if first.type == end:
                raise VoiceServiceError(ErrorCode.ENGINE_FAILED, f"{self.uri} answered without audio")
            async with aclosing(self._chunks(first, end, sending)) as chunks:
                yield Speech(pcm_format(first), chunks)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def ask(
        self,
        request: str,
        data: dict[str, Any],
        answer: str,
        payload: bytes = b"",
        limit: float = FIRST_AUDIO_TIMEOUT,
    ) -> dict[str, Any]:
        """What a node says in a message of type `answer` about a request.

        Raises:
            VoiceServiceError: the node's own error with its code, or `no-node` where it does not answer.
        """
        with suppress(OSError):  # as in describe
            await self._write(Frame(request, data, payload))
        return (await self._frame({answer}, limit)).data

    async def _chunks(self, first: Frame, end: str, sending: asyncio.Task[None]) -> AsyncGenerator[bytes]:
        frame = first
        while frame.type != end:
            if pcm_format(frame) != pcm_format(first):
                raise VoiceServiceError(
                    ErrorCode.ENGINE_FAILED, f"{self.uri} changed its audio format in the middle of an answer"
                )
            if frame.payload:
                yield frame.payload
            frame = await self._frame({*_AUDIO, end}, STALL_TIMEOUT, sending)

    async def _send(self, utterance: Utterance, *, in_pieces: bool) -> None:
        with suppress(OSError):  # as in describe
            how = manner(utterance)
            if not in_pieces:
                text = "".join([piece async for piece in pieces(utterance.text)])
                await self._write(Frame("synthesize", {"text": text} | how))
                return
            await self._write(Frame("synthesize-start", how))
            async for piece in pieces(utterance.text):
                await self._write(Frame("synthesize-chunk", {"text": piece}))
            await self._write(Frame("synthesize-stop"))

    async def _write(self, frame: Frame) -> None:
        self._writer.write(encode(frame))
        try:
            await asyncio.wait_for(self._writer.drain(), STALL_TIMEOUT)
        except TimeoutError as error:
            raise no_node(f"{self.uri} has not read its request for {STALL_TIMEOUT:g} s") from error

    async def _frame(self, types: set[str], limit: float, sending: asyncio.Task[None] | None = None) -> Frame:
        """The next frame of one of the types; the limit begins when everything has been sent."""
        reading = asyncio.create_task(self._read(types))
        try:
            if sending is not None:
                await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and not reading.done():
                    sending.result()
            return await asyncio.wait_for(reading, limit)
        except TimeoutError as error:
            raise no_node(f"no answer from {self.uri} within {limit:g} s") from error
        finally:
            reading.cancel()

    async def _read(self, types: set[str]) -> Frame:
        while True:
            try:
                frame = await read_frame(self._reader, MAX_PAYLOAD)
            except FramingError as error:
                raise no_node(f"{self.uri} does not speak Wyoming: {error}") from error
            except (OSError, EOFError) as error:
                raise no_node(f"lost the connection to {self.uri}: {error}") from error
            if frame is None:
                raise no_node(f"{self.uri} closed the connection before it had answered")
            if frame.type == "error":
                raise remote_error(frame)
            if frame.type in types:
                return frame
