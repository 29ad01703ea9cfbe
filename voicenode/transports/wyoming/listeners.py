"""Sockets for the addresses that a server is told to listen on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

from voicenode.errors import ErrorCode, SetupError
from voicenode.sockets import bind_tcp, why_not_bound


async def bind(uri: str) -> list[socket.socket]:
    """Bound sockets, not listening yet, for an address.

    That is `tcp://HOST:PORT`, `tcp://:PORT` (every address of both families) or `unix:///PATH`.

    Raises:
        SetupError: the address is malformed, taken, or not this machine's.
    """
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.port is not None:
            return await bind_tcp(parts.hostname, parts.port)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return [await asyncio.to_thread(_bind_unix, Path(parts.path))]
    except OSError as error:
        raise cannot_listen(uri, why_not_bound(error)) from error
    except ValueError as error:
        raise cannot_listen(uri, str(error)) from error
    raise cannot_listen(uri, "an address is tcp://HOST:PORT, tcp://:PORT, unix:///PATH or stdio://")


def cannot_listen(uri: str, reason: str) -> SetupError:
    """The one line that the owner gets when an address cannot be had."""
    return SetupError(ErrorCode.CANNOT_START, f"cannot listen on {uri}: {reason}")


def remove_unix(path: str) -> None:
    """Remove the file of a socket that is closed."""
    Path(path).unlink(missing_ok=True)


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
