"""Who speaks one request: the voice that was chosen, and who may step in for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voicenode.errors import EngineError, ErrorCode, RequestError
from voicenode.voice import Choice, Voice, base_language, speaks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from voicenode.audio import PcmFormat
    from voicenode.breaker import Breaker
    from voicenode.engine import Segment
    from voicenode.voices import Catalogue
    from voicenode.workers.pool import EnginePool
    from voicenode.workers.turns import Turns

_log = logging.getLogger(__name__)

LendArtefacts = Callable[[Voice], AbstractAsyncContextManager[str]]
"""The path of what an engine keeps of a cloned voice, which stays there until the context is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackRules:
    """Who may step in when an engine fails, and when it is given up."""

    engines: Sequence[str] = ()
    """One steps in for those before it, where the request named no voice or it has the same voice."""
    voices: Mapping[str, str] = field(default_factory=dict)
    """Language tag -> the voice that the owner lets step in for any other."""
    first_audio_timeout: float = 0.0
    """Seconds until an engine that has not made a sound for a live request is given up; 0: never."""
    rest: float = 60.0
    """Seconds that an engine which keeps failing is left alone."""


def candidates(
    catalogue: Catalogue, rules: FallbackRules, choice: Choice, *, named: bool
) -> Iterator[Choice]:
    """The chosen voice, then all that keep the promise; `named` says that it was asked for by name."""
    yield choice
    own = choice.voice.engine
    later = rules.engines[rules.engines.index(own) + 1 :] if own in rules.engines else ()
    for engine in later:
        voice = (
            catalogue.find(f"{engine}-{choice.voice.id}")
            if named
            else catalogue.speaker_of(choice.language, engine)
        )
        if voice is not None and (speaks(voice, choice.language) or not named):
            yield Choice(voice, None, choice.language)
    for tag in (choice.language, base_language(choice.language)):
        if tag in rules.voices and (voice := catalogue.find(rules.voices[tag])) is not None:
            yield Choice(voice, None, choice.language)


class Cast:
    """The voices that may speak one request, of which one has the stage.

    Entering loads the first engine of `choices` that can be loaded; `turns` and `choice` are those of who
    speaks now.
    """

    turns: Turns
    choices: Sequence[Choice]
    """Who may speak, in the order in which they are asked; to be set before this is entered."""

    def __init__(
        self,
        pool: EnginePool,
        breakers: Mapping[str, Breaker],
        choice: Choice,
        *,
        live: bool,
        keep_alive: float | None,
        first_audio_timeout: float,
        lend_artefacts: LendArtefacts | None = None,
    ) -> None:
        self._pool = pool
        self._lend_artefacts = lend_artefacts
        self._artefacts: str | None = None
        self._breakers = breakers
        self._choice = choice
        self._live = live
        self._keep_alive = keep_alive
        self._timeout = first_audio_timeout if live and first_audio_timeout else None
        self._held = AsyncExitStack()
        self._first_error: EngineError | None = None
        self.seconds = 0.0
        """How long engines worked for this request, waiting apart."""

    @property
    def choice(self) -> Choice:
        """Who speaks now."""
        return self._choice

    @property
    def format(self) -> PcmFormat:
        """Of what is spoken now."""
        return self.turns.format

    @property
    def warning(self) -> str | None:
        """Why another voice than the chosen one speaks."""
        return (
            None if self._first_error is None else f"{self.choice.voice.name} steps in: {self._first_error}"
        )

    async def __aenter__(self) -> Self:
        self._waiting = iter(self.choices)
        await self._next()
        if self.warning:
            _log.warning("%s", self.warning)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def speak(self, segment: Segment, *, first: bool) -> AsyncGenerator[bytes]:
        """The PCM of one segment by who has the stage; `first` says that nothing was heard yet.

        Raises:
            EngineError: it failed, or was silent for too long at `first`.
        """
        breaker = self._breakers[self.choice.voice.engine]
        segment = replace(segment, artefacts=self._artefacts)
        chunks = self.turns.synthesize(segment, self._timeout if first else None)
        try:
            async for chunk in chunks:
                yield chunk
        except EngineError as error:
            breaker.note_failure(error)
            raise
        except RequestError:
            breaker.note_success()  # it works: it has read what it refuses
            raise
        else:
            breaker.note_success()
        finally:
            await chunks.aclose()

    async def step_in(self, error: EngineError) -> None:
        """Let the next voice take over from the one that failed.

        Raises:
            EngineError: nobody may; the error of the voice that was chosen.
        """
        if self._first_error is None:
            self._first_error = error
        await self._next()
        _log.warning("%s", self.warning)

    async def _next(self) -> None:
        await self._leave()
        for choice in self._waiting:
            try:
                self._breakers[choice.voice.engine].check()
                self.turns = await self._enter(choice)
                self._artefacts = await self._borrow(choice.voice)
            except EngineError as error:
                await self._leave()
                if self._first_error is None:
                    self._first_error = error
            else:
                self._choice = choice
                return
        assert self._first_error  # noqa: S101 - for the type checker: there is at least one choice
        raise self._first_error

    async def _enter(self, choice: Choice) -> Turns:
        engine = choice.voice.engine
        hold = self._pool.hold(engine, live=self._live, keep_alive=self._keep_alive)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._held.enter_async_context(hold)
        except TimeoutError as error:
            # Loading goes on without this request, for the next one.
            raise EngineError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"engine '{engine}' is not loaded after {self._timeout:g} s, and goes on loading; try again",
            ) from error
        except EngineError as error:
            self._breakers[engine].note_failure(error)
            raise

    async def _borrow(self, voice: Voice) -> str | None:
        if self._lend_artefacts is None or not voice.cloned:
            return None
        return await self._held.enter_async_context(self._lend_artefacts(voice))

    async def _leave(self) -> None:
        if hasattr(self, "turns"):
            self.seconds += self.turns.seconds
            del self.turns
        await self._held.aclose()
        self._held = AsyncExitStack()
