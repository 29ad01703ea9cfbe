"""The connections to a Redis: each command is bounded in time, and its failure is a StoreError."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from redis import exceptions
from redis.asyncio import Connection, ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from voicenode.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from voicenode.stores.redis_address import RedisAddress

Result = TypeVar("Result")
Commands: TypeAlias = Any
"""A client of redis-py, whose types leave open whether answers are bytes or text; these are bytes."""

ANSWER_SECONDS = 5.0
"""How long Redis may take for one answer."""
_CONNECT_SECONDS = 3.0
_AT_ONCE = 16
"""Commands in flight; others wait for their turn."""
_CONNECTIONS = 100
"""Those, and one for each collection that is followed."""
_FIRST_REST, _LONGEST_REST = 0.05, 2.0
"""Seconds without a new attempt after the first failure; doubled after each, up to the longest."""

_log = logging.getLogger(__name__)


class RedisLink:
    """Sends commands to one Redis, or fails at once while it is known to be lost."""

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self._client: Redis | None = None
        self._connecting = asyncio.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._rest = 0.0
        self._rests_until = 0.0

    async def call(self, what: str, function: Callable[[Commands], Awaitable[Result]]) -> Result:
        """What `function` makes of the client, with a few others at once.

        Args:
            what: what cannot be done where it fails, as the start of a sentence.
            function: sends commands.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        async with self._turns:
            return await self.follow(what, function)

    async def follow(self, what: str, function: Callable[[Commands], Awaitable[Result]]) -> Result:
        """As `call`, for what waits for news and so waits for no turn."""
        if time.monotonic() < self._rests_until:
            raise self._unavailable(what, "it was lost a moment ago")
        try:
            with _heeding_cancellation():
                result = await function(await self._connected())
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            self._lost(error)
            raise self._unavailable(what, str(error)) from error
        except exceptions.RedisError as error:
            raise self._refused(what, error) from error
        self._found()
        return result

    async def back(self) -> None:
        """Wait until another attempt is allowed."""
        await asyncio.sleep(max(0.0, self._rests_until - time.monotonic()))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            await self._client.connection_pool.disconnect()

    async def _connected(self) -> Redis:
        async with self._connecting:
            if self._client is None:
                arguments = await asyncio.to_thread(_arguments, self.address)
                pool = ConnectionPool(
                    db=self.address.db,
                    username=self.address.username,
                    password=self.address.password,
                    socket_timeout=ANSWER_SECONDS,
                    socket_connect_timeout=_CONNECT_SECONDS,
                    # a connection that Redis closed meanwhile is not yet a Redis that is lost
                    retry=Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
                    max_connections=_CONNECTIONS,
                    protocol=2,
                    driver_info=None,
                    **arguments,
                )
                self._client = Redis(connection_pool=pool)
            return self._client

    def _lost(self, error: Exception) -> None:
        now = time.monotonic()
        if not self._rest:
            _log.warning("the store %s is lost: %s", self.address, error)
        if now >= self._rests_until:
            self._rest = min(_LONGEST_REST, self._rest * 2 or _FIRST_REST)
            self._rests_until = now + self._rest

    def _found(self) -> None:
        if self._rest:
            _log.warning("the store %s is there again", self.address)
        self._rest = self._rests_until = 0.0

    def _unavailable(self, what: str, why: str) -> StoreError:
        sentence = f"{what}: the store {self.address} cannot be reached ({why.rstrip('.')}); see that it runs"
        return StoreError(ErrorCode.STORE_UNAVAILABLE, sentence)

    def _refused(self, what: str, error: exceptions.RedisError) -> StoreError:
        if isinstance(error, exceptions.OutOfMemoryError):
            sentence = f"{what}: the store {self.address} is full; raise its maxmemory, or delete something"
            return StoreError(ErrorCode.STORE_FULL, sentence)
        if str(error).startswith("MISCONF"):
            why = "cannot write to its own disk, which may be full"
            sentence = f"{what}: the store {self.address} {why}; see the log of the Redis"
            return StoreError(ErrorCode.STORE_FAILED, sentence)
        sentence = f"{what}: the store {self.address} answers {str(error)!r}; check the Redis"
        return StoreError(ErrorCode.STORE_FAILED, sentence)


@contextmanager
def _heeding_cancellation() -> Iterator[None]:
    """A task that is cancelled meanwhile ends so; redis-py may make a lost connection of it, or go on."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


class _TlsConnection(Connection):
    """A connection over TLS whose certificates were read once, in a thread."""

    def __init__(self, *, tls: ssl.SSLContext, **arguments: Any) -> None:  # noqa: ANN401 (redis-py's own)
        super().__init__(**arguments)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._tls}


def _arguments(address: RedisAddress) -> dict[str, Any]:
    """What kind of connection it takes; this reads certificates."""
    if address.path is not None:
        return {"connection_class": UnixDomainSocketConnection, "path": address.path}
    where = {"host": address.host, "port": address.port}
    if not address.tls:
        return {"connection_class": Connection, **where}
    context = ssl.create_default_context(cafile=address.ca)
    return {"connection_class": _TlsConnection, "tls": context, **where}
