"""THE PATH: a synthesis request becomes segments, takes turns on an engine, and comes back as one Speech."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from voicenode.audio import apply_gain
from voicenode.breaker import Breaker
from voicenode.buffer import Buffer
from voicenode.cast import Cast, FallbackRules, candidates
from voicenode.engine import Segment
from voicenode.errors import EngineError, ErrorCode, VoiceServiceError
from voicenode.manuscript import Manuscript
from voicenode.report import reported, text_log
from voicenode.text import Lexicon

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Iterable,
        Mapping,
        Sequence,
    )

    from voicenode.audio import PcmFormat
    from voicenode.cast import LendArtefacts
    from voicenode.engine import TTSEngine
    from voicenode.quality import QualityProfiles
    from voicenode.report import Observer
    from voicenode.request import SynthesisRequest
    from voicenode.voice import Choice, Voice
    from voicenode.voices import Catalogue
    from voicenode.workers.pool import EnginePool

BLANK_SECONDS = 0.1
"""Silence for a text with nothing to speak, such as a lone emoji: clients need some audio to be content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRules:
    """How this node speaks when a request does not say."""

    max_chars: int = 20_000
    """Characters of one request's text."""
    segment_chars: int = 400
    """Characters of one segment."""
    sentence_silence: float = 0.15
    """Seconds between two segments."""
    speed: float = 1.0
    volume: float = 1.0
    buffer_seconds: float = 30.0
    """A listener who has this much sound waiting gets no further segment until some is taken."""
    lexicon: Lexicon = field(default_factory=Lexicon)
    fallback: FallbackRules = field(default_factory=FallbackRules)


class Speaking(Protocol):
    """Who speaks, as far as listeners may know."""

    @property
    def choice(self) -> Choice: ...
    @property
    def warning(self) -> str | None: ...


class Speech:
    """The sound of one request: iterate over it once for its PCM, in order, in one format."""

    def __init__(self, cast: Speaking, pcm_format: PcmFormat, chunks: AsyncIterator[bytes]) -> None:
        self.format = pcm_format
        self._cast = cast
        self._chunks = chunks

    @property
    def voice(self) -> Voice:
        """Who speaks now."""
        return self._cast.choice.voice

    @property
    def quality(self) -> str | None:
        """The quality profile in which it is spoken; None for the engine's own ways."""
        return self._cast.choice.quality

    @property
    def warning(self) -> str | None:
        """Why another voice than the chosen one speaks; None while it does not."""
        return self._cast.warning

    def __aiter__(self) -> AsyncIterator[bytes]:
        """PCM chunks of whole frames.

        Raises:
            VoiceServiceError: what went wrong, after all that was spoken before it.
        """
        return self._chunks


