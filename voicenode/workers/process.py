"""The parent side of one engine process: start it, give it segments, and end it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import socket
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from voicenode.audio import PcmFormat
from voicenode.errors import EngineError, ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import MAX_HEADER, Frame, FramingError, encode, read_frame
from voicenode.workers.child import Spawned
from voicenode.workers.prewarm import ForkServerError
from voicenode.workers.worker import MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from voicenode.engine import EngineInfo, Segment
    from voicenode.workers.child import Child
    from voicenode.workers.prewarm import Prewarmed

_log = logging.getLogger(__name__)

CANCEL_GRACE = 5.0
"""Seconds that an engine has to stop what nobody listens to, before its process is killed."""

_LAST = {"done", "error", "lost"}
"""Frames after which nothing more comes for a segment."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine as the pool runs it."""

    info: EngineInfo
    path: str
    """Where the engine's class is: `module:Class`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    """Where the engine computes, as its settings name it."""
    python: str | None = None
    """The interpreter of the engine's process; None: this one."""
    load_timeout: float = 120.0
    """Seconds until an engine that is not loaded is given up."""
    silent_timeout: float = 60.0
    """Seconds without a frame of any kind until a speaking engine is given up."""
    prewarm_imports: bool | None = False
    """Whether its libraries are imported ahead; None: where there is memory enough."""

    @property
    def memory(self) -> int:
        """Bytes that it needs on a device which engines share; 0 for one that computes on the processor."""
        return 0 if self.device == "cpu" else self.info.memory


class EngineDiedError(EngineError):
    """The process ended by itself; another one may do what this one was asked."""


