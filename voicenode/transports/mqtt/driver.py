"""An MQTT library without a loop of its own, driven by the event loop whenever its socket is ready."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicenode.transports.mqtt.sockets import BufferedSocket

_log = logging.getLogger(__name__)

_READS_A_TURN = 16


class Driven(Protocol):
    """What paho's client offers to whoever has a loop."""

    def loop_read(self) -> object: ...

    def loop_write(self) -> object: ...

    def loop_misc(self) -> object: ...

    def want_write(self) -> bool: ...


class Driver:
    """Reads and writes for one connection, from `attach` to `detach`.

    Args:
        driven: whom for.
        failed: called when it raised what nobody foresaw; the connection is of no use then.
    """

    def __init__(self, driven: Driven, failed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._driven = driven
        self._failed = failed
        self._sock: BufferedSocket | None = None
        self._paused = False
        self._ticking: asyncio.TimerHandle | None = None

    def attach(self, sock: BufferedSocket) -> None:
        """Look after a socket from now on."""
        self._sock = sock
        sock.buffering = True
        self._loop.add_reader(sock, self._step, self._read)
        self._write()
        self._tick()

    def detach(self) -> None:
        """Let go of the socket."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock = None
        if self._ticking is not None:
            self._ticking.cancel()

    def want_write(self) -> None:
        """There is something to write."""
        if self._sock is not None:
            self._loop.add_writer(self._sock, self._step, self._write)

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._paused = True

    def resume(self) -> None:
        """Read again."""
        if self._sock is not None and self._paused:
            self._paused = False
            self._loop.add_reader(self._sock, self._step, self._read)
            self._loop.call_soon(self._step, self._read)

    def _read(self) -> None:
        for _ in range(_READS_A_TURN):
            if self._sock is None or self._paused:
                return
            self._driven.loop_read()
            if self._sock is None or not self._sock.pending():
                return
        # What was taken from the socket already does not make it readable.
        self._loop.call_soon(self._step, self._read)

    def _write(self) -> None:
        self._driven.loop_write()
        if self._sock is not None and self._sock.flush() and not self._driven.want_write():
            self._loop.remove_writer(self._sock)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(1.0, self._tick)
        self._step(self._driven.loop_misc)

    def _step(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError:
            self._failed()
        except Exception:  # noqa: BLE001 - the boundary: paho may raise anything
            _log.exception("MQTT: the connection failed for a reason nobody foresaw")
            self._failed()