class VoiceProcessor:
    """Turns requests into speech with the voices of a catalogue and the engines of a pool.

    Each of `observers` is told once of every request, at its end. `lend_artefacts` is set where the catalogue
    may have cloned voices.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pool: EnginePool,
        engines: Mapping[str, TTSEngine[Any]],
        rules: SpeechRules,
        quality: QualityProfiles,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.quality = quality
        self.catalogue = catalogue
        self.engines = engines
        self.observers = list(observers)
        self.lend_artefacts: LendArtefacts | None = None
        self._pool = pool
        self._rules = rules
        self._breakers = {name: Breaker(name, rules.fallback.rest) for name in engines}
        self._live: dict[asyncio.Task[None], Buffer] = {}

    @asynccontextmanager
    async def speak(self, request: SynthesisRequest) -> AsyncIterator[Speech]:
        """Speak a request, from its first sound on; leaving the context cancels what is not spoken yet.

        Raises:
            RequestError: the request cannot be spoken as it stands.
            BusyError: too many requests wait, or the engine's memory is in use.
            EngineError: the voice's engine failed before the first sound, and no other voice may step in.
        """
        with reported(request.door, self.observers, request.peer) as tally:
            request.check()
            choice = self._choice(request)
            tally.engine, tally.voice = choice.voice.engine, choice.voice.name
            limit = self._rules.max_chars if request.max_chars is None else request.max_chars
            text = Manuscript(request, limit)
            cast = self._cast(request, choice)
            buffer = Buffer(self._rules.buffer_seconds, tally)
            making = asyncio.create_task(self._fill(buffer, request, text, cast), name="make speech")
            if request.live:
                self._live[making] = buffer
            try:
                yield Speech(cast, await buffer.begun(), buffer.chunks())
            finally:
                self._live.pop(making, None)
                making.cancel()
                await asyncio.wait([making])
                tally.engine, tally.voice = cast.choice.voice.engine, cast.choice.voice.name
                tally.audio_seconds = buffer.seconds
                tally.engine_seconds = cast.seconds

    @property
    def live(self) -> int:
        """How many live requests are being spoken."""
        return len(self._live)

    def cancel_live(self) -> int:
        """End every live request, whoever listens: what is not taken yet is lost; how many there were."""
        for making, buffer in self._live.items():
            making.cancel()
            buffer.break_off(_cancelled())
        return len(self._live)

    def _choice(self, request: SynthesisRequest) -> Choice:
        """Who is to speak."""
        choice = self.catalogue.choose(request.voice, request.speaker, request.language, request.engine)
        return self._in_quality(replace(choice, quality=request.quality) if request.quality else choice)

    def _candidates(self, request: SynthesisRequest, choice: Choice) -> list[Choice]:
        """Who may speak, the chosen voice first."""
        named = bool(request.voice or request.engine)
        found = candidates(self.catalogue, self._rules.fallback, choice, named=named)
        return [self._in_quality(each) for each in found]

    def _in_quality(self, choice: Choice) -> Choice:
        """In the profile that was asked for, else the voice's, else the node's; who steps in has its own."""
        profile = self.quality.resolve(choice.voice.engine, choice.quality, choice.voice.quality)
        return replace(choice, quality=profile.name if profile else None)

    def _cast(self, request: SynthesisRequest, choice: Choice) -> Cast:
        return Cast(
            self._pool,
            self._breakers,
            choice,
            live=request.live,
            keep_alive=request.keep_alive,
            first_audio_timeout=self._rules.fallback.first_audio_timeout,
            lend_artefacts=self.lend_artefacts,
        )

    async def _fill(self, buffer: Buffer, request: SynthesisRequest, text: Manuscript, cast: Cast) -> None:
        try:
            async with AsyncExitStack() as stack:
                choice = cast.choice
                if choice.language_open:
                    await stack.enter_async_context(self._warmed(request, choice))
                    choice = await self._in_language(text, choice)
                cast.choices = self._candidates(request, choice)
                await stack.enter_async_context(cast)
                await self._make(buffer, request, text, cast)
        except Exception as error:  # noqa: BLE001 - not handled here: the listener raises it
            buffer.end(error)
        else:
            buffer.end()

    @asynccontextmanager
    async def _warmed(self, request: SynthesisRequest, choice: Choice) -> AsyncIterator[None]:
        """An engine that is loaded while the text, whose language is to be told, may still be written."""

        async def hold() -> None:
            with suppress(VoiceServiceError):  # who speaks meets it again
                async with self._pool.hold(
                    choice.voice.engine, live=request.live, keep_alive=request.keep_alive
                ):
                    await asyncio.Event().wait()

        holding = asyncio.create_task(hold(), name=f"warm engine {choice.voice.engine}")
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.wait([holding])

    async def _in_language(self, text: Manuscript, choice: Choice) -> Choice:
        """The same voice in the language of the text, as far as that can be told."""
        voice, default = choice.voice, self.catalogue.default or choice.voice
        usual = voice.spelling(default.languages[0]) or voice.languages[0]
        language = await text.language(voice.languages, otherwise=usual)
        return replace(choice, language=language, language_open=False)

    async def _make(self, buffer: Buffer, request: SynthesisRequest, text: Manuscript, cast: Cast) -> None:
        gain = self._rules.volume if request.volume is None else request.volume
        if gain != 1.0:
            # The first use imports numpy, which must not keep the event loop.
            await asyncio.to_thread(apply_gain, b"", gain)
        pause = 0.0
        language = cast.choices[0].language
        # Only if all who may have to speak it understand it.
        ssml = request.text_format == "ssml" and all(engine.info.ssml for engine in self._all(cast.choices))
        max_chars = self._max_chars(language, cast.choices)
        async for part in text.segments(language, max_chars, self._rules.lexicon, ssml=ssml):
            await buffer.room()
            buffer.tally.characters += len(part)
            text_log.info("%s %s: %s", request.door, request.peer, part)
            segment = partial(self._segment, request, part, ssml=ssml)
            async for chunk in self._spoken(cast, segment, buffer):
                if pause:
                    buffer.put(buffer.format.silence(pause))
                    pause = 0.0
                buffer.put(chunk if gain == 1.0 else apply_gain(chunk, gain))
            pause = self._rules.sentence_silence if buffer.made else 0.0
        if not buffer.made:
            buffer.begin(cast.format)
            buffer.put(buffer.format.silence(BLANK_SECONDS))

    async def _spoken(
        self, cast: Cast, segment: Callable[[Choice], Segment], buffer: Buffer
    ) -> AsyncGenerator[bytes]:
        """One segment by who has the stage, or by who steps in while nothing of it was heard."""
        heard = False
        while True:
            try:
                speaking = cast.speak(segment(cast.choice), first=not buffer.made)
                async with (
                    aclosing(speaking) as chunks,
                    aclosing(buffer.fitted(chunks, cast.format)) as fitted,
                ):
                    async for chunk in fitted:
                        heard = True
                        yield chunk
            except EngineError as error:
                if heard:
                    raise
                await cast.step_in(error)
            else:
                return

    def _segment(self, request: SynthesisRequest, text: str, choice: Choice, *, ssml: bool) -> Segment:
        profile = self.quality.resolve(choice.voice.engine, choice.quality)
        speeds = (request.speed, profile.speed if profile else None)
        return Segment(
            text=text,
            voice=choice.voice.id,
            language=choice.language,
            speaker=choice.speaker,
            speed=next((speed for speed in speeds if speed is not None), self._rules.speed),
            ssml=ssml,
            parameters=profile.parameters if profile else {},
        )

    def _max_chars(self, language: str, choices: Sequence[Choice]) -> int:
        """How long a segment may be for all who may have to speak it."""
        limits = [engine.max_chars(language) for engine in self._all(choices)]
        return min([self._rules.segment_chars, *(limit for limit in limits if limit is not None)])

    def _all(self, choices: Sequence[Choice]) -> list[TTSEngine[Any]]:
        return [self.engines[choice.voice.engine] for choice in choices]


def _cancelled() -> VoiceServiceError:
    return VoiceServiceError(ErrorCode.CANCELLED, "speaking was cancelled for all who listened")
