"""The child side of one engine process: `python -m voicenode.workers.worker FD MODULE:CLASS`.

Frames in: `load` {options}, `synthesize` {id, segment}, `clone` {id, recordings, transcript}, `cancel` {id}.
Frames out: `loaded` {rate, width, channels, streams}, `audio` {id} + PCM or artefacts, `alive`, `done` {id},
`error` {id, code, text, refused}; an error without id means that the engine could not be loaded, and
`refused` that the text will not do, whoever speaks it.

The main thread runs the model; one thread reads frames, and each voice that is cloned beside listeners has
one. When the daemon goes away, so does this process.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from voicenode.engine import Segment
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import Frame, encode, read_frame_blocking
from voicenode.workers.registry import engine_class

if TYPE_CHECKING:
    from collections.abc import Generator

    from voicenode.engine import TTSEngine

MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of one frame's payload between the daemon and an engine process, either way."""


_NO_ROOM = {"MemoryError", "OutOfMemoryError"}
_DEVICE_FAILED = "AcceleratorError"
"""Errors by their names, PyTorch's among them: what runs here may do without PyTorch."""
_CUDA_FAILED = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "cuDNN error", "CUFFT")
"""What PyTorch says in a plain RuntimeError when CUDA, or a library above it, has failed."""

_ALIVE = 0.1
"""Seconds between two signs of life, at least: engines give one with every step."""

NICENESS = 5
"""How far an engine stands back for the daemon: it has a third of its weight where both want a processor.

A voice that is cloned stands back as far for those who listen.
"""


@dataclasses.dataclass(slots=True)
class _Run:
    """One segment, or the artefacts of one voice, in the making."""

    id: int
    stop: threading.Event
    chunks: Generator[bytes, None, None]


