"""One connection to a broker, through paho: the only file that knows it.

paho's network functions are called by the event loop itself when the socket is ready, and no thread is left
behind: its own thread waits with select(), which fails once a process has more than a thousand descriptors.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from voicenode.transports.mqtt.driver import Driver
from voicenode.transports.mqtt.packets import MAX_PAYLOAD, Message
from voicenode.transports.mqtt.refusals import ConnectError, UnsupportedVersionError, refusal
from voicenode.transports.mqtt.sockets import BufferedSocket, close_left_open, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from voicenode.transports.mqtt.packets import Broker, Publication, Session

RECEIVE_MAXIMUM = 128
"""Messages that the broker may deliver before one is acknowledged; before MQTT 5 its own bound counts."""

_KEEPALIVE = 30
"""Seconds of silence after which the broker is asked whether it is still there."""
_WILL_DELAY = 10
"""Seconds that the broker waits with the will, so that a short break goes unnoticed."""
_CONNACK_TIMEOUT = 10.0
_DISCONNECT_TIMEOUT = 1.0
_MAX_PACKET = 64 * 1024 * 1024
"""Bytes: a broker that speaks MQTT 5 keeps larger messages to itself."""
_MAX_DECODED = MAX_PAYLOAD + 1024 * 1024
"""Bytes of a delivered packet, its topic and properties included."""


class Connection:
    """One connection from CONNECT to its end, used on one event loop.

    Args:
        broker: where to.
        session: as whom.
        version5: whether to speak MQTT 5, or 3.1.1.
        received: told each message as it arrives.
    """

    def __init__(
        self, broker: Broker, session: Session, *, version5: bool, received: Callable[[Message], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._broker = broker
        self._session = session
        self.version5 = version5
        self._received = received
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[bool]] = {}
        self._published: dict[int, Callable[[bool], None]] = {}
        self._paho = self._client()
        self.driver = Driver(self._paho, self.abort)
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Why the connection is no more, once it is not."""
        self.window = RECEIVE_MAXIMUM
        """Publications that the broker takes before it has acknowledged one of them."""
        self.max_packet: int | None = None
        """Bytes of a publication that the broker takes; none where it did not say."""

    async def open(self) -> None:
        """Connect and log in.

        Raises:
            ConnectError: it was not possible.
        """
        connecting = self._loop.run_in_executor(None, self._connect)
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(lambda _: self.abort())
            raise
        except (OSError, ValueError) as error:
            close_left_open(error)
            raise ConnectError(f"{self._broker} cannot be reached: {error}") from error
        try:
            self._attach()
            async with asyncio.timeout(_CONNACK_TIMEOUT):
                await self._opened
        except TimeoutError:
            self.abort()
            raise ConnectError(f"{self._broker} does not answer as a broker does") from None
        except BaseException:
            self.abort()
            raise

    async def subscribe(self, topic_filter: str) -> bool:
        """Whether the broker agreed; False too when the connection ended."""
        # Requests that are published retained are told apart also while the node is there to hear them.
        options = SubscribeOptions(qos=1, retainAsPublished="/request/" in topic_filter)
        code, number = (
            self._paho.subscribe(topic_filter, options=options)
            if self.version5
            else self._paho.subscribe(topic_filter, qos=1)
        )
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or number is None:
            return False
        agreed: asyncio.Future[bool] = self._loop.create_future()
        self._subscribed[number] = agreed
        return await agreed

    def publish(self, publication: Publication, done: Callable[[bool], None]) -> None:
        """Send a message; `done` is told whether the broker took it, unless the connection ends first."""
        properties = None
        if self.version5 and (publication.content_type or publication.correlation or publication.user):
            properties = _properties(
                PacketTypes.PUBLISH,
                ContentType=publication.content_type,
                CorrelationData=publication.correlation,
                UserProperty=list(publication.user),
            )
        info = self._paho.publish(
            publication.topic, publication.payload, publication.qos, publication.retain, properties
        )
        self._published[info.mid] = done

    def abort(self) -> None:
        """Leave without a word."""
        self.driver.detach()
        if (sock := self._paho.socket()) is not None:
            sock.close()
        self._end("the connection was lost")

    async def close(self) -> None:
        """Take leave, so that the will is not published."""
        self._paho.disconnect()
        await asyncio.wait([self.ended], timeout=_DISCONNECT_TIMEOUT)
        self.abort()

    def _client(self) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._session.client_id,
            clean_session=None if self.version5 else not self._session.expiry,
            protocol=MQTTv5 if self.version5 else MQTTv311,
            transport=self._broker.transport,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages = 0  # no bound: whoever publishes keeps to `window`
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def _connect(self) -> None:
        """Resolve, connect, shake hands and send CONNECT; runs in a thread, for all of it blocks."""
        will, client, broker = self._session.will, self._paho, self._broker
        if broker.tls is not None:
            client.tls_set_context(tls_context(broker.tls))
        if not self.version5:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
            client.connect(broker.host, broker.port, _KEEPALIVE)
            return
        delay = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=_WILL_DELAY)
        client.will_set(will.topic, will.payload, will.qos, will.retain, delay)
        properties = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=round(self._session.expiry),
            ReceiveMaximum=RECEIVE_MAXIMUM,
            MaximumPacketSize=_MAX_PACKET,
        )
        client.connect(broker.host, broker.port, _KEEPALIVE, clean_start=False, properties=properties)

    def _attach(self) -> None:
        sock, driver = self._paho.socket(), self.driver
        if not isinstance(sock, BufferedSocket):
            raise ConnectError(f"{self._broker} closed the connection at once")
        # Not before: what is sent by `connect` shall be sent by the thread that calls it.
        self._paho.on_socket_register_write = lambda *_: driver.want_write()
        self._paho.on_socket_close = lambda *_: driver.detach()
        driver.attach(sock)

    def _end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self._published.clear()
        for agreed in self._subscribed.values():
            _resolve(agreed, result=False)
        if not self._opened.done():
            self._opened.set_exception(
                UnsupportedVersionError(f"{self._broker} hung up before it answered", said=False)
            )
            self._opened.exception()  # nobody may be waiting for it

    def _on_connect(
        self,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._opened.done():
            return
        if reason.is_failure:
            self._opened.set_exception(refusal(self._broker, reason.getName(), reason.value))
            return
        self.window = min(self.window, getattr(properties, "ReceiveMaximum", self.window))
        self.max_packet = getattr(properties, "MaximumPacketSize", None)
        self._opened.set_result(None)

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        said = flags.is_disconnect_packet_from_server
        self._end(f"the broker said: {reason.getName()}" if said else "the connection was lost")

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no filter of ours matches such a topic
            return
        properties = message.properties
        self._received(
            Message(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=message.retain,
                ack=partial(self._acknowledge, message.mid, message.qos),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
                expires_s=getattr(properties, "MessageExpiryInterval", None),
            )
        )

    def _acknowledge(self, number: int, qos: int) -> None:
        if not self.ended.done():
            self._paho.ack(number, qos)

    def _on_publish(
        self, _client: Client, _data: object, number: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        if done := self._published.pop(number, None):
            done(not reason.is_failure)

    def _on_subscribe(
        self, _client: Client, _data: object, number: int, reasons: list[ReasonCode], _properties: Properties
    ) -> None:
        if agreed := self._subscribed.pop(number, None):
            _resolve(agreed, result=not any(reason.is_failure for reason in reasons))


class _Client(Client):
    """paho's client with a better socket, and without its copies of what nobody wants.

    Both methods are its own affair: should a later version no longer call them, it is slower and that is all.
    """

    def _create_socket(self) -> BufferedSocket:
        return BufferedSocket(super()._create_socket())

    def _handle_publish(self) -> MQTTErrorCode:
        # The payload is the end of the packet. paho copies all of it several times.
        del self._in_packet["packet"][_MAX_DECODED:]
        return super()._handle_publish()


def _properties(packet: int, **values: object) -> Properties:
    """The properties of a packet (MQTT 5, 2.2.2.2) that have a value."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value:
            setattr(properties, name, value)
    return properties


def _resolve(future: asyncio.Future[bool], *, result: bool) -> None:
    with suppress(asyncio.InvalidStateError):
        future.set_result(result)
