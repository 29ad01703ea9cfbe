"""Find the Wyoming services of the LAN, this project's nodes among them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

import ifaddr
from zeroconf import InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from voicenode.errors import ErrorCode, SetupError
from voicenode.transports.mdns.advertiser import SERVICE_TYPE, quieten_zeroconf

_DESCRIPTION_TIMEOUT_MS = 3000


@dataclass(frozen=True, slots=True)
class FoundNode:
    """A Wyoming service as it describes itself; all of it is what a stranger on the LAN claims."""

    name: str
    """The instance name, unique on the LAN, such as `voicenode-1a2b3c4d`."""
    addresses: tuple[str, ...]
    """What to connect to, best first: IPv4, then IPv6; may be empty where a service announces nonsense."""
    port: int
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def is_voicenode(self) -> bool:
        """Whether it is a node of this project."""
        return "id" in self.properties and "api" in self.properties

    @property
    def uris(self) -> tuple[str, ...]:
        """One `tcp://` URI for each address."""
        return tuple(
            f"tcp://[{address}]:{self.port}" if ":" in address else f"tcp://{address}:{self.port}"
            for address in self.addresses
        )


async def discover(
    timeout: float,  # noqa: ASYNC109  (listening that long is the task, not a guard around it)
    on_found: Callable[[FoundNode], bool | None] | None = None,
    interfaces: Sequence[str | int] | None = None,
) -> list[FoundNode]:
    """Listen for `timeout` seconds, or until `on_found` returns True, and return the services by name.

    `on_found` is called as soon as a service is known, and again when it changes. `interfaces` are IPv4
    addresses or IPv6 indexes of network adapters, by default all of them.

    Raises:
        SetupError: mDNS is not possible on this machine.

    """
    quieten_zeroconf()
    network = _open(interfaces)
    search = _Search(network)
    try:
        async with asyncio.timeout(timeout):
            await search.run(on_found or (lambda _node: False))
    except TimeoutError:
        pass
    finally:
        await network.async_close()
    return sorted(search.nodes.values(), key=lambda node: node.name)


class _Search:
    def __init__(self, network: AsyncZeroconf) -> None:
        self.nodes: dict[str, FoundNode] = {}
        self._network = network.zeroconf
        self._described: asyncio.Queue[FoundNode] = asyncio.Queue()
        self._lookups: dict[str, asyncio.Task[None]] = {}

    async def run(self, enough: Callable[[FoundNode], bool | None]) -> None:
        """Browse until `enough` says so; leaves no task behind."""
        await self._network.async_wait_for_start()
        browser = AsyncServiceBrowser(self._network, SERVICE_TYPE, handlers=[self._on_change])
        try:
            while not enough(await self._next()):
                pass
        finally:
            await browser.async_cancel()
            for lookup in self._lookups.values():
                lookup.cancel()
            await asyncio.gather(*self._lookups.values(), return_exceptions=True)

    async def _next(self) -> FoundNode:
        """Return the next service that is new or has changed."""
        while True:
            node = await self._described.get()
            if self.nodes.get(node.name) != node:
                self.nodes[node.name] = node
                return node

    def _on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        del zeroconf, service_type
        if lookup := self._lookups.pop(name, None):
            lookup.cancel()
        if state_change is ServiceStateChange.Removed:
            self.nodes.pop(_instance(name), None)
        else:
            self._lookups[name] = asyncio.create_task(self._look_up(name), name=f"mdns-lookup {name}")

    async def _look_up(self, name: str) -> None:
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        if await info.async_request(self._network, _DESCRIPTION_TIMEOUT_MS):
            self._described.put_nowait(_node(info))


def _node(info: AsyncServiceInfo) -> FoundNode:
    addresses = [text for text in info.parsed_scoped_addresses() if not ip_address(text).is_unspecified]
    addresses.sort(key=lambda text: ip_address(text).is_link_local)
    return FoundNode(
        name=_instance(info.name),
        addresses=tuple(addresses),
        port=info.port or 0,
        properties={_text(key): _text(value) for key, value in info.properties.items()},
    )


def _instance(name: str) -> str:
    return name.removesuffix(f".{SERVICE_TYPE}")


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")


def _open(interfaces: Sequence[str | int] | None) -> AsyncZeroconf:
    try:
        if interfaces is not None:
            return AsyncZeroconf(list(interfaces))
        has_ipv6 = any(ip.is_IPv6 for adapter in ifaddr.get_adapters() for ip in adapter.ips)
        return AsyncZeroconf(InterfaceChoice.All, ip_version=IPVersion.All if has_ipv6 else IPVersion.V4Only)
    except (OSError, RuntimeError) as error:  # RuntimeError: no adapter has an address
        message = f"cannot search the network for nodes: {error}; name the node with --node tcp://HOST:PORT"
        raise SetupError(ErrorCode.NO_NODE, message) from error
