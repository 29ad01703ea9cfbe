"""A node on a broker, in this process or in one that can be killed, and a stock client to talk to it."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support import jobs, speech
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.limits import LIMIT
from voicenode.transports.mqtt import Broker, MqttTransport, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.support.mosquitto import Mosquitto
    from voicenode.jobs import JobQueue


RETRY = (0.05, 0.5)


class Peer:
    """What others use to talk to nodes: paho with its own thread; everything heard stays in `heard`.

    Args:
        address: host and port of the broker.
        name: the client id; with `keep`, the broker keeps what this peer misses.
        version5: MQTT 5, or 3.1.1.
        login: user and password.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        name: str = "",
        keep: bool = False,
        version5: bool = True,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.heard: list[MQTTMessage] = []
        self._address = address
        self._keep = keep
        self._version5 = version5
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._arrivals: dict[int, asyncio.Future[Any]] = {}
        self._subscriptions: list[tuple[str, int]] = []
        self._paho = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTv5 if version5 else MQTTv311,
            clean_session=None if version5 else not keep,
        )
        self._paho.max_inflight_messages = 100
        self._paho.reconnect_delay_set(1, 1)
        if login:
            self._paho.username_pw_set(*login)
        self._paho.on_message = lambda _c, _u, message: self._call(self._hear, message)
        self._paho.on_publish = lambda _c, _u, mid, reason, _p: self._call(self._arrive, mid, reason)
        self._paho.on_subscribe = lambda _c, _u, mid, reasons, _p: self._call(self._arrive, mid, reasons)
        self._paho.on_connect = lambda *_: self._call(self._arrive, 0, None)

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {}
        if self._version5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600 if self._keep else 0
            options = {"clean_start": not self._keep, "properties": properties}
        await asyncio.to_thread(self._paho.connect, *self._address, **options)
        self._paho.loop_start()
        await self._arrival(0)
        self._paho.on_connect = self._subscribe_again
        return self

    async def __aexit__(self, *_: object) -> None:
        self._paho.disconnect()
        await asyncio.to_thread(self._paho.loop_stop)
        self._paho._reset_sockets()  # else they live until the client is collected

    async def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        self._subscriptions.append((topic_filter, qos))
        _, mid = self._paho.subscribe(topic_filter, **self._options(qos))
        await self._arrival(mid)

    async def say(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        **properties: object,
    ) -> Any:  # noqa: ANN401 - whatever paho tells
        """Publish bytes or text, wait until the broker has it, and tell what it answered."""
        kept = None
        if properties:
            kept = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            for name, value in properties.items():
                setattr(kept, name, value)
        return await self._arrival(self._paho.publish(topic, payload, qos, retain, kept).mid)

    async def ask(self, topic: str, **data: object) -> None:
        """Publish a JSON object."""
        await self.say(topic, json.dumps(data))

    async def hear(self, topic: str, **wanted: object) -> Any:  # noqa: ANN401 - JSON
        """The next JSON object on a topic that has these values, be it heard already or not; once each."""
        message = await self.hear_raw(topic, lambda payload: _has(payload, wanted))
        return json.loads(message.payload)

    async def hear_raw(self, topic: str, fits: Callable[[bytes], bool] = lambda _: True) -> MQTTMessage:
        async with asyncio.timeout(LIMIT):
            while True:
                for index, message in enumerate(self.heard):
                    if message.topic == topic and fits(bytes(message.payload)):
                        return self.heard.pop(index)
                self._news.clear()
                await self._news.wait()

    def count(self, topic: str) -> int:
        """Messages on a topic that were heard and not asked for."""
        return sum(message.topic == topic for message in self.heard)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of what was heard."""
        async with asyncio.timeout(4 * LIMIT):
            while not true():
                self._news.clear()
                await self._news.wait()

    def _options(self, qos: int) -> dict[str, Any]:
        return {"options": SubscribeOptions(qos=qos)} if self._version5 else {"qos": qos}

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def _hear(self, message: MQTTMessage) -> None:
        self.heard.append(message)
        self._news.set()

    def _arrive(self, mid: int, reason: object) -> None:
        self._arrivals.setdefault(mid, self._loop.create_future()).set_result(reason)

    async def _arrival(self, mid: int | None) -> Any:  # noqa: ANN401 - whatever paho tells
        assert mid is not None
        async with asyncio.timeout(LIMIT):
            reason = await self._arrivals.setdefault(mid, self._loop.create_future())
        del self._arrivals[mid]
        return reason

    def _subscribe_again(self, *_: object) -> None:
        for topic_filter, qos in self._subscriptions:
            self._paho.subscribe(topic_filter, **self._options(qos))


@dataclass
class Controls:
    """What a test's node remembers of being told, and tells of itself."""

    settings: dict[str, Any]
    told: list[tuple[str, Any]]
    status: dict[str, Any]
    serves_audio: bool = True
    errors: list[str] = field(default_factory=list)

    @classmethod
    def new(cls) -> Self:
        return cls({"default_voice": "tone-plain", "idle_timeout_s": 300}, [], {"queued_jobs": 0})

    def node(self, node_id: str, queue: JobQueue) -> Node:
        return Node(
            id=node_id,
            info=lambda: {"name": "Kitchen", "version": "1.2.3", "api": 1},
            status=lambda: dict(self.status),
            voices=speech.catalogue,
            engines=lambda: {"tone": {"state": "ready"}},
            load=lambda engine: self._note("load", engine),
            unload=lambda engine: self._note("unload", engine),
            settings=lambda: dict(self.settings),
            change_settings=self._change,
            cancel_live=queue.cancel_live,
            note_error=self.errors.append,
            url_of=lambda name: f"http://node/audio/{name}" if self.serves_audio else None,
        )

    async def _note(self, what: str, engine: str | None) -> None:
        self.told.append((what, engine))

    async def _change(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        self.settings.update(changes)
        return dict(self.settings)


@dataclass
class Running:
    """A node of this process."""

    transport: MqttTransport
    queue: JobQueue
    controls: Controls

    @property
    def base(self) -> str:
        return self.transport.topics.node


@asynccontextmanager
async def node(
    broker: Mosquitto | Broker,
    folder: Path,
    node_id: str = "n1",
    *,
    connected: bool = True,
    settings: Mapping[str, Any] | None = None,
    prepare: Callable[[MqttTransport, Node, JobQueue], None] = lambda *_: None,
    **queue_options: Any,  # noqa: ANN401
) -> AsyncIterator[Running]:
    """A node that keeps its jobs below `folder`; entering again with the same one is a restart.

    `prepare` may add to it before it starts.
    """
    place = broker if isinstance(broker, Broker) else address(broker)
    controls = Controls.new()
    async with jobs.queue(folder, start=False, **queue_options) as queue:
        seen = controls.node(node_id, queue)
        transport = MqttTransport(place, seen, queue, retry=RETRY, **(settings or {}))
        prepare(transport, seen, queue)
        await queue.start()
        await transport.start()
        try:
            if connected:
                async with asyncio.timeout(LIMIT):
                    await transport.client.connected.wait()
            yield Running(transport, queue, controls)
        finally:
            await transport.stop(5.0)


def properties(message: MQTTMessage) -> Any:  # noqa: ANN401 - paho makes its attributes up
    return message.properties


def address(broker: Mosquitto) -> Broker:
    username, password = broker.username or None, broker.password or None
    return Broker(host=broker.host, port=broker.port, username=username, password=password)


def _has(payload: bytes, wanted: Mapping[str, Any]) -> bool:
    try:
        data = json.loads(payload)
    except ValueError:
        return False
    return isinstance(data, dict) and all(data.get(key) == value for key, value in wanted.items())


async def _serve(folder: Path, host: str, port: str, node_id: str) -> None:
    slow = ToneOptions(char_seconds=0.001)
    async with node(Broker(host=host, port=int(port)), folder, node_id, options=slow):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *sys.argv[2:]))
