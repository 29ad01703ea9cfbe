"""The answer to `describe`: one program, named as the node is, with the voices of every engine.

Home Assistant reads only the first program, polls every 30 seconds, and fails on a voice without attribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker

from voicenode.framing import encode_object, encode_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from voicenode.processor import VoiceProcessor
    from voicenode.voice import Voice

_NO_VOICES = b'"voices": []'
"""Where the voices belong; within a text of the node's its quotes would be escaped."""


class Description:
    """The bytes of `info`, made again only when the catalogue was replaced, and of its voices the new ones.

    Hundreds of voices, each in many languages, are megabytes: to make them anew for each that comes or goes
    would keep the event loop for half a second.
    """

    def __init__(self, processor: VoiceProcessor, name: str, version: str) -> None:
        self._processor = processor
        self._version = version
        self._before, _, self._after = encode_object(_program(name, version)).partition(_NO_VOICES)
        self._catalogue: object = None
        self._voices: dict[Voice, bytes] = {}
        self._info = b""

    def __call__(self) -> bytes:
        catalogue = self._processor.catalogue
        if self._catalogue is not catalogue:
            self._info = self._made(catalogue)
            self._catalogue = catalogue
        return self._info

    def _made(self, voices: Iterable[Voice]) -> bytes:
        known, version = self._voices, self._version
        self._voices = {
            voice: known.get(voice) or _encoded(voice, version) for voice in voices if voice.advertised
        }
        listed = b", ".join(self._voices.values())
        return encode_ready("info", b"".join((self._before, b'"voices": [', listed, b"]", self._after)))


def _program(name: str, version: str) -> dict[str, Any]:
    """The data of an `info` without voices."""
    program = TtsProgram(
        name=name,
        attribution=Attribution(name="voicenode", url=""),
        installed=True,
        description=f"Voice node {name}",
        version=version,
        voices=[],
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program]).event().data


def _encoded(voice: Voice, version: str) -> bytes:
    return b", ".join(map(encode_object, _named(voice, version)))


def _named(voice: Voice, version: str) -> Iterator[dict[str, Any]]:
    """A voice; if it is multilingual, once for each language, under a name of its own.

    Home Assistant lists the voices of a language, and then sends the name alone.
    """
    told = _voice(voice, version).to_dict()
    if not voice.multilingual:
        yield told
        return
    for tag in voice.languages:
        yield {**told, "name": voice.name_in(tag), "languages": [tag]}


def _voice(voice: Voice, version: str) -> TtsVoice:
    return TtsVoice(
        name=voice.name,
        attribution=Attribution(name=voice.engine, url=""),
        installed=True,
        description=voice.description,
        version=str(voice.revision) if voice.cloned else version,
        languages=list(voice.languages),
        speakers=[TtsVoiceSpeaker(name=speaker) for speaker in voice.speakers] or None,
    )
