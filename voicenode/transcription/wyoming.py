"""Speech-to-text services that speak Wyoming, such as those beside Home Assistant.

Every wait has a limit and every frame a bound: a service on the LAN is a stranger.
"""

from __future__ import annotations

import asyncio
import io
import wave
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicenode.audio import PcmFormat, Resampler
from voicenode.framing import MAX_HEADER, Frame, FramingError, encode, read_frame
from voicenode.transcription.errors import CannotListenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEFAULT_PORT = 10300
"""Where speech-to-text services listen by convention."""
_CONNECT_TIMEOUT = 5.0
"""Seconds until a service must have accepted the connection, and then until it must have described itself."""
_LISTEN_TIMEOUT = 120.0
"""Seconds until the words of 12 seconds must be there, on a small machine that loads its model first."""
_MAX_PAYLOAD = 1024 * 1024
_MAX_TEXT = 2_000
"""Characters; nobody says as much in 12 seconds."""
_RATE = 16_000
"""Hz. The one rate that Home Assistant sends, so all services know it."""
_CHUNK = _RATE * 2 // 10


async def listens(uri: str) -> bool:
    """Whether there is a speech-to-text service, ready to listen."""
    try:
        async with _connected(uri) as peer:
            await peer.languages()
    except CannotListenError:
        return False
    return True


async def transcribe(uri: str, wav: bytes, language: str) -> str:
    """What is said in a short recording, empty where nothing was understood.

    Args:
        uri: the service, `tcp://host:port`.
        wav: mono, 16-bit.
        language: BCP 47; empty where nobody said.

    Raises:
        CannotListenError: it does not answer, or does not know the language.
    """
    async with _connected(uri) as peer:
        known = await peer.languages()
        if language and known and _base(language) not in known:
            raise CannotListenError(
                f"the speech-to-text service {uri} does not know the language {language}."
            )
        return await peer.transcribe(await asyncio.to_thread(_pcm, wav), language)


@asynccontextmanager
async def _connected(uri: str) -> AsyncIterator[_Peer]:
    host, port = _address(uri)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port, limit=MAX_HEADER)
    except (OSError, TimeoutError) as error:
        raise CannotListenError(f"the speech-to-text service {uri} cannot be reached.") from error
    try:
        yield _Peer(uri, reader, writer)
    finally:
        writer.transport.abort()


def _address(uri: str) -> tuple[str, int]:
    with suppress(ValueError):  # a port that is no number, an unclosed bracket
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.hostname:
            return parts.hostname, parts.port or DEFAULT_PORT
    raise CannotListenError(f"'{uri}' is no address of a speech-to-text service: expected tcp://HOST:PORT.")


class _Peer:
    """A connection to a service."""

    def __init__(self, uri: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._uri, self._reader, self._writer = uri, reader, writer

    async def languages(self) -> set[str]:
        """The languages that it knows, without regions."""
        info = await self._ask("info", _CONNECT_TIMEOUT, Frame("describe"))
        models = [model for program in _installed(info, "asr") for model in _installed(program, "models")]
        if not models:
            raise CannotListenError(f"{self._uri} is no speech-to-text service, or has no model.")
        return {_base(str(language)) for model in models for language in _list(model, "languages")}

    async def transcribe(self, pcm: bytes, language: str) -> str:
        """What is said in 16-bit samples, mono, 16 kHz."""
        form = {"rate": _RATE, "width": 2, "channels": 1}
        chunks = (pcm[start : start + _CHUNK] for start in range(0, len(pcm), _CHUNK))
        answer = await self._ask(
            "transcript",
            _LISTEN_TIMEOUT,
            Frame("transcribe", {"language": _base(language)} if language else {}),
            Frame("audio-start", form),
            *(Frame("audio-chunk", form, chunk) for chunk in chunks),
            Frame("audio-stop"),
        )
        text = answer.get("text")
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            raise CannotListenError(f"the speech-to-text service {self._uri} answered nonsense.")
        return " ".join(text.split())

    async def _ask(self, wanted: str, limit: float, *question: Frame) -> dict[str, Any]:
        """The data of the answer of a type; what else is said meanwhile is skipped."""
        try:
            async with asyncio.timeout(limit):
                for frame in question:
                    self._writer.write(encode(frame))
                    await self._writer.drain()
                while (answer := await read_frame(self._reader, _MAX_PAYLOAD)) is not None:
                    if answer.type == wanted:
                        return answer.data
                    if answer.type == "error":
                        raise self._failed(f"failed: {str(answer.data.get('text'))[:200]}")
        except TimeoutError as error:
            raise self._failed(f"did not answer within {limit:.0f} seconds") from error
        except (OSError, EOFError, FramingError) as error:
            raise self._failed(f"broke off ({error})") from error
        raise self._failed("hung up")

    def _failed(self, how: str) -> CannotListenError:
        return CannotListenError(f"the speech-to-text service {self._uri} {how}.")


def _installed(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The parts of a description that are there to be used; a stranger wrote it."""
    return [one for one in _list(data, key) if isinstance(one, dict) and one.get("installed")]


def _list(data: dict[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    return found if isinstance(found, list) else []


def _base(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].casefold()


def _pcm(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        source, pcm = PcmFormat(file.getframerate()), file.readframes(file.getnframes())
    resampler = Resampler(source, _RATE)
    return resampler.process(pcm) + resampler.finish()
