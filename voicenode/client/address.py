"""The address of a node: a port of a machine, or a socket in the file system."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from urllib.parse import urlsplit

from voicenode.errors import ErrorCode, RequestError
from voicenode.framing import MAX_HEADER

DEFAULT_PORT = 10200
"""Where text-to-speech servers listen by convention."""


def parse_uri(uri: str) -> tuple[str, int] | str:
    """Host and port, or the path of a socket.

    Raises:
        RequestError: the address cannot be understood.
    """
    with suppress(ValueError):  # a port that is no number, an unclosed bracket
        parts = urlsplit(uri)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return parts.path
        if parts.scheme == "tcp" and parts.hostname and not parts.path.strip("/"):
            return parts.hostname, DEFAULT_PORT if parts.port is None else parts.port
    raise RequestError(
        ErrorCode.BAD_REQUEST, f"'{uri}' is no address of a node: expected tcp://HOST:PORT or unix:///PATH"
    )


async def open_stream(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to this address.

    Raises:
        RequestError: it cannot be understood.
        OSError: nobody is there.
    """
    match parse_uri(uri):
        case (host, port):
            return await asyncio.open_connection(host, port, limit=MAX_HEADER)
        case path:
            return await asyncio.open_unix_connection(path, limit=MAX_HEADER)


def reason(error: OSError) -> str:
    """Why a connection failed, in words."""
    if error.errno is None:  # what asyncio raises when a host has several addresses and each failed
        return "none of its addresses answers"
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)  # a resolver's are negative
