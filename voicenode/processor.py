"""THE PATH: a synthesis request becomes segments, takes turns on an engine, and comes back as one Speech."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from voicenode.audio import apply_gain
from voicenode.buffer import Buffer
from voicenode.engine import Segment
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.report import reported
from voicenode.text import Lexicon, Segmenter, segment_ssml, strip_ssml

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping

    from voicenode.audio import PcmFormat
    from voicenode.engine import EngineInfo
    from voicenode.report import Observer
    from voicenode.voices import Catalogue, Choice, Voice
    from voicenode.workers.pool import EnginePool, Turns

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
    speed: float | None = None
    """1.0 is the voice's natural speed."""
    volume: float | None = None
    """A factor on the samples; what would be too loud is clipped."""
    live: bool = True
    """A live request goes ahead of batch work at the next segment border."""
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


class Speech:
    """The sound of one request: iterate over it once for its PCM, in order, in one format."""

    def __init__(self, choice: Choice, pcm_format: PcmFormat, chunks: AsyncIterator[bytes]) -> None:
        self.choice = choice
        self.format = pcm_format
        self._chunks = chunks

    @property
    def voice(self) -> Voice:
        """Who speaks."""
        return self.choice.voice

    def __aiter__(self) -> AsyncIterator[bytes]:
        """PCM chunks of whole frames.

        Raises:
            VoiceServiceError: what went wrong, after all that was spoken before it.
        """
        return self._chunks


class VoiceProcessor:
    """Turns requests into speech with the voices of a catalogue and the engines of a pool.

    Each of `observers` is told once of every request, at its end.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pool: EnginePool,
        engines: Mapping[str, EngineInfo],
        rules: SpeechRules,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.catalogue = catalogue
        self.observers = list(observers)
        self._pool = pool
        self.engines = engines
        self._rules = rules
        self._live: dict[asyncio.Task[None], Buffer] = {}
        self._cancellations = 0

    @asynccontextmanager
    async def speak(self, request: SynthesisRequest) -> AsyncIterator[Speech]:
        """Speak a request; leaving the context cancels what is not spoken yet and frees the engine.

        Raises:
            RequestError: the request cannot be spoken as it stands.
            BusyError: the engine's memory is in use.
            EngineError: the voice's engine cannot be loaded.
        """
        with reported(request.door, self.observers) as tally:
            choice = self.catalogue.choose(request.voice, request.speaker, request.language, request.engine)
            tally.engine, tally.voice = choice.voice.engine, choice.voice.name
            self._check(request)
            cancellations = self._cancellations
            async with self._pool.hold(choice.voice.engine, live=request.live) as turns:
                if request.live and self._cancellations > cancellations:
                    raise _cancelled()
                buffer = Buffer(round(self._rules.buffer_seconds * turns.format.bytes_per_second), tally)
                making = asyncio.create_task(self._fill(buffer, request, choice, turns), name="make speech")
                if request.live:
                    self._live[making] = buffer
                try:
                    yield Speech(choice, turns.format, buffer.chunks())
                finally:
                    self._live.pop(making, None)
                    making.cancel()
                    await asyncio.wait([making])
                    tally.audio_seconds = turns.format.seconds(buffer.made)
                    tally.engine_seconds = turns.seconds

    @property
    def live(self) -> int:
        """How many live requests are being spoken."""
        return len(self._live)

    def cancel_live(self) -> int:
        """End every live request, whoever listens: what is not taken yet is lost; how many there were."""
        self._cancellations += 1
        for making, buffer in self._live.items():
            making.cancel()
            buffer.break_off(_cancelled())
        return len(self._live)

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

    async def _fill(self, buffer: Buffer, request: SynthesisRequest, choice: Choice, turns: Turns) -> None:
        try:
            await self._make(buffer, request, choice, turns)
        except Exception as error:  # noqa: BLE001 - not handled here: the listener raises it
            buffer.end(error)
        else:
            buffer.end()

    async def _make(self, buffer: Buffer, request: SynthesisRequest, choice: Choice, turns: Turns) -> None:
        gain = self._rules.volume if request.volume is None else request.volume
        if gain != 1.0:
            # The first use imports numpy, which must not keep the event loop.
            await asyncio.to_thread(apply_gain, b"", gain)
        between = turns.format.silence(self._rules.sentence_silence)
        pause = b""
        async for segment in self._segments(request, choice):
            await buffer.room()
            buffer.tally.characters += len(segment.text)
            async with aclosing(turns.synthesize(segment)) as chunks:
                async for chunk in chunks:
                    if pause:
                        buffer.put(pause)
                        pause = b""
                    buffer.put(chunk if gain == 1.0 else apply_gain(chunk, gain))
            pause = between if buffer.made else b""
        if not buffer.made:
            buffer.put(turns.format.silence(BLANK_SECONDS))

    async def _segments(self, request: SynthesisRequest, choice: Choice) -> AsyncIterator[Segment]:
        ssml = request.text_format == "ssml" and self.engines[choice.voice.engine].ssml
        texts = self._ssml_texts(request) if ssml else self._plain_texts(request, choice)
        async for text in texts:
            yield Segment(
                text=text,
                voice=choice.voice.id,
                language=choice.language,
                speaker=choice.speaker,
                speed=self._rules.speed if request.speed is None else request.speed,
                ssml=ssml,
            )

    async def _ssml_texts(self, request: SynthesisRequest) -> AsyncIterator[str]:
        document = await self._whole(request)
        for text in await asyncio.to_thread(segment_ssml, document, self._rules.segment_chars):
            yield text

    async def _plain_texts(self, request: SynthesisRequest, choice: Choice) -> AsyncIterator[str]:
        segmenter = Segmenter(choice.language, self._rules.segment_chars, self._rules.lexicon)
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
