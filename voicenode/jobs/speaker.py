"""Speaks one job: from its text to a file, a sink, or an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voicenode.errors import BusyError
from voicenode.jobs.streaming import to_file, to_sink
from voicenode.request import SynthesisRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from concurrent.futures import Executor
    from contextlib import AbstractAsyncContextManager

    from voicenode.audio import PcmFormat
    from voicenode.jobs.audio_folder import AudioFolder
    from voicenode.jobs.job import Job
    from voicenode.jobs.request import Delivery
    from voicenode.jobs.streaming import Outlet, Sink
    from voicenode.processor import VoiceProcessor

_PIECE_CHARS = 1000
"""Of the text that the processor takes at a time; progress is counted in these."""
_BUSY_SECONDS = 1.0
"""Until a job that found the engines busy tries again: it was accepted, so it is never refused."""


@dataclass(slots=True, eq=False)
class Work:
    """One job in the making."""

    job: Job
    """As it stands now."""
    text: str
    begun: bool = False
    """Whether there was sound."""

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of a job
        self.job = replace(self.job, **changes)


class Speaker:
    """Speaks jobs with a processor.

    Args:
        processor: makes the sound.
        folder: takes the audio of jobs that are delivered as files.
        sinks: take the sound of the others, by the way in which it is delivered.
        executor: threads for encoding and writing.
    """

    def __init__(
        self,
        processor: VoiceProcessor,
        folder: AudioFolder,
        sinks: Mapping[Delivery, Sink],
        executor: Executor,
    ) -> None:
        self._processor = processor
        self._folder = folder
        self._sinks = sinks
        self._executor = executor

    async def speak(self, work: Work, begin: Callable[[], Awaitable[None]]) -> None:
        """Speak a job; what is known of it goes into `work`, and `begin` is awaited before the first sound.

        Raises:
            VoiceServiceError: what went wrong; no file is left.
        """
        while True:
            try:
                return await self._try(work, begin)
            except BusyError:
                if work.begun:
                    raise
                await asyncio.sleep(_BUSY_SECONDS)

    async def _try(self, work: Work, begin: Callable[[], Awaitable[None]]) -> None:
        async with self._processor.speak(_request(work)) as speech:
            chunks = aiter(speech)
            first = await anext(chunks)
            work.begun = True
            work.update(voice=speech.voice.name, engine=speech.voice.engine, quality=speech.quality)
            await begin()
            async with self._outlet(work.job, speech.format) as outlet:
                await outlet.write(first)
                async for pcm in chunks:
                    await outlet.write(pcm)
                work.update(audio=await outlet.finish())

    def _outlet(self, job: Job, pcm_format: PcmFormat) -> AbstractAsyncContextManager[Outlet]:
        sink = self._sinks.get(job.options.deliver)
        if sink is None:
            return to_file(self._folder, self._executor, job, pcm_format)
        return to_sink(sink, self._executor, job, pcm_format)


def _request(work: Work) -> SynthesisRequest:
    options = work.job.options
    return SynthesisRequest(
        text=work.text if options.text_format == "ssml" else _pieces(work),
        text_format=options.text_format,
        voice=options.voice,
        speaker=options.speaker,
        language=options.language,
        engine=options.engine,
        quality=options.quality,
        speed=options.speed,
        volume=options.volume,
        live=options.live,
        keep_alive=options.keep_alive,
        door="jobs",
        peer=work.job.id,
        max_chars=work.job.chars,  # what was accepted stays accepted
    )


async def _pieces(work: Work) -> AsyncIterator[str]:
    """The text, bit by bit, as the processor gets to it."""
    for start in range(0, len(work.text), _PIECE_CHARS):
        work.update(progress=100 * start // len(work.text))
        yield work.text[start : start + _PIECE_CHARS]
