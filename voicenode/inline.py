"""Speech without a node: the path of every request, but with the engine in this very process.

For whoever writes an engine: a breakpoint in it stops here, and its traceback shows here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, cast

from voicenode.parts import build_processor, create_engines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from voicenode.audio import PcmFormat
    from voicenode.engine import Segment, TTSEngine
    from voicenode.processor import Speech
    from voicenode.request import SynthesisRequest
    from voicenode.settings import LoadedSettings
    from voicenode.workers.pool import EnginePool


def speak(loaded: LoadedSettings, request: SynthesisRequest) -> AbstractAsyncContextManager[Speech]:
    """The request as speech; whatever the engine raises comes out as it is.

    The event loop stands still while the engine works: nothing else should run on it.

    Raises:
        SetupError, RequestError, EngineError: as a node would answer.
    """
    engines = create_engines(loaded)
    pool = cast("EnginePool", _InlinePool(engines))  # in what the processor asks of it
    processor = build_processor(loaded, engines, pool)
    processor.catalogue.check()
    return processor.speak(request)


class _InlinePool:
    """Loads an engine when it is asked for, and runs it where it stands."""

    def __init__(self, engines: Mapping[str, TTSEngine[Any]]) -> None:
        self._engines = engines

    @asynccontextmanager
    async def hold(self, engine: str, *, live: bool, keep_alive: float | None) -> AsyncIterator[_InlineTurns]:
        del live, keep_alive  # there is only one request
        chosen = self._engines[engine]
        yield _InlineTurns(chosen, chosen.load())


@dataclass(frozen=True)
class _InlineTurns:
    engine: TTSEngine[Any]
    format: PcmFormat
    seconds: float = 0.0
    """Nobody counts how long the engine worked."""

    async def synthesize(self, segment: Segment, first_audio_timeout: float | None) -> AsyncGenerator[bytes]:
        del first_audio_timeout  # whoever debugs takes their time
        for chunk in self.engine.synthesize(segment, Event()):
            yield chunk
