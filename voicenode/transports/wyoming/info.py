"""The answer to `describe`: one program, named as the node is, with the voices of every engine.

Home Assistant reads only the first program, polls every 30 seconds, and fails on a voice without attribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicenode.framing import Frame, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicenode.processor import VoiceProcessor
    from voicenode.voice import Voice

_OTHER_SERVICES = ("asr", "handle", "intent", "wake", "mic", "snd")
"""What the stock library names even where there is nothing."""


class Description:
    """The bytes of `info`, made again only when the catalogue was replaced."""

    def __init__(self, processor: VoiceProcessor, name: str, version: str) -> None:
        self._processor = processor
        self._name = name
        self._version = version
        self._catalogue: object = None
        self._info = b""

    def __call__(self) -> bytes:
        if self._catalogue is not self._processor.catalogue:
            self._catalogue = self._processor.catalogue
            self._info = _info(self._name, self._version, self._processor.catalogue)
        return self._info


def _info(name: str, version: str, voices: Iterable[Voice]) -> bytes:
    """As the stock library would write it; its dataclasses take ten times as long for a thousand voices."""
    program = {
        "name": name,
        "attribution": {"name": "voicenode", "url": ""},
        "installed": True,
        "description": f"Voice node {name}",
        "version": version,
        "voices": [each for voice in voices if voice.advertised for each in _described(voice, version)],
        "supports_synthesize_streaming": True,
    }
    others: dict[str, Any] = dict.fromkeys(_OTHER_SERVICES, ())
    return encode(Frame("info", {**others, "tts": [program]}))


def _listed(voice: Voice) -> Iterator[tuple[str, Sequence[str]]]:
    """The names of a voice with their languages; a multilingual one has a name of its own for each language.

    Home Assistant lists the voices of a language, and then sends the name alone.
    """
    if not voice.multilingual:
        yield voice.name, voice.languages
        return
    for tag in voice.languages:
        yield f"{voice.name}-{tag.casefold()}", (tag,)


def _described(voice: Voice, version: str) -> Iterator[dict[str, Any]]:
    same = {
        "attribution": {"name": voice.engine, "url": ""},
        "installed": True,
        "description": voice.description,
        "version": str(voice.revision) if voice.cloned else version,
        "speakers": [{"name": speaker} for speaker in voice.speakers] or None,
    }
    for name, languages in _listed(voice):
        yield {"name": name, "languages": languages, **same}
