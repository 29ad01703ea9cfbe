"""An MQTT library without a loop of its own, driven by the event loop whenever its socket is ready."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

_READS_A_TURN = 16


class Socket(Protocol):
    """A TCP, TLS or websocket connection."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Driven(Protocol):
    """What paho's client offers to whoever has a loop."""

    def socket(self) -> Socket | None: ...

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
        self._fd: int | None = None
        self._paused = False
        self._ticking: asyncio.TimerHandle | None = None

    def attach(self, sock: Socket) -> None:
        """Look after a socket from now on."""
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._step, self._read)
        if self._driven.want_write():
            self._driven.loop_write()
        self._tick()

    def detach(self) -> None:
        """Let go of the socket."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = None
        if self._ticking is not None:
            self._ticking.cancel()

    def await_writable(self) -> None:
        """There is something to write."""
        if self._fd is not None:
            self._loop.add_writer(self._fd, self._step, self._driven.loop_write)

    def await_nothing(self) -> None:
        """All is written."""
        if self._fd is not None:
            self._loop.remove_writer(self._fd)

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._paused = True

    def resume(self) -> None:
        """Read again."""
        if self._fd is not None and self._paused:
            self._paused = False
            self._loop.add_reader(self._fd, self._step, self._read)
            self._loop.call_soon(self._step, self._read)

    def _read(self) -> None:
        for _ in range(_READS_A_TURN):
            if self._fd is None or self._paused:
                return
            self._driven.loop_read()
            pending = getattr(self._driven.socket(), "pending", None)
            if pending is None or not pending():
                return
        # What TLS has decrypted already does not make the socket readable.
        self._loop.call_soon(self._step, self._read)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(1.0, self._tick)
        self._step(self._driven.loop_misc)

    def _step(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - the boundary: paho may raise anything
            _log.exception("MQTT: the connection failed for a reason nobody foresaw")
            self._failed()
