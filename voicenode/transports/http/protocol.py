"""uvicorn's HTTP/1.1 with bounds for clients that are slow, many, or talk nonsense."""

from __future__ import annotations

import asyncio
import json
import logging
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from voicenode.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)

MAX_HEAD = 16 * 1024
"""Bytes of a request's line and headers."""
HEAD_TIMEOUT = 10.0
"""Seconds for a request's head, from the opening of the connection or the head's first byte."""
_LINGER = 1.0
"""Seconds for a client to read why it is refused: closing at once would take the answer from it."""


class BoundedProtocol(H11Protocol):
    """One connection. `limit_concurrency` of the configuration is how many there may be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - they are uvicorn's
        super().__init__(*args, **kwargs)
        self._max_connections = self.limit_concurrency or 0
        self.limit_concurrency = None  # uvicorn would refuse requests of connections that were accepted
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        super().connection_made(transport)
        others = cast("Iterable[BoundedProtocol]", self.connections)
        if sum(not other._refused for other in others) <= self._max_connections:  # noqa: SLF001 - a sibling
            self._await_head()
        elif len(self.connections) <= 2 * self._max_connections:
            self._refuse(503, ErrorCode.BUSY, "the node has too many connections; try again later")
        else:
            transport.abort()  # a flood, which is owed no answer

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        # In pieces, because the bound of the parser is for heads that are not whole yet.
        for start in range(0, len(data), MAX_HEAD):
            if not self._refused:
                super().data_received(data[start : start + MAX_HEAD])
        if self._is_answering():
            self._forget_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when it cannot make sense of the client."""
        _log.info("%s: %s", self.client, msg)
        self._refuse(400, ErrorCode.BAD_REQUEST, f"not HTTP, or a head of more than {MAX_HEAD} bytes")

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            HEAD_TIMEOUT, self._refuse, 408, ErrorCode.BAD_REQUEST, "the request took too long to arrive"
        )

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, code: ErrorCode, sentence: str) -> None:
        """Say why, hear nothing more, and hang up."""
        self._forget_timer()
        self._refused = True
        if self._is_answering():  # there is no room for another answer
            self.transport.abort()
            return
        body = json.dumps({"error": sentence, "code": code}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(_LINGER, self.transport.abort)
