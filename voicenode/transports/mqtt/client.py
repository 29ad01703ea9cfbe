"""A client that outlives its connections: what is published arrives, what is received is not lost."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from voicenode.transports.mqtt.connection import Connection
from voicenode.transports.mqtt.problems import Problems
from voicenode.transports.mqtt.refusals import ConnectError, UnsupportedVersionError
from voicenode.transports.mqtt.topics import matches

if TYPE_CHECKING:
    from voicenode.transports.mqtt.packets import Broker, Message, Publication, Session

_log = logging.getLogger(__name__)

_MAX_HANDLED = 256
"""Messages that are being handled at a time; no further ones are read until one of them is done."""
_STABLE_SECONDS = 600
"""After so long a connection, a problem that comes back is news again."""
_HANGUPS = 2
"""Silent ends of a first contact in a row, after which the other version of MQTT is tried."""

Handler = Callable[["Message"], Awaitable[None]]
"""What is done with a message."""


class Client:
    """Publishes and subscribes over whatever connection there is, and connects again whenever there is none.

    Args:
        broker: where to.
        session: as whom; no two clients may share a client id.
        retry: the first and the longest time in seconds between two attempts to connect.
    """

    def __init__(self, broker: Broker, session: Session, *, retry: tuple[float, float] = (1.0, 60.0)) -> None:
        self.connected = asyncio.Event()
        """Set while there is a connection with all its subscriptions."""
        self._broker = broker
        self._session = session
        self._first_delay, self._longest_delay = retry
        self._handlers: dict[str, Handler] = {}
        self._greetings: list[Callable[[], Awaitable[None]]] = []
        self._connection: Connection | None = None
        self._waiting: deque[_Outgoing] = deque()
        self._sent: dict[_Outgoing, None] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._problems = Problems()
        self._running: asyncio.Task[None] | None = None
        self._version5 = True
        self._hangups = 0
        self._draining = False
        self._leaving = False

    @property
    def version5(self) -> bool:
        """Whether the broker is spoken to in MQTT 5, so far as is known."""
        return self._version5

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Have messages handled, each in a task of its own; call it before `start`.

        A handler acknowledges its message when what it asks for is safe. It must not wait for a publication:
        acknowledgements are not read while too many messages are being handled.
        """
        self._handlers[topic_filter] = handler

    def drain(self) -> None:
        """Handle no further messages: they stay with the broker until the next start."""
        self._draining = True

    def on_connected(self, greet: Callable[[], Awaitable[None]]) -> None:
        """Call `greet` whenever there is a new connection, once the subscriptions are made."""
        self._greetings.append(greet)

    def start(self) -> None:
        """Begin to connect, and return at once."""
        self._running = asyncio.create_task(self._run(), name="mqtt connection")

    async def stop(self, grace: float, last_words: Publication) -> None:
        """Handle nothing more, wait `grace` seconds for what was published to arrive, and take leave."""
        self.drain()
        for task in self._handling:
            task.cancel()
        if (connection := self._connection) is not None:
            self.publish(last_words)
            await self._arrival(connection, grace)
            self._leaving = True
            await connection.close()
        tasks = self._handling | ({self._running} if self._running else set())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def publish(self, publication: Publication) -> asyncio.Future[bool]:
        """Publish a message; tells whether the broker took it.

        At QoS 1 that may take several connections, and then the message may arrive twice; a later retained
        message replaces an earlier one of the same topic that is still waiting. At QoS 0 a message is lost
        where there is no connection.
        """
        if publication.qos == 0 and self._connection is None:
            lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            lost.set_result(False)
            return lost
        if publication.retain and (same := self._same_topic(publication)):
            same.publication = publication
            return same.taken
        outgoing = _Outgoing(publication)
        self._waiting.append(outgoing)
        self._pump()
        return outgoing.taken

    async def _arrival(self, connection: Connection, limit: float) -> None:
        """Wait for all that is on its way, but not past the end of the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                for outgoing in (*self._sent, *self._waiting):
                    if connection.ended.done():
                        break
                    either: set[asyncio.Future[Any]] = {outgoing.taken, connection.ended}
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self) -> None:
        delay = self._first_delay
        while not self._leaving:
            connection = Connection(
                self._broker, self._session, version5=self._version5, received=self._received
            )
            since = asyncio.get_running_loop().time()
            reason = await self._live(connection)
            lasted = asyncio.get_running_loop().time() - since
            if lasted > _STABLE_SECONDS:
                self._problems.forget()
            delay = self._first_delay if lasted > delay else min(2 * delay, self._longest_delay)
            if reason is not None and not self._leaving:
                self._problems.report(f"MQTT: {reason}; the node goes on without, and tries again")
                await asyncio.sleep(random.uniform(0.5, 1.0) * delay)  # noqa: S311 - spreads load, hides nothing

    async def _live(self, connection: Connection) -> str | None:
        """One connection to its end; why it ended, none where another shall be tried at once."""
        try:
            await connection.open()
        except UnsupportedVersionError as error:
            return self._change_version(error)
        except ConnectError as error:
            return str(error)
        self._hangups = 0
        self._connection = connection
        try:
            self._pump()
            if await self._greet(connection):
                self._problems.note_end(f"MQTT: connected to {self._broker}")
            return f"{self._broker}: {await connection.ended}"
        finally:
            self.connected.clear()
            self._connection = None
            connection.abort()
            self._take_back()

    def _change_version(self, error: UnsupportedVersionError) -> str | None:
        self._hangups += 1
        if not error.said and self._hangups < _HANGUPS:
            return str(error)
        # A broker that knows neither version is asked for each in turn, with the usual pauses.
        was_version5, self._version5, self._hangups = self._version5, not self._version5, 0
        return None if error.said and was_version5 else str(error)

    async def _greet(self, connection: Connection) -> bool:
        filters = list(self._handlers)
        agreed = await asyncio.gather(*(connection.subscribe(each) for each in filters))
        if connection.ended.done():
            return False
        for topic_filter, done in zip(filters, agreed, strict=True):
            if not done:
                self._problems.report(f"MQTT: {self._broker} refuses the subscription to {topic_filter}")
        self.connected.set()
        for greet in self._greetings:
            await greet()
        return True

    def _received(self, message: Message) -> None:
        if self._draining:  # what is left unacknowledged is for the next start
            return
        handler = self._handler(message.topic)
        if handler is None:  # the broker remembers what the node subscribed to with other settings
            message.ack()
            return
        task = asyncio.create_task(self._handle(handler, message), name=f"mqtt message on {message.topic}")
        self._handling.add(task)
        task.add_done_callback(self._handled)
        if len(self._handling) >= _MAX_HANDLED and self._connection is not None:
            self._connection.driver.pause()

    def _handler(self, topic: str) -> Handler | None:
        if topic in self._handlers:
            return self._handlers[topic]
        return next((each for pattern, each in self._handlers.items() if matches(pattern, topic)), None)

    async def _handle(self, handler: Handler, message: Message) -> None:
        try:
            await handler(message)
        except Exception:  # noqa: BLE001 - the boundary: one message must not harm the next, nor come back
            _log.exception("MQTT: a message on %s failed for a reason nobody foresaw", message.topic)
            message.ack()

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if len(self._handling) == _MAX_HANDLED // 2 and self._connection is not None:
            self._connection.driver.resume()

    def _pump(self) -> None:
        """Send what waits, as far as the broker takes it."""
        connection = self._connection
        while connection is not None and self._waiting and len(self._sent) < connection.window:
            outgoing = self._waiting.popleft()
            publication = outgoing.publication
            if connection.max_packet is not None and _size(publication) > connection.max_packet:
                self._problems.report(f"MQTT: too large for {self._broker}: a message on {publication.topic}")
                outgoing.resolve(taken=False)
                continue
            self._sent[outgoing] = None
            connection.publish(publication, partial(self._taken, outgoing))

    def _taken(self, outgoing: _Outgoing, taken: bool) -> None:  # noqa: FBT001 - as a callback gets it
        self._sent.pop(outgoing, None)
        if not taken:
            self._problems.report(f"MQTT: {self._broker} refuses messages on {outgoing.publication.topic}")
        outgoing.resolve(taken=taken)
        self._pump()

    def _take_back(self) -> None:
        """What was sent and not acknowledged goes first over the next connection, in the same order."""
        for outgoing in reversed(self._sent):
            if outgoing.publication.qos:
                self._waiting.appendleft(outgoing)
            else:
                outgoing.resolve(taken=False)
        self._sent.clear()

    def _same_topic(self, publication: Publication) -> _Outgoing | None:
        return next(
            (
                each
                for each in self._waiting
                if each.publication.retain and each.publication.topic == publication.topic
            ),
            None,
        )


@dataclass(eq=False, slots=True)
class _Outgoing:
    """A publication on its way, over one connection or several."""

    publication: Publication
    taken: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def resolve(self, *, taken: bool) -> None:
        with suppress(asyncio.InvalidStateError):  # who waited may have been cancelled
            self.taken.set_result(taken)


def _size(publication: Publication) -> int:
    """At most the bytes of its packet, user properties and header included."""
    user = sum(len(key) + len(value) + 5 for key, value in publication.user)
    return (
        len(publication.payload)
        + 4 * len(publication.topic)
        + len(publication.correlation or b"")
        + user
        + 64
    )
