"""Sockets for the TCP addresses that servers listen on."""

from __future__ import annotations

import asyncio
import errno
import socket

_SEND_BUFFER = 256 * 1024
"""Bytes that the kernel holds for one client.

Its own default grows to megabytes, and it reports progress in steps of a third of that: a client that plays
while it reads would look stalled for half a minute.
"""
_FAMILY_IS_MISSING = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


async def bind_tcp(host: str | None, port: int) -> list[socket.socket]:
    """Bound sockets, not listening yet: one an address of `host`, or every address of both families for none.

    A family that this machine lacks is left out while another one works.

    Raises:
        OSError: an address is unknown, taken, or not this machine's; `why_not_bound` puts it into words.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in sorted({(family, address) for family, _, _, _, address in found}):
        try:
            sockets.append(_bind(family, (address[0], port, *address[2:])))
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


def why_not_bound(error: OSError) -> str:
    """What the owner is told when an address cannot be had."""
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{reason}; end the program that uses it, or choose another address"
    return reason


def host_and_port(address: tuple[str, int]) -> str:
    """An address as it stands in a URL; what follows the port in IPv6 is left out."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    # asyncio switches off the wait for larger packets only where the protocol is named.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
