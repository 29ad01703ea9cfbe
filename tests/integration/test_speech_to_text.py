"""The speech-to-text services of a LAN, announced as stock servers announce themselves."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from functools import partial

import pytest
from zeroconf import _core as zeroconf_core
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from tests.support.ports import free_port
from tests.support.stock_asr import StockAsr, serving
from voicenode import speech_to_text
from voicenode.transports.mdns import discovery

SERVICE_TYPE = "_wyoming._tcp.local."
LOOPBACK = "127.0.0.1"
pytestmark = pytest.mark.usefixtures("heartbeat")


@pytest.fixture(autouse=True)
def a_quick_search_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeroconf_core, "_PROBE_RANDOM_DELAY_INTERVAL", (1, 5))
    monkeypatch.setattr(zeroconf_core, "_CHECK_TIME", 50)
    monkeypatch.setattr(zeroconf_core, "_REGISTER_TIME", 30)
    monkeypatch.setattr(zeroconf_core, "_UNREGISTER_TIME", 30)
    monkeypatch.setattr(speech_to_text, "_SEARCH_SECONDS", 30.0)
    monkeypatch.setattr(discovery, "discover", partial(discovery.discover, interfaces=[LOOPBACK]))


async def found(*ports: int) -> str | None:
    """What is found where services are announced at these ports."""
    async with AsyncExitStack() as opened:
        network = await opened.enter_async_context(AsyncZeroconf([LOOPBACK]))
        for port in ports:
            name = f"a-{secrets.token_hex(4)}.{SERVICE_TYPE}"
            info = AsyncServiceInfo(SERVICE_TYPE, name, port=port, parsed_addresses=[LOOPBACK])
            await (await network.async_register_service(info))
        return await speech_to_text.find()


async def test_the_service_that_can_listen_is_found_among_others() -> None:
    async with serving(StockAsr()) as good, serving(StockAsr(installed=False)) as bare:
        assert await found(bare.port, free_port(), good.port) == good.uri


async def test_without_one_that_can_listen_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_to_text, "_SEARCH_SECONDS", 0.5)
    async with serving(StockAsr(installed=False)) as bare:
        assert await found(bare.port, free_port()) is None
