import asyncio
import logging
import secrets
from collections.abc import AsyncIterator

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf import _core as zeroconf_core
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from voicenode.transports.mdns import Advertiser, Reach

SERVICE_TYPE = "_wyoming._tcp.local."
LOOPBACK = "127.0.0.1"
pytestmark = pytest.mark.usefixtures("heartbeat")
HERE = Reach((LOOPBACK,), (LOOPBACK,))


class Listener:
    """A stock browser on the loopback interface that remembers what it was told."""

    def __init__(self) -> None:
        self.network = AsyncZeroconf([LOOPBACK])
        self._events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._browser = AsyncServiceBrowser(self.network.zeroconf, SERVICE_TYPE, handlers=[self._note])

    def _note(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        assert zeroconf
        self._events.put_nowait((name.removesuffix(f".{service_type}"), state_change.name))

    async def hears(self, name: str, *changes: str) -> None:
        while await self._events.get() not in [(name, change) for change in changes]:
            pass

    async def describe(self, name: str) -> AsyncServiceInfo:
        info = await self.network.async_get_service_info(SERVICE_TYPE, f"{name}.{SERVICE_TYPE}")
        assert info is not None
        return info

    async def hears_of_address(self, name: str, address: str) -> None:
        while address not in (await self.describe(name)).parsed_addresses():
            await self.hears(name, "Updated")

    async def close(self) -> None:
        await self._browser.async_cancel()
        await self.network.async_close()


class Machine:
    """A machine whose addresses change at a test's wish; `looked` has one item for each look at them."""

    def __init__(self, reach: Reach = HERE) -> None:
        self.reach = reach
        self.looked: asyncio.Queue[Reach] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> Reach:
        reach = self.reach
        self._loop.call_soon_threadsafe(self.looked.put_nowait, reach)
        return reach

    async def looked_at(self, times: int) -> None:
        for _ in range(times):
            await self.looked.get()


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own tests do the same: on loopback an answer needs no half second."""
    monkeypatch.setattr(zeroconf_core, "_PROBE_RANDOM_DELAY_INTERVAL", (1, 5))
    monkeypatch.setattr(zeroconf_core, "_CHECK_TIME", 100)
    monkeypatch.setattr(zeroconf_core, "_REGISTER_TIME", 30)
    monkeypatch.setattr(zeroconf_core, "_UNREGISTER_TIME", 30)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    stock = Listener()
    yield stock
    await stock.close()


def advertiser(node_id: str, reach: Machine, *, poll_interval: float = 0.02) -> Advertiser:
    return Advertiser(
        node_id=node_id, name="Küche", version="1.2.3", port=10200, reach=reach, poll_interval=poll_interval
    )


async def test_a_stock_browser_finds_the_node_and_what_it_says_of_itself(listener: Listener) -> None:
    node_id = secrets.token_hex(4)
    async with advertiser(node_id, Machine()):
        await listener.hears(f"voicenode-{node_id}", "Added")
        info = await listener.describe(f"voicenode-{node_id}")

    assert (info.parsed_addresses(), info.port) == ([LOOPBACK], 10200)
    assert info.server == f"voicenode-{node_id}.local."
    assert info.decoded_properties == {
        "id": node_id,
        "version": "1.2.3",
        "api": "1",
        "programs": "tts",
        "name": "Küche",
    }


async def test_it_says_goodbye(listener: Listener) -> None:
    node_id = secrets.token_hex(4)
    async with advertiser(node_id, Machine()):
        await listener.hears(f"voicenode-{node_id}", "Added")

    await listener.hears(f"voicenode-{node_id}", "Removed")


async def test_a_new_address_is_announced_in_place_of_the_old_one(listener: Listener) -> None:
    node_id, machine = secrets.token_hex(4), Machine(Reach(("192.0.2.10",), (LOOPBACK,)))
    name = f"voicenode-{node_id}"
    async with advertiser(node_id, machine):
        await listener.hears(name, "Added")
        assert (await listener.describe(name)).parsed_addresses() == ["192.0.2.10"]
        machine.reach = Reach(("192.0.2.99",), (LOOPBACK,))
        await listener.hears_of_address(name, "192.0.2.99")
        newcomer = Listener()
        await newcomer.hears(name, "Added")
        told_to_newcomer = (await newcomer.describe(name)).parsed_addresses()
        await newcomer.close()

    assert told_to_newcomer == ["192.0.2.99"]


async def test_a_lost_network_is_reported_once_and_the_node_announced_when_it_is_back(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    node_id, machine = secrets.token_hex(4), Machine(Reach(("192.0.2.10",), (LOOPBACK,)))
    async with advertiser(node_id, machine):
        await listener.hears(f"voicenode-{node_id}", "Added")
        machine.reach = Reach()
        while await machine.looked.get() != machine.reach:
            pass
        await machine.looked_at(2)
        machine.reach = Reach(("192.0.2.11",), (LOOPBACK,))
        await listener.hears_of_address(f"voicenode-{node_id}", "192.0.2.11")

    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "the network may be down" in warning.getMessage()


async def test_properties_can_change_without_waiting_for_the_next_look(listener: Listener) -> None:
    node_id = secrets.token_hex(4)
    async with advertiser(node_id, Machine(), poll_interval=3600) as node:
        await listener.hears(f"voicenode-{node_id}", "Added")
        node.update(mqtt=f"voicenode/{node_id}", http="10201")
        await listener.hears(f"voicenode-{node_id}", "Updated")
        properties = (await listener.describe(f"voicenode-{node_id}")).decoded_properties

    assert properties["mqtt"] == f"voicenode/{node_id}"
    assert properties["http"] == "10201"
    assert properties["id"] == node_id


async def test_a_property_too_long_for_a_record_is_cut_between_characters(listener: Listener) -> None:
    node_id = secrets.token_hex(4)
    node = advertiser(node_id, Machine())
    node.update(name="ü" * 200)
    async with node:
        await listener.hears(f"voicenode-{node_id}", "Added")
        info = await listener.describe(f"voicenode-{node_id}")

    assert info.decoded_properties["name"] == "ü" * 125


async def test_a_second_node_of_the_same_id_takes_another_name_and_warns_once(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    node_id = secrets.token_hex(4)
    async with advertiser(node_id, Machine()):
        await listener.hears(f"voicenode-{node_id}", "Added")
        machine = Machine()
        async with advertiser(node_id, machine):
            await listener.hears(f"voicenode-{node_id}-2", "Added")
            await machine.looked_at(3)
            second = await listener.describe(f"voicenode-{node_id}-2")

    assert second.server == f"voicenode-{node_id}-2.local."
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"another node is already called voicenode-{node_id}" in warning.getMessage()


@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # zeroconf's, when an interface is refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_where_mdns_is_not_possible_the_node_goes_on_warns_once_and_tries_again(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    node_id, machine = secrets.token_hex(4), Machine(Reach(("203.0.113.9",), ("203.0.113.9",)))
    async with advertiser(node_id, machine):
        await machine.looked_at(5)
        [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "port 10200. --no-mdns" in warning.getMessage()
        machine.reach = HERE
        await listener.hears(f"voicenode-{node_id}", "Added")


async def test_an_address_source_that_fails_is_reported_once_and_asked_again(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    node_id, failures = secrets.token_hex(4), iter([OSError("no netlink"), OSError("no netlink")])

    class Flaky(Machine):
        def __call__(self) -> Reach:
            if failure := next(failures, None):
                raise failure
            return super().__call__()

    async with advertiser(node_id, Flaky()):
        await listener.hears(f"voicenode-{node_id}", "Added")

    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "no netlink" in warning.getMessage()


@pytest.mark.parametrize("looks", [0, 1])
async def test_closing_before_the_announcement_leaves_no_task_behind(looks: int) -> None:
    before = asyncio.all_tasks()
    machine = Machine()
    async with advertiser(secrets.token_hex(4), machine):
        await machine.looked_at(looks)

    assert asyncio.all_tasks() == before