class EngineProcess:
    """One loaded engine. When `closed` is set, the process has ended or is being killed, for good."""

    def __init__(
        self,
        spec: EngineSpec,
        process: Child,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.spec = spec
        self.format = PcmFormat(0)
        self.streams = 1
        """How many segments it takes at once."""
        self.closed = asyncio.Event()
        self._process = process
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._frames: dict[int, asyncio.Queue[Frame]] = {}
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, spec: EngineSpec, prewarmed: Prewarmed | None = None) -> Self:
        """Start a process, forked from what is `prewarmed` if that is ready, and load the engine in it.

        Raises:
            EngineError: it could not be started or loaded.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_HEADER)
            try:
                process = await _start(spec, theirs.fileno(), prewarmed)
            except BaseException:
                writer.close()
                raise
        engine = cls(spec, process, reader, writer)
        try:
            await engine._load()
        except BaseException:
            await asyncio.shield(engine.stop())
            raise
        engine._reading = asyncio.create_task(engine._read(), name=f"engine {spec.info.name} reader")
        return engine

    def synthesize(self, segment: Segment) -> AsyncGenerator[bytes]:
        """The PCM of one segment, as it is made; closing the generator frees the engine before it returns.

        Raises:
            RequestError: the engine refuses this text.
            EngineError: the engine failed, fell silent or died.
        """
        frame = Frame("synthesize", {"segment": dataclasses.asdict(segment)})
        return self._run(frame, self.spec.silent_timeout)

    async def clone(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        """What the engine keeps of a voice, as the content of a safetensors file.

        Raises:
            RequestError: the engine refuses these recordings.
            EngineError: the engine failed or died, or took as long as it may take to load.
        """
        frame = Frame("clone", {"recordings": list(recordings), "transcript": transcript})
        # An engine that computes this can give no sign of life, and may have to load networks for it.
        async with aclosing(self._run(frame, self.spec.load_timeout)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def _run(self, request: Frame, silent_timeout: float) -> AsyncGenerator[bytes]:
        """What the engine makes of one request; closing the generator frees the engine before it returns."""
        run_id = next(self._ids)
        frames = self._frames[run_id] = asyncio.Queue()
        request.data["id"] = run_id
        self._send(request)
        ended = False
        try:
            while not ended:
                frame = await self._next(frames, silent_timeout)
                ended = frame.type in _LAST
                if frame.type == "audio":
                    yield frame.payload
                elif frame.type == "error":
                    raise _as_error(self.spec.info.name, frame)
                elif frame.type == "lost":
                    raise self._lost("while it was working")
        finally:
            if ended or self.closed.is_set():
                del self._frames[run_id]
            else:
                # A second cancellation must neither skip the kill after the grace nor hide frames from it.
                await asyncio.shield(self._cancel(run_id, frames))

    async def stop(self) -> None:
        """End the process and wait until all its memory is free; what it was speaking fails."""
        self.closed.set()
        self._process.kill()
        await self._process.wait()
        self._writer.close()
        if self._reading is not None and self._reading is not asyncio.current_task():
            await asyncio.wait([self._reading])

    async def _load(self) -> None:
        name, timeout = self.spec.info.name, self.spec.load_timeout
        self._send(Frame("load", {"options": dict(self.spec.options)}))
        try:
            async with asyncio.timeout(timeout):
                frame = await read_frame(self._reader, MAX_PAYLOAD)
        except TimeoutError as error:
            raise EngineError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"engine '{name}' was not loaded within {timeout:g} s; raise engines.{name}.load_timeout",
            ) from error
        except (FramingError, EOFError, OSError):
            frame = None
        if frame is None:
            await self.stop()
            raise self._lost("while it was loaded")
        if frame.type == "error":
            raise _as_error(name, frame)
        self.streams = frame.data.pop("streams")
        self.format = PcmFormat(**frame.data)

    async def _read(self) -> None:
        """Hand each frame to the segment it belongs to, until the process ends."""
        try:
            while frame := await read_frame(self._reader, MAX_PAYLOAD):
                run_id = frame.data.get("id")
                for frames in self._frames.values() if run_id is None else (self._frames.get(run_id),):
                    if frames is not None:
                        frames.put_nowait(frame)
        except (FramingError, EOFError, OSError) as error:
            _log.warning("engine %s: its connection broke: %s", self.spec.info.name, error)
        died = not self.closed.is_set()
        await self.stop()
        if died:
            _log.error("%s", self._lost("by itself"))
        for frames in self._frames.values():
            frames.put_nowait(Frame("lost"))

    async def _next(self, frames: asyncio.Queue[Frame], timeout: float) -> Frame:  # noqa: ASYNC109 (as it says)
        if frames.empty() and self.closed.is_set():
            return Frame("lost")
        name = self.spec.info.name
        try:
            async with asyncio.timeout(timeout):
                return await frames.get()
        except TimeoutError as error:
            await asyncio.shield(self.stop())
            raise EngineError(
                ErrorCode.ENGINE_LOST, f"engine '{name}' gave no sign of life for {timeout:g} s and was ended"
            ) from error

    async def _cancel(self, run_id: int, frames: asyncio.Queue[Frame]) -> None:
        self._send(Frame("cancel", {"id": run_id}))
        try:
            async with asyncio.timeout(CANCEL_GRACE):
                while (await frames.get()).type not in _LAST:
                    pass
        except TimeoutError:
            _log.warning(
                "engine %s did not stop within %g s and was ended", self.spec.info.name, CANCEL_GRACE
            )
            await self.stop()
        finally:
            del self._frames[run_id]

    def _send(self, frame: Frame) -> None:
        if not self.closed.is_set():
            self._writer.write(encode(frame))

    def _lost(self, when: str) -> EngineDiedError:
        status = self._process.returncode
        how = "" if status is None else f" (exit status {status})"
        return EngineDiedError(ErrorCode.ENGINE_LOST, f"engine '{self.spec.info.name}' died {when}{how}")


async def _start(spec: EngineSpec, fd: int, prewarmed: Prewarmed | None) -> Child:
    if prewarmed is not None and prewarmed.pid is not None:
        try:
            return await prewarmed.fork(fd)
        except ForkServerError as error:
            _log.warning("engine %s is started without its fork server: %s", spec.info.name, error)
    try:
        return await Spawned.start(spec.python, "voicenode.workers.worker", fd, spec.path)
    except OSError as error:
        what = f"engine '{spec.info.name}' cannot start: {spec.python or sys.executable}: {error.strerror}"
        raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what) from error


def _as_error(engine: str, frame: Frame) -> VoiceServiceError:
    code, text = ErrorCode(frame.data["code"]), f"engine '{engine}': {frame.data['text']}"
    return RequestError(code, text) if frame.data["refused"] else EngineError(code, text)
