"""Sockets for the addresses that a server is told to listen on."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from urllib.parse import urlsplit

from voicenode.errors import ErrorCode, SetupError

_SEND_BUFFER = 256 * 1024
"""Bytes that the kernel holds for one client.

Its own default grows to megabytes, and it reports progress in steps of a third of that: a client that plays
while it reads would look stalled for half a minute.
"""
_FAMILY_IS_MISSING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


async def bind(uri: str) -> list[socket.socket]:
    """Bound sockets, not listening yet, for an address.

    That is `tcp://HOST:PORT`, `tcp://:PORT` (every address of both families) or `unix:///PATH`.

    Raises:
        SetupError: the address is malformed, taken, or not this machine's.
    """
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.port is not None:
            return await _bind_tcp(parts.hostname, parts.port)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return [await asyncio.to_thread(_bind_unix, Path(parts.path))]
    except OSError as error:
        raise cannot_listen(uri, _reason(error)) from error
    except ValueError as error:
        raise cannot_listen(uri, str(error)) from error
    raise cannot_listen(uri, "an address is tcp://HOST:PORT, tcp://:PORT, unix:///PATH or stdio://")


def cannot_listen(uri: str, reason: str) -> SetupError:
    """The one line that the owner gets when an address cannot be had."""
    return SetupError(ErrorCode.CANNOT_START, f"cannot listen on {uri}: {reason}")


def remove_unix(path: str) -> None:
    """Remove the file of a socket that is closed."""
    Path(path).unlink(missing_ok=True)


async def _bind_tcp(host: str | None, port: int) -> list[socket.socket]:
    """One socket an address; a family that this machine lacks is left out while another one works."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in sorted({(family, address) for family, _, _, _, address in found}):
        try:
            sockets.append(_bind_address(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno not in _FAMILY_IS_MISSING:
                _close(sockets)
                raise
            missing = error
        else:
            port = sockets[0].getsockname()[1]
    if missing is not None and not sockets:
        raise missing
    return sockets


def _bind_address(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    """A socket for the owner and the group; a file that a dead process left behind is replaced."""
    if path.is_socket() and not _answers(path):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o660)
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass
        return True


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{reason}; end the program that uses it, or choose another address"
    return reason


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
