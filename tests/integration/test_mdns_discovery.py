import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from zeroconf import _core as zeroconf_core
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from voicenode.errors import ErrorCode, SetupError
from voicenode.transports.mdns import Advertiser, FoundNode, Reach, discover

SERVICE_TYPE = "_wyoming._tcp.local."
LOOPBACK = "127.0.0.1"
LONG = 30.0
pytestmark = pytest.mark.usefixtures("heartbeat")


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own tests do the same: on loopback an answer needs no half second."""
    monkeypatch.setattr(zeroconf_core, "_PROBE_RANDOM_DELAY_INTERVAL", (1, 5))
    monkeypatch.setattr(zeroconf_core, "_CHECK_TIME", 50)
    monkeypatch.setattr(zeroconf_core, "_REGISTER_TIME", 30)
    monkeypatch.setattr(zeroconf_core, "_UNREGISTER_TIME", 30)


@pytest.fixture
async def stranger() -> AsyncIterator[AsyncServiceInfo]:
    """A Wyoming service that is no voicenode, announced the way stock servers do it: by 0.0.0.0 as well."""
    name = f"piper-{secrets.token_hex(4)}.{SERVICE_TYPE}"
    unusable = "0.0.0.0"  # noqa: S104  (what such servers announce)
    info = AsyncServiceInfo(SERVICE_TYPE, name, port=10300, parsed_addresses=["192.0.2.7", unusable])
    async with AsyncZeroconf([LOOPBACK]) as network:
        await (await network.async_register_service(info))
        yield info


async def test_a_node_is_found_the_moment_it_is_announced() -> None:
    node_id = secrets.token_hex(4)
    seen: list[FoundNode] = []

    def is_ours(node: FoundNode) -> bool:
        seen.append(node)
        return node.properties.get("id") == node_id

    search = asyncio.create_task(discover(LONG, is_ours, [LOOPBACK]))
    async with Advertiser(
        node_id=node_id,
        name="kitchen",
        version="1.2.3",
        port=10200,
        reach=lambda: Reach((LOOPBACK, "fd00::7"), (LOOPBACK,)),
    ):
        nodes = await search

    node = seen[-1]
    assert node in nodes
    assert node.is_voicenode
    assert node.name == f"voicenode-{node_id}"
    assert node.uris == ("tcp://127.0.0.1:10200", "tcp://[fd00::7]:10200")


async def test_a_stranger_is_found_too_without_its_impossible_address(stranger: AsyncServiceInfo) -> None:
    name = stranger.name.removesuffix(f".{SERVICE_TYPE}")

    nodes = await discover(LONG, lambda node: node.name == name, [LOOPBACK])

    [node] = [node for node in nodes if node.name == name]
    assert not node.is_voicenode
    assert node.uris == ("tcp://192.0.2.7:10300",)


async def test_a_service_that_says_goodbye_is_no_result() -> None:
    name = f"piper-{secrets.token_hex(4)}"
    info = AsyncServiceInfo(SERVICE_TYPE, f"{name}.{SERVICE_TYPE}", port=1, parsed_addresses=["192.0.2.7"])
    found, gone = asyncio.Event(), asyncio.Event()

    def note(node: FoundNode) -> bool:
        if node.name == name:
            found.set()
        return gone.is_set() and node.name == f"{name}-end"

    async with AsyncZeroconf([LOOPBACK]) as network:
        search = asyncio.create_task(discover(LONG, note, [LOOPBACK]))
        await (await network.async_register_service(info))
        await found.wait()
        await (await network.async_unregister_service(info))
        gone.set()
        end = AsyncServiceInfo(
            SERVICE_TYPE, f"{name}-end.{SERVICE_TYPE}", port=1, parsed_addresses=["192.0.2.8"]
        )
        await (await network.async_register_service(end))
        names = [node.name for node in await search]

    assert f"{name}-end" in names
    assert name not in names


async def test_a_search_ends_in_time_with_what_it_found(stranger: AsyncServiceInfo) -> None:
    nodes = await discover(
        2.5, interfaces=[LOOPBACK]
    )  # an answer may be held back for a second (RFC 6762, 6)

    assert stranger.name in [f"{node.name}.{SERVICE_TYPE}" for node in nodes]


@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # zeroconf's, when an interface is refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_machine_that_cannot_search_says_what_to_do() -> None:
    with pytest.raises(SetupError, match="--node tcp://HOST:PORT") as caught:
        await discover(LONG, interfaces=["203.0.113.9"])

    assert caught.value.code is ErrorCode.NO_NODE


async def test_an_error_of_the_callback_ends_the_search(stranger: AsyncServiceInfo) -> None:
    def fail(node: FoundNode) -> bool:
        raise ValueError(node.name)

    assert stranger.name
    with pytest.raises(ValueError, match="-"):
        await discover(LONG, fail, [LOOPBACK])
