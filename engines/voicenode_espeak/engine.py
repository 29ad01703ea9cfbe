"""The engine: which voices there are, and how a segment becomes PCM."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le

from voicenode.engine import (
    EngineInfo,
    EngineVoice,
    ErrorCode,
    Event,
    PcmFormat,
    RequestError,
    Segment,
    TTSEngine,
)
from voicenode.errors import SetupError
from voicenode_espeak.voices import SPEAKERS, VoiceFile, data_folder, primary, variants, voice_files

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence

    from voicenode_espeak.library import Library

SLOWEST = 80
"""Words per minute below which eSpeak itself does not go."""
_HANDED_OVER = 2
"""Buffers handed over at once after the first: each hand-over costs a tenth of the buffer's making."""
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")
"""U+0001 starts commands to eSpeak, U+0000 ends the text; no control character can be heard."""


@dataclass(frozen=True, slots=True)
class EspeakOptions:
    """The settings of the engine."""

    languages: tuple[str, ...] = ()
    """Languages whose voices are advertised, such as en or en-US; empty for all."""
    rate: Annotated[int, Ge(80), Le(450)] = 175
    """Words per minute."""
    pitch: Annotated[int, Ge(0), Le(100)] = 50
    """From 0, low, to 100, high."""


class EspeakEngine(TTSEngine[EspeakOptions]):
    """eSpeak NG out of the wheel of espeakng-loader."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="espeak",
        description="eSpeak NG: small and instant, more than a hundred languages",
        licence="GPL-3.0-or-later",
        url="https://github.com/espeak-ng/espeak-ng",
        version="1.52.0",
        ssml=True,
    )
    options_type: ClassVar[type[EspeakOptions]] = EspeakOptions

    _library: Library

    def voices(self) -> Sequence[EngineVoice]:
        """Every voice whose dictionary is installed; those outside `languages` are hidden.

        Raises:
            SetupError: a language in the settings is none of eSpeak's.
            EngineError: eSpeak NG is not installed.
        """
        files = voice_files()
        for language in self.options.languages:
            if not any(_speaks(voice, language) for voice in files):
                raise SetupError(ErrorCode.BAD_SETTINGS, _unknown_language(language, files))
        return [self._engine_voice(voice) for voice in files]

    def load(self) -> PcmFormat:
        data = data_folder()
        from espeakng_loader import get_library_path  # noqa: PLC0415  (not where voices are only offered)

        from voicenode_espeak.library import Library  # noqa: PLC0415  (ctypes, likewise)

        self._path = Path(get_library_path())
        self._library = Library(self._path, data)
        self._files = {voice.id: voice for voice in voice_files()}
        first = voice_files()[0].identifier  # any: at the first one eSpeak reads its own list of voices
        self._library.select(first, rate=self.options.rate, pitch=self.options.pitch)
        return PcmFormat(self._library.rate)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        voice = self._voice(segment)
        text = self._text(segment, voice)
        wanted = self.options.rate * segment.speed
        rate = max(SLOWEST, round(wanted))
        identifier = voice.identifier + (f"+{segment.speaker}" if segment.speaker else "")
        self._library.select(identifier, rate=rate, pitch=self.options.pitch)
        with closing(self._speak(text, stop, ssml=segment.ssml)) as chunks:
            yield from self._slower(chunks, wanted / SLOWEST) if wanted < SLOWEST else chunks

    def _engine_voice(self, voice: VoiceFile) -> EngineVoice:
        shown = [name for name in variants() if name in SPEAKERS]
        wanted = self.options.languages
        return EngineVoice(
            id=voice.id,
            description=voice.description,
            languages=voice.languages,
            speakers=tuple(shown),
            other_speakers=variants()[len(shown) :],
            advertised=not wanted or any(_speaks(voice, language) for language in wanted),
        )

    def _voice(self, segment: Segment) -> VoiceFile:
        if segment.voice not in self._files:
            raise RequestError(ErrorCode.UNKNOWN_VOICE, _unknown("voice", segment.voice, self._files))
        if segment.speaker and segment.speaker not in variants():
            raise RequestError(ErrorCode.UNKNOWN_SPEAKER, _unknown("speaker", segment.speaker, variants()))
        return self._files[segment.voice]

    def _text(self, segment: Segment, voice: VoiceFile) -> str:
        if not segment.ssml:
            return segment.text.translate(_CONTROLS).encode(errors="ignore").decode()
        from voicenode_espeak.ssml import for_espeak  # noqa: PLC0415  (an XML parser, for the few who send SSML)

        # eSpeak cannot change to another voice and keep a variant: it would go on in English.
        return for_espeak(segment.text, voice, () if segment.speaker else self._files.values())

    def _slower(self, chunks: Iterator[bytes], speed: float) -> Iterator[bytes]:
        from voicenode_espeak.stretch import stretch  # noqa: PLC0415  (rarely needed)

        return stretch(chunks, self._path, self._library.rate, speed)

    def _speak(self, text: str, stop: Event, *, ssml: bool) -> Generator[bytes]:
        """PCM while eSpeak makes it.

        eSpeak calls back from inside one long call, and a generator cannot yield from a callback: so the call
        runs in a thread, which ends as soon as nobody listens any more.
        """
        made: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        abandoned = Event()

        buffers: list[bytes] = []
        wanted = 1

        def sink(pcm: bytes) -> bool:
            nonlocal wanted
            buffers.append(pcm)
            if len(buffers) >= wanted:
                made.put(b"".join(buffers))
                buffers.clear()
                wanted = _HANDED_OVER
            return not (stop.is_set() or abandoned.is_set())

        def run() -> None:
            try:
                self._library.speak(text, sink, ssml=ssml)
                if buffers:
                    made.put(b"".join(buffers))
            except Exception as error:  # noqa: BLE001  (crosses to the listener's thread, and is raised there)
                made.put(error)
            finally:
                made.put(None)

        thread = Thread(target=run, name="espeak", daemon=True)
        thread.start()
        chunks: Iterator[bytes | Exception] = iter(made.get, None)
        try:
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            abandoned.set()
            thread.join()


def _speaks(voice: VoiceFile, wanted: str) -> bool:
    """Whether one of a voice's languages is the wanted one, or a variety of it."""
    wanted = wanted.casefold()
    return any(f"{tag}-".casefold().startswith(f"{wanted}-") for tag in voice.languages)


def _unknown_language(wanted: str, files: Sequence[VoiceFile]) -> str:
    tags = sorted({tag for voice in files for tag in (*voice.languages, primary(voice.languages[0]))})
    return f"espeak.languages: {_unknown('language', wanted, tags)}"


def _unknown(kind: str, wanted: str, known: Collection[str]) -> str:
    """A sentence that says what is not there, and what is there that looks like it."""
    spelled = {name.casefold(): name for name in known}
    near = get_close_matches(wanted.casefold(), spelled, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(spelled[name] for name in near)}?" if near else ""
    return f"eSpeak NG has no {kind} {wanted[:40]!r}{hint}"
