"""THE PATH: a synthesis request becomes segments, takes turns on an engine, and comes back as one Speech."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from voicenode.audio import apply_gain
from voicenode.breaker import Breaker
from voicenode.buffer import Buffer
from voicenode.cast import Cast, FallbackRules, candidates
from voicenode.engine import Segment
from voicenode.errors import EngineError, ErrorCode, RequestError, VoiceServiceError
from voicenode.report import reported
from voicenode.text import Lexicon, Segmenter, segment_ssml, strip_ssml

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
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
    from voicenode.voices import Catalogue, Choice, Voice
    from voicenode.workers.pool import EnginePool

BLANK_SECONDS = 0.1
"""Silence for a text with nothing to speak, such as a lone emoji: clients need some audio to be content."""

SPEED_RANGE = (0.25, 4.0)
"""What a request may ask for as speed; beyond it no engine is understood."""

_FEED_CHARS = 2000
"""Characters of a long text that are cut into segments at a time, so that the event loop stays free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRequest:
    """What a client asks for; every absent field is the node's or the voice's default."""

    text: str | AsyncIterable[str]
    """Whole, or in pieces that may be split anywhere, while it is still being written."""
    text_format: Literal["text", "ssml"] = "text"
    voice: str | None = None
    speaker: str | None = None
    language: str | None = None
    engine: str | None = None
    quality: str | None = None
    """The name of a quality profile of the voice's engine."""
    speed: float | None = None
    """1.0 is the voice's natural speed."""
    volume: float | None = None
    """A factor on the samples; what would be too loud is clipped."""
    live: bool = True
    """A live request goes ahead of batch work at the next segment border."""
    keep_alive: float | None = None
    """Seconds that the engine stays loaded; 0: none, -1: for ever, None: as the node's idle timeout says."""
    door: str = ""
    """Which transport asks, for the statistics alone."""
    max_chars: int | None = None
    """Another bound for the text than the node's, such as for a book chapter; the node sets it, no client."""


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
        with reported(request.door, self.observers) as tally:
            choices = self._choices(request)
            tally.engine, tally.voice = choices[0].voice.engine, choices[0].voice.name
            self._check(request)
            cast = self._cast(request, choices)
            buffer = Buffer(self._rules.buffer_seconds, tally)
            making = asyncio.create_task(self._fill(buffer, request, cast, choices), name="make speech")
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

    def _choices(self, request: SynthesisRequest) -> list[Choice]:
        """Who may speak, the chosen voice first."""
        choice = self.catalogue.choose(request.voice, request.speaker, request.language, request.engine)
        if request.quality:
            choice = replace(choice, quality=request.quality)
        named = bool(request.voice or request.engine)
        found = candidates(self.catalogue, self._rules.fallback, choice, named=named)
        return [self._in_quality(choice) for choice in found]

    def _in_quality(self, choice: Choice) -> Choice:
        """In the profile that was asked for, else the voice's, else the node's; who steps in has its own."""
        profile = self.quality.resolve(choice.voice.engine, choice.quality, choice.voice.quality)
        return replace(choice, quality=profile.name if profile else None)

    def _cast(self, request: SynthesisRequest, choices: Sequence[Choice]) -> Cast:
        return Cast(
            self._pool,
            self._breakers,
            choices,
            live=request.live,
            keep_alive=request.keep_alive,
            first_audio_timeout=self._rules.fallback.first_audio_timeout,
            lend_artefacts=self.lend_artefacts,
        )

    def _check(self, request: SynthesisRequest) -> None:
        if isinstance(request.text, str):
            self._check_length(len(request.text), request)
        slowest, fastest = SPEED_RANGE
        if request.speed is not None and not slowest <= request.speed <= fastest:
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"speed {request.speed:g} is not within {slowest:g} and {fastest:g}"
            )

    def _check_length(self, chars: int, request: SynthesisRequest) -> None:
        limit = self._rules.max_chars if request.max_chars is None else request.max_chars
        if chars > limit:
            raise RequestError(
                ErrorCode.TEXT_TOO_LONG, f"the text has {chars} characters; text.max_chars allows {limit}"
            )

    async def _fill(
        self, buffer: Buffer, request: SynthesisRequest, cast: Cast, choices: Sequence[Choice]
    ) -> None:
        try:
            async with cast:
                await self._make(buffer, request, cast, choices)
        except Exception as error:  # noqa: BLE001 - not handled here: the listener raises it
            buffer.end(error)
        else:
            buffer.end()

    async def _make(
        self, buffer: Buffer, request: SynthesisRequest, cast: Cast, choices: Sequence[Choice]
    ) -> None:
        gain = self._rules.volume if request.volume is None else request.volume
        if gain != 1.0:
            # The first use imports numpy, which must not keep the event loop.
            await asyncio.to_thread(apply_gain, b"", gain)
        pause = 0.0
        # Only if all who may have to speak it understand it.
        ssml = request.text_format == "ssml" and all(engine.info.ssml for engine in self._all(choices))
        async for text in self._texts(request, choices, ssml=ssml):
            await buffer.room()
            buffer.tally.characters += len(text)
            segment = partial(self._segment, request, text, ssml=ssml)
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

    def _texts(
        self, request: SynthesisRequest, choices: Sequence[Choice], *, ssml: bool
    ) -> AsyncIterator[str]:
        """The segments, short enough for all who may have to speak them."""
        language = choices[0].language
        limits = [engine.max_chars(language) for engine in self._all(choices)]
        max_chars = min([self._rules.segment_chars, *(limit for limit in limits if limit is not None)])
        if ssml:
            return self._ssml_texts(request, max_chars)
        return self._plain_texts(request, language, max_chars)

    def _all(self, choices: Sequence[Choice]) -> list[TTSEngine[Any]]:
        return [self.engines[choice.voice.engine] for choice in choices]

    async def _ssml_texts(self, request: SynthesisRequest, max_chars: int) -> AsyncIterator[str]:
        document = await self._whole(request)
        for text in await asyncio.to_thread(segment_ssml, document, max_chars):
            yield text

    async def _plain_texts(
        self, request: SynthesisRequest, language: str, max_chars: int
    ) -> AsyncIterator[str]:
        segmenter = Segmenter(language, max_chars, self._rules.lexicon)
        async for piece in self._plain_pieces(request):
            for text in segmenter.feed(piece):
                yield text
        for text in segmenter.finish():
            yield text

    async def _plain_pieces(self, request: SynthesisRequest) -> AsyncIterator[str]:
        if request.text_format == "ssml":
            yield await asyncio.to_thread(strip_ssml, await self._whole(request))
            return
        async for piece in self._pieces(request):
            yield piece

    async def _whole(self, request: SynthesisRequest) -> str:
        return "".join([piece async for piece in self._pieces(request)])

    async def _pieces(self, request: SynthesisRequest) -> AsyncIterator[str]:
        if isinstance(request.text, str):
            for start in range(0, len(request.text), _FEED_CHARS):
                yield request.text[start : start + _FEED_CHARS]
            return
        chars = 0
        async for piece in request.text:
            chars += len(piece)
            self._check_length(chars, request)
            yield piece


def _cancelled() -> VoiceServiceError:
    return VoiceServiceError(ErrorCode.CANCELLED, "speaking was cancelled for all who listened")