class Worker:
    """Runs one engine for the daemon at the other end of `connection`."""

    def __init__(self, connection: socket.socket, engine_path: str) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._frames = connection.makefile("rb")
        self._engine_path = engine_path
        self._waiting: deque[Frame] = deque()
        self._stops: dict[int, threading.Event] = {}
        self._arrived = threading.Semaphore(0)
        self._streams = 1
        self._told = 0.0

    def run(self) -> None:
        """Load the engine, then speak until the process ends."""
        load = read_frame_blocking(self._frames, MAX_PAYLOAD)
        if load is None:
            return
        threading.Thread(target=self._read, name="frames", daemon=True).start()
        engine = self._load(load.data["options"])
        if engine is not None:
            self._speak(engine)

    def _load(self, options: dict[str, Any]) -> TTSEngine[Any] | None:
        try:
            engine_type = engine_class(self._engine_path)
            engine: TTSEngine[Any] = engine_type(engine_type.options_type(**options))
            pcm_format = engine.load()
            self._streams = engine.streams()
            loaded = Frame("loaded", dataclasses.asdict(pcm_format) | {"streams": self._streams})
        except Exception as error:  # noqa: BLE001 - the process boundary: whatever it is, the daemon is told
            self._send_error(None, error)
            return None
        self._send(loaded)
        return engine

    def _speak(self, engine: TTSEngine[Any]) -> None:
        """Take one chunk from every running segment in turn; wait only when there is none."""
        runs: list[_Run] = []
        while True:
            self._admit(engine, runs)
            for run in runs[:]:
                if not self._step(run):
                    runs.remove(run)
                    self._stops.pop(run.id, None)

    def _admit(self, engine: TTSEngine[Any], runs: list[_Run]) -> None:
        while len(runs) < self._streams and self._arrived.acquire(blocking=not runs):
            frame = self._waiting.popleft()
            run_id = frame.data["id"]
            stop = self._stops[run_id]
            run = _Run(run_id, stop, _chunks(engine, frame, stop))
            if frame.type == "clone" and self._streams > 1:
                threading.Thread(target=self._finish, args=(run,), name="clone", daemon=True).start()
            else:
                runs.append(run)

    def _finish(self, run: _Run) -> None:
        """Go through with a run that takes long without a chunk, beside those who listen."""
        os.nice(NICENESS)  # for Linux, a thread has its own, and hands it on to those that it starts
        while self._step(run):
            pass
        self._stops.pop(run.id, None)

    def _step(self, run: _Run) -> bool:
        """Send the next chunk of a segment; False when it was the last."""
        try:
            chunk = None if run.stop.is_set() else next(run.chunks, None)
            if chunk is not None:
                self._hand_out(run, chunk)
                return True
            run.chunks.close()  # a generator cleans up now rather than when it is collected
        except Exception as error:  # noqa: BLE001 - the process boundary: whatever it is, the daemon is told
            self._send_error(run.id, error)
            return False
        self._send(Frame("done", {"id": run.id}))
        return False

    def _hand_out(self, run: _Run, chunk: bytes) -> None:
        if chunk:
            self._send(Frame("audio", {"id": run.id}, chunk))
        elif (now := time.monotonic()) - self._told >= _ALIVE:
            self._told = now
            self._send(Frame("alive"))

    def _read(self) -> None:
        try:
            while frame := read_frame_blocking(self._frames, MAX_PAYLOAD):
                self._dispatch(frame)
        finally:
            # The daemon is gone, and nothing that the model is doing matters any more.
            os._exit(0)

    def _dispatch(self, frame: Frame) -> None:
        if frame.type in {"synthesize", "clone"}:
            self._stops[frame.data["id"]] = threading.Event()
            self._waiting.append(frame)
            self._arrived.release()
        elif frame.type == "cancel" and (stop := self._stops.get(frame.data["id"])):
            stop.set()

    def _send(self, frame: Frame) -> None:
        try:
            with self._sending:
                self._connection.sendall(encode(frame))
        except OSError:
            os._exit(0)

    def _send_error(self, run_id: int | None, error: Exception) -> None:
        if isinstance(error, VoiceServiceError):
            code, text = error.code, str(error)
        else:
            traceback.print_exception(error)
            no_room = type(error).__name__ in _NO_ROOM
            code = ErrorCode.OUT_OF_MEMORY if no_room else ErrorCode.ENGINE_FAILED
            text = f"{type(error).__name__}: {error}"
        refused = isinstance(error, RequestError)
        self._send(Frame("error", {"id": run_id, "code": code, "text": text, "refused": refused}))
        if _ruins_the_process(error):
            os._exit(0)


def _ruins_the_process(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, leaves on the device what goes only with the process.

    After a failed allocation that is memory; after any other error of CUDA every call fails.
    """
    while error is not None:
        if type(error).__name__ in {*_NO_ROOM, _DEVICE_FAILED}:
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _CUDA_FAILED):
            return True
        error = error.__cause__ or error.__context__
    return False


def _chunks(engine: TTSEngine[Any], frame: Frame, stop: threading.Event) -> Generator[bytes, None, None]:
    """What the engine makes; even one that does all its work in the call begins with the first step."""
    if frame.type == "clone":
        yield engine.clone_voice(frame.data["recordings"], frame.data["transcript"])
    else:
        yield from engine.synthesize(Segment(**frame.data["segment"]), stop)


def serve(connection: socket.socket, engine_path: str) -> NoReturn:
    """Run an engine for the daemon at the other end of `connection`, and end the process."""
    status = 1
    try:
        Worker(connection, engine_path).run()
        status = 0
    except BaseException:  # noqa: BLE001 - the process boundary
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Without interpreter shutdown: libraries that hold a GPU are known to hang or crash in it.
        os._exit(status)


def main() -> NoReturn:
    """Run the engine of the command line on the inherited socket."""
    # Where processors are short, the daemon that hands the sound out goes before the engine that makes it.
    os.nice(NICENESS)
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])


if __name__ == "__main__":
    main()
