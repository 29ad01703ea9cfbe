"""What a client says, and what it is told, as messages of Wyoming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicenode.audio import PcmFormat
from voicenode.errors import ErrorCode, VoiceServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from voicenode.framing import Frame


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say and how, as far as Wyoming can tell it; what is absent is the server's choice."""

    text: str | AsyncIterable[str]
    """Whole, or in pieces that may be split anywhere, while it is still being written."""
    voice: str | None = None
    speaker: str | None = None
    language: str | None = None
    quality: str | None = None
    ssml: bool = False


@dataclass(frozen=True, slots=True)
class NodeVoice:
    """A voice as its server describes it; one that is not installed may have to be downloaded first."""

    name: str
    description: str
    languages: tuple[str, ...]
    speakers: tuple[str, ...]
    installed: bool


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A server's first text-to-speech program, which is the one that answers."""

    name: str
    version: str
    voices: tuple[NodeVoice, ...]
    streams_text: bool
    """Whether it takes text in pieces."""


def node_info(uri: str, frame: Frame) -> NodeInfo:
    """What an `info` of the server at `uri` says.

    Raises:
        VoiceServiceError: it offers no text-to-speech (`no-node`).
    """
    programs = [program for program in _objects(frame.data.get("tts")) if program.get("installed")]
    if not programs:
        raise no_node(f"{uri} speaks Wyoming but offers no text-to-speech")
    program = programs[0]
    return NodeInfo(
        name=_text(program.get("name")),
        version=_text(program.get("version")),
        voices=tuple(_voice(voice) for voice in _objects(program.get("voices"))),
        streams_text=program.get("supports_synthesize_streaming") is True,
    )


def manner(utterance: Utterance) -> dict[str, Any]:
    """Everything but the text; the stock library ignores a language beside a name, and so it does no harm."""
    voice = {"name": utterance.voice, "speaker": utterance.speaker, "language": utterance.language}
    named = {key: value for key, value in voice.items() if value}
    manner: dict[str, Any] = {"voice": named} if named else {}
    if utterance.quality:
        manner["quality"] = utterance.quality
    return manner | ({"text_format": "ssml"} if utterance.ssml else {})


async def pieces(text: str | AsyncIterable[str]) -> AsyncIterator[str]:
    """A text as it comes."""
    if isinstance(text, str):
        yield text
    else:
        async for piece in text:
            yield piece


def pcm_format(frame: Frame) -> PcmFormat:
    """The format of a frame with audio.

    Raises:
        VoiceServiceError: it tells none, or one that cannot be played.
    """
    rate, width, channels = (frame.data.get(key) for key in ("rate", "width", "channels"))
    if not (isinstance(rate, int) and isinstance(channels, int) and rate > 0 and channels > 0):
        raise no_node(f"audio without a rate and a number of channels: {str(frame.data)[:80]}")
    if width != PcmFormat(rate).width:
        raise VoiceServiceError(
            ErrorCode.ENGINE_FAILED, f"audio of {str(width)[:20]} bytes a sample; only 16 bits can be played"
        )
    return PcmFormat(rate, width, channels)


def remote_error(frame: Frame) -> VoiceServiceError:
    """What a server's `error` says; one without a code that is known counts as the engine's failure."""
    text = _text(frame.data.get("text")) or "the node failed and did not say why"
    code = _text(frame.data.get("code"))
    try:
        return VoiceServiceError(ErrorCode(code), text)
    except ValueError:
        return VoiceServiceError(ErrorCode.ENGINE_FAILED, f"{text} ({code})" if code else text)


def _voice(voice: dict[str, Any]) -> NodeVoice:
    languages = voice.get("languages")
    return NodeVoice(
        name=_text(voice.get("name")),
        description=_text(voice.get("description")),
        languages=tuple(_text(tag) for tag in languages) if isinstance(languages, list) else (),
        speakers=tuple(_text(speaker.get("name")) for speaker in _objects(voice.get("speakers"))),
        installed=voice.get("installed") is True,
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def no_node(message: str) -> VoiceServiceError:
    """The error for a server that does not answer, or not as one."""
    return VoiceServiceError(ErrorCode.NO_NODE, message)
