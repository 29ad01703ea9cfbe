"""The client against a real broker that comes, goes, refuses and forgets."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import certificates
from tests.support.limits import LIMIT, eventually
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import RETRY, Peer, address, properties
from tests.support.mqtt_proxy import Fate, Proxy
from tests.support.ports import free_port
from voicenode.transports.mqtt.client import Client
from voicenode.transports.mqtt.packets import Broker, Message, Publication, Session, Tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("heartbeat")

WILL = Publication(topic="t/state", payload=b"gone", retain=True)
BYE = Publication(topic="t/state", payload=b"bye", retain=True)


class Inbox:
    """A handler that keeps what it gets."""

    def __init__(self, *, ack: bool = True) -> None:
        self.messages: list[Message] = []
        self._ack = ack
        self._news = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if self._ack:
            message.ack()
        self._news.set()

    async def holds(self, count: int) -> list[bytes]:
        async with asyncio.timeout(LIMIT):
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()
        return [message.payload for message in self.messages]


@asynccontextmanager
async def client(
    broker: Mosquitto | Broker, inbox: Inbox | None = None, *, name: str = "c1", wait: bool = True
) -> AsyncIterator[Client]:
    place = broker if isinstance(broker, Broker) else address(broker)
    client = Client(place, Session(client_id=name, expiry=3600, will=WILL), retry=RETRY)
    if inbox:
        client.subscribe("t/in", inbox)
    client.start()
    try:
        if wait:
            await connected(client)
        yield client
    finally:
        await client.stop(5.0, BYE)


async def connected(client: Client) -> None:
    async with asyncio.timeout(LIMIT):
        await client.connected.wait()


def peer(broker: Mosquitto, **options: object) -> Peer:
    return Peer((broker.host, broker.port), **options)  # type: ignore[arg-type]


@asynccontextmanager
async def proxied(broker: Mosquitto, fate: Callable[[int], Fate]) -> AsyncIterator[tuple[Proxy, Broker]]:
    async with Proxy((broker.host, broker.port), fate).listening() as proxy:
        yield proxy, Broker(host="127.0.0.1", port=proxy.port)


def message(number: int) -> Publication:
    return Publication(topic="t/out", payload=b"%d" % number)


async def test_what_is_published_arrives_with_its_properties(mosquitto: Mosquitto) -> None:
    async with peer(mosquitto) as listener, client(mosquitto) as sender:
        await listener.subscribe("t/out")
        publication = replace(message(1), content_type="a/b", correlation=b"\xff", user=(("k", "v"),))
        assert await sender.publish(publication)
        heard = await listener.hear_raw("t/out")
        assert (heard.payload, heard.qos) == (b"1", 1)
        assert properties(heard).ContentType == "a/b"
        assert properties(heard).CorrelationData == b"\xff"
        assert properties(heard).UserProperty == [("k", "v")]


async def test_what_is_published_while_there_is_no_broker_arrives_in_order(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with peer(broker, name="listener", keep=True) as listener:
            await listener.subscribe("t/out")
        broker.stop()
        async with client(broker, wait=False) as sender:
            sent = [sender.publish(message(number)) for number in range(300)]
            broker.start()
            assert all(await asyncio.wait_for(asyncio.gather(*sent), LIMIT))
        async with peer(broker, name="listener", keep=True) as listener:
            await listener.until(lambda: len(listener.heard) == 300)
            assert [int(each.payload) for each in listener.heard] == list(range(300))


async def test_a_restart_of_the_broker_loses_nothing(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with peer(broker, name="listener", keep=True) as listener, client(broker) as sender:
            await listener.subscribe("t/out")
            sent = []
            for number in range(200):
                sent.append(sender.publish(message(number)))
                if number % 50 == 25:
                    await asyncio.to_thread(broker.restart)
                await asyncio.sleep(0)
            assert all(await asyncio.wait_for(asyncio.gather(*sent), LIMIT))
            await listener.until(lambda: len({each.payload for each in listener.heard}) == 200)


async def test_a_message_comes_again_until_it_is_acknowledged(mosquitto: Mosquitto) -> None:
    async with peer(mosquitto) as sender:
        inbox = Inbox(ack=False)
        async with client(mosquitto, inbox):
            await sender.say("t/in", "1")
            await inbox.holds(1)
        inbox = Inbox()
        async with client(mosquitto, inbox):
            assert await inbox.holds(1) == [b"1"]
        inbox = Inbox()
        async with client(mosquitto, inbox):
            await sender.say("t/in", "2")
            assert await inbox.holds(1) == [b"2"]


async def test_what_comes_while_the_client_is_away_is_kept_for_it(mosquitto: Mosquitto) -> None:
    async with client(mosquitto, Inbox()):
        pass
    async with peer(mosquitto) as sender:
        await sender.say("t/in", "while away")
    inbox = Inbox()
    async with client(mosquitto, inbox):
        assert await inbox.holds(1) == [b"while away"]


async def test_a_subscription_of_earlier_settings_does_no_harm(mosquitto: Mosquitto) -> None:
    async with client(mosquitto, Inbox()):
        pass
    async with peer(mosquitto) as sender:
        await asyncio.gather(*(sender.say("t/in", "nobody cares") for _ in range(200)))
        inbox = Inbox()
        other = Client(address(mosquitto), Session(client_id="c1", expiry=60, will=WILL), retry=RETRY)
        other.subscribe("t/other", inbox)
        other.start()
        try:
            await connected(other)
            await sender.say("t/other", "hello")
            assert await inbox.holds(1) == [b"hello"]
        finally:
            await other.stop(5.0, BYE)


async def test_a_broker_that_forgot_everything_is_subscribed_to_again(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        inbox = Inbox()
        async with client(broker, inbox) as receiver:
            await asyncio.to_thread(broker.stop)
            await eventually(lambda: not receiver.connected.is_set())
            await asyncio.to_thread(broker.start)
            await connected(receiver)
            async with peer(broker) as sender:
                await sender.say("t/in", "hello")
                assert await inbox.holds(1) == [b"hello"]


@pytest.mark.parametrize("fate", ["refuse version 5", "hang up on version 5"])
async def test_an_old_broker_is_spoken_to_in_its_own_version(mosquitto: Mosquitto, fate: Fate) -> None:
    inbox = Inbox()
    async with (
        proxied(mosquitto, lambda _: fate) as (_, old),
        client(old, inbox) as receiver,
        peer(mosquitto, version5=False) as other,
    ):
        assert not receiver.version5
        await other.subscribe("t/out")
        publication = replace(message(1), content_type="a/b", user=(("k", "v"),))
        assert await receiver.publish(publication)
        assert (await other.hear_raw("t/out")).payload == b"1"
        await other.say("t/in", "hello")
        assert await inbox.holds(1) == [b"hello"]


async def test_a_broker_that_drops_every_second_connection_is_used_and_complained_about_once(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    def fate(number: int) -> Fate:
        return "hang up" if number % 2 else "pass"

    async with peer(mosquitto) as listener, proxied(mosquitto, fate) as (proxy, broker):
        await listener.subscribe("t/out")
        async with client(broker) as sender:
            for number in range(5):
                assert await sender.publish(message(number))
                proxy.cut()
                await eventually(lambda: not sender.connected.is_set())
                await connected(sender)
            assert sender.version5
        assert proxy.connections == 12
    warnings = [each for each in caplog.messages if "tries again" in each]
    assert len(warnings) == 2, "a broken connection, and one that was not made"


async def test_a_wrong_password_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Mosquitto(tmp_path / "broker", username="anna", password="right") as broker:
        async with client(replace(address(broker), password="wrong"), wait=False):
            await eventually(lambda: sum("check mqtt.username" in each for each in caplog.messages) >= 3)
        said = [each for each in caplog.records if "check mqtt.username" in each.message]
        assert [each.levelname for each in said[:3]] == ["WARNING", "DEBUG", "DEBUG"]
        assert all(each.levelname == "DEBUG" for each in said[1:])
        async with client(broker):
            pass


async def test_the_will_is_published_when_the_client_is_gone_without_a_word(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        async with peer(broker, version5=False) as listener:
            await listener.subscribe("t/state")
            async with (
                proxied(broker, lambda _: "refuse version 5") as (proxy, old),
                client(old) as sender,
            ):
                proxy.cut()
                assert (await listener.hear_raw("t/state")).payload == b"gone"
                await connected(sender)
            assert (await listener.hear_raw("t/state")).payload == b"bye"


async def test_a_short_break_does_not_bring_the_will(mosquitto: Mosquitto) -> None:
    async with peer(mosquitto) as listener, proxied(mosquitto, lambda _: "pass") as (proxy, broker):
        await listener.subscribe("t/state")
        async with client(broker) as sender:
            proxy.cut()
            await eventually(lambda: not sender.connected.is_set())
            await connected(sender)
        assert (await listener.hear_raw("t/state")).payload == b"bye"
        assert listener.heard == []


async def test_a_newer_retained_message_replaces_one_that_waits(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    async with client(Broker(host=broker.host, port=broker.port), wait=False) as sender:
        first = sender.publish(Publication(topic="t/kept", payload=b"1", retain=True))
        second = sender.publish(Publication(topic="t/kept", payload=b"2", retain=True))
        with broker:
            async with peer(broker) as listener:
                await listener.subscribe("t/kept")
                assert all(await asyncio.wait_for(asyncio.gather(first, second), LIMIT))
                assert (await listener.hear_raw("t/kept")).payload == b"2"
                assert listener.heard == []


async def test_what_need_not_arrive_is_dropped_without_a_connection() -> None:
    async with client(Broker(host="127.0.0.1", port=1), wait=False) as sender:
        assert await sender.publish(replace(message(1), qos=0)) is False


async def test_more_messages_than_can_be_handled_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    """An old broker without a bound of its own delivers everything at once."""
    gate = asyncio.Event()
    running, most = 0, 0

    async def handle(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        message.ack()

    with Mosquitto(
        tmp_path / "broker", settings=("max_inflight_messages 0", "max_queued_messages 0")
    ) as broker:
        async with proxied(broker, lambda _: "refuse version 5") as (_, old), peer(broker) as sender:
            receiver = Client(old, Session(client_id="c1", expiry=60, will=WILL), retry=RETRY)
            receiver.subscribe("t/in", handle)
            receiver.start()
            try:
                await connected(receiver)
                for _ in range(20):
                    await asyncio.gather(*(sender.say("t/in", b"%d" % number) for number in range(50)))
                await eventually(lambda: running >= 256)
                await asyncio.sleep(0.1)
                assert running == 256
                gate.set()
                await eventually(lambda: not running)
                assert await receiver.publish(message(1)), "the connection has survived it"
                assert most <= 256 + 32
            finally:
                await receiver.stop(5.0, BYE)


async def test_a_subscription_that_is_refused_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "acl").write_text("topic write t/state\n")
    with Mosquitto(tmp_path / "broker", settings=(f"acl_file {tmp_path / 'acl'}",)) as broker:
        async with client(broker, Inbox()) as sender:
            assert await sender.publish(message(1)) is False
    assert any("refuses messages on t/out" in each for each in caplog.messages)


async def test_descriptors_beyond_what_select_knows_are_fine(mosquitto: Mosquitto) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        async with client(mosquitto) as sender:
            assert await sender.publish(message(1))
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_websockets_carry_the_same(tmp_path: Path) -> None:
    port = free_port()  # libwebsockets binds to interfaces, not to addresses
    settings = (f"listener {port}", "bind_interface lo", "protocol websockets")
    with Mosquitto(tmp_path / "broker", settings=settings) as broker:
        inbox = Inbox()
        async with client(replace(address(broker), port=port, transport="websockets"), inbox) as sender:
            await sender.publish(Publication(topic="t/in", payload=bytes(100_000)))
            assert await inbox.holds(1) == [bytes(100_000)]


async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    certificates(tmp_path)
    settings = (
        f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem",
        "require_certificate true",
    )  # fmt: skip
    with Mosquitto(tmp_path / "broker", settings=settings) as broker:
        inbox = Inbox()
        ours = Tls(ca=f"{tmp_path}/ca.pem", cert=f"{tmp_path}/cert.pem", key=f"{tmp_path}/key.pem")
        async with client(replace(address(broker), host="localhost", tls=ours), inbox) as sender:
            payload = os.urandom(200_000)
            for _ in range(20):
                sender.publish(Publication(topic="t/in", payload=payload))
            assert await inbox.holds(20) == [payload] * 20


async def test_a_broker_that_cannot_be_trusted_is_not_spoken_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates(tmp_path)
    settings = (f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
    with Mosquitto(tmp_path / "broker", settings=settings) as broker:
        async with client(replace(address(broker), host="localhost", tls=Tls()), wait=False):
            await eventually(lambda: any("CERTIFICATE_VERIFY_FAILED" in each for each in caplog.messages))


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        (Broker(host="broker.invalid"), "cannot be reached"),
        (Broker(host="127.0.0.1", tls=Tls(ca="/nowhere/ca.pem")), "No such file"),
    ],
)
async def test_what_cannot_be_found_is_named(
    broker: Broker, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(broker, wait=False):
        await eventually(lambda: any(words in each for each in caplog.messages))
