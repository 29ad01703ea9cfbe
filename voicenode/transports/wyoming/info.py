"""The answer to `describe`: one program, named as the node is, with the voices of every engine.

Home Assistant reads only the first program, polls every 30 seconds, and fails on a voice without attribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker

from voicenode.framing import Frame, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicenode.processor import VoiceProcessor
    from voicenode.voice import Voice


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
    program = TtsProgram(
        name=name,
        attribution=Attribution(name="voicenode", url=""),
        installed=True,
        description=f"Voice node {name}",
        version=version,
        voices=[_voice(voice, version, languages) for voice, languages in _named(voices)],
        supports_synthesize_streaming=True,
    )
    return encode(Frame("info", Info(tts=[program]).event().data))


def _named(voices: Iterable[Voice]) -> Iterator[tuple[Voice, Sequence[str]]]:
    """Each voice with its languages; a multilingual one once for each language, under a name of its own.

    Home Assistant lists the voices of a language, and then sends the name alone.
    """
    for voice in voices:
        if not voice.advertised:
            continue
        if not voice.multilingual:
            yield voice, voice.languages
            continue
        for tag in voice.languages:
            if own := voice.of_language(tag):
                yield own, (tag,)


def _voice(voice: Voice, version: str, languages: Sequence[str]) -> TtsVoice:
    return TtsVoice(
        name=voice.name,
        attribution=Attribution(name=voice.engine, url=""),
        installed=True,
        description=voice.description,
        version=str(voice.revision) if voice.cloned else version,
        languages=list(languages),
        speakers=[TtsVoiceSpeaker(name=speaker) for speaker in voice.speakers] or None,
    )
