"""Wyoming's messages for speech: what clients send becomes a request, what the node answers becomes bytes.

The words and shapes are those of https://github.com/OHF-Voice/wyoming, `tts.py` and `audio.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import Frame, encode
from voicenode.request import SynthesisRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping

    from voicenode.audio import PcmFormat

SYNTHESIZE_STOPPED = encode(Frame("synthesize-stopped"))


def required_text(data: Mapping[str, Any]) -> str:
    """The `text` of a message that is nothing without one.

    Raises:
        RequestError: it is absent or not a string.
    """
    text = data.get("text")
    if not isinstance(text, str):
        raise _malformed("text", "a string", text)
    return text


def synthesis_request(data: Mapping[str, Any], text: str | AsyncIterable[str]) -> SynthesisRequest:
    """The request in the data of `synthesize` or `synthesize-start`; keys that mean nothing here are skipped.

    Raises:
        RequestError: the voice or the text format has the wrong shape.
    """
    voice = data.get("voice") or {}
    if not isinstance(voice, dict):
        raise _malformed("voice", "an object", voice)
    return SynthesisRequest(
        text=text,
        text_format=_text_format(data),
        voice=_optional_text(voice, "name"),
        speaker=_optional_text(voice, "speaker"),
        language=_optional_text(voice, "language"),
        quality=_optional_text(data, "quality"),
        door="wyoming",
    )


def pong(data: Mapping[str, Any]) -> bytes:
    """The answer to `ping`, with its text.

    Raises:
        RequestError: the text is not a string.
    """
    return encode(Frame("pong", {"text": _optional_text(data, "text")}))


def failure(error: VoiceServiceError, *, streaming: bool = False) -> bytes:
    """An `error`, and for a streaming client the end that it waits for."""
    frame = encode(Frame("error", {"text": str(error), "code": error.code.value}))
    return frame + SYNTHESIZE_STOPPED if streaming else frame


class AudioMessages:
    """The audio messages of one answer, in one format; every timestamp is the playing time before it, in ms.

    Frames are formatted rather than dumped: a chunk costs about a microsecond beside the copy of its samples.
    """

    def __init__(self, audio_format: PcmFormat) -> None:
        self._format = audio_format
        self._data = (
            f'{{"rate": {audio_format.rate}, "width": {audio_format.width},'
            f' "channels": {audio_format.channels}, "timestamp": %d}}'
        ).encode()
        self._sent = 0

    @property
    def seconds(self) -> float:
        """The playing time of all chunks so far."""
        return self._format.seconds(self._sent)

    def start(self) -> bytes:
        data = self._data % 0
        return b'{"type": "audio-start", "data_length": %d}\n%b' % (len(data), data)

    def chunk(self, pcm: bytes) -> bytes:
        data = self._data % self._milliseconds()
        self._sent += len(pcm)
        return b'{"type": "audio-chunk", "data_length": %d, "payload_length": %d}\n%b%b' % (
            len(data),
            len(pcm),
            data,
            pcm,
        )

    def stop(self) -> bytes:
        return encode(Frame("audio-stop", {"timestamp": self._milliseconds()}))

    def _milliseconds(self) -> int:
        return self._sent * 1000 // self._format.bytes_per_second


def _text_format(data: Mapping[str, Any]) -> Literal["text", "ssml"]:
    match data.get("text_format"):
        case None | "text":
            return "text"
        case "ssml":
            return "ssml"
        case other:
            raise _malformed("text_format", "'text' or 'ssml'", other)


def _optional_text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise _malformed(key, "a string", value)
    return value


def _malformed(key: str, expected: str, value: object) -> RequestError:
    found = "nothing" if value is None else repr(value)[:60]
    return RequestError(ErrorCode.BAD_REQUEST, f"{key} must be {expected}, not {found}")
