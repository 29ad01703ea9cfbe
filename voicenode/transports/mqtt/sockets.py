"""Sockets and TLS, as far as paho leaves them to others."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from traceback import walk_tb
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from voicenode.transports.mqtt.packets import Tls


_RECEIVED_AT_ONCE = 64 * 1024
_MAX_UNSENT = 1024 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Of Linux, and good until the next time that something is sent (tcp(7))."""


class Transport(Protocol):
    """A TCP, TLS or websocket connection, without blocking."""

    def fileno(self) -> int: ...

    def setblocking(self, flag: bool, /) -> None: ...  # noqa: FBT001 - as sockets have it

    def recv(self, size: int, /) -> bytes: ...

    def send(self, data: bytes | bytearray, /) -> int: ...

    def close(self) -> None: ...


class BufferedSocket:
    """Makes few system calls of the many small ones of paho.

    Each of them lets another thread run, and waits until that lets go again: that is most of what a message
    costs. Once `buffering`, what is sent goes with the next `flush`.
    """

    def __init__(self, transport: Transport) -> None:
        self.buffering = False
        self._transport = transport
        self._received = bytearray()
        self._unsent = bytearray()
        self._tcp = socket.socket(fileno=os.dup(transport.fileno()))  # which a websocket hides
        self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._transport.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as sockets have it
        self._transport.setblocking(flag)

    def recv(self, size: int) -> bytes:
        if not self._received:
            self._received += self._transport.recv(_RECEIVED_AT_ONCE)
            self._acknowledge()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def send(self, data: bytes | bytearray) -> int:
        if not self.buffering:
            return self._transport.send(data)
        if len(self._unsent) > _MAX_UNSENT:
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Send what the network takes, and tell whether that was all; OSError where it is gone."""
        while self._unsent:
            try:
                sent = self._transport.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            del self._unsent[:sent]
            if not sent:
                return False
        return True

    def pending(self) -> int:
        """How many bytes can be had although the socket need not be readable, at least."""
        return len(self._received) or int(getattr(self._transport, "pending", int)())

    def close(self) -> None:
        with suppress(OSError):
            self.flush()
        self._transport.close()
        self._tcp.close()

    def _acknowledge(self) -> None:
        """Tell the broker's machine at once: where small messages are collected, the next waits for it."""
        if _QUICKACK is not None:
            self._tcp.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Whom to trust, and what to show; reads the files, and raises OSError where it cannot."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def close_left_open(error: Exception) -> None:
    """Close the sockets that paho left open when a handshake failed, as the traceback remembers them."""
    for frame, _ in walk_tb(error.__traceback__):
        for value in list(frame.f_locals.values()):
            if isinstance(value, socket.socket):
                value.close()
