"""Where others on the LAN reach this machine, for the addresses that the node gives away."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

import ifaddr

if TYPE_CHECKING:
    from voicenode.transports.mdns import ReachSource

_LOOK_SECONDS = 30.0


class Subnets:
    """The networks that this machine is in, as they are now; looking takes a millisecond."""

    def __init__(self) -> None:
        self._found: list[IPv4Network | IPv6Network] = []
        self._looked = -_LOOK_SECONDS

    def __call__(self) -> list[IPv4Network | IPv6Network]:
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._found = [
                ip_network(
                    f"{ip.ip if isinstance(ip.ip, str) else ip.ip[0]}/{ip.network_prefix}", strict=False
                )
                for adapter in ifaddr.get_adapters()
                for ip in adapter.ips
            ]
        return self._found


class LanAddress:
    """The best address of this machine, looked up again while it is started; loopback until there is one."""

    def __init__(self, reach: ReachSource) -> None:
        self.current = "127.0.0.1"
        self._reach = reach
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Know the address when this returns, and follow it from now on."""
        await self._look()
        self._looking = asyncio.create_task(self._keep_looking(), name="look for the LAN address")

    async def close(self) -> None:
        """Follow it no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        addresses = (await asyncio.to_thread(self._reach)).addresses
        if addresses:
            self.current = addresses[0]
