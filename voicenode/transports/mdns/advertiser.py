"""Keep the LAN told of this node: its name, its addresses as they change, and its end."""

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from voicenode.transports.mdns.addresses import Reach, ReachSource

SERVICE_TYPE: Final = "_wyoming._tcp.local."

_LOGGER = logging.getLogger(__name__)
_API_VERSION = "1"
_LONGEST_PROPERTY = 255  # bytes of "key=value" in a TXT record (RFC 6763, section 6.1)
_MOST_NAMES = 9
_GOODBYE_TIMEOUT = 3.0


def quieten_zeroconf() -> None:
    """Leave it to this package to tell of problems: zeroconf does so for each socket, with tracebacks."""
    level = logging.WARNING if _LOGGER.isEnabledFor(logging.DEBUG) else logging.CRITICAL
    logging.getLogger("zeroconf").setLevel(level)


class Advertiser:
    """Announces the node as `voicenode-<id>._wyoming._tcp.local.` from `start` to `close`.

    The announcing is a task's work and never fails the node: what goes wrong is logged, once, and tried
    again every `poll_interval` seconds, when the addresses are looked at too. To be started when the node
    listens, for Home Assistant connects at once. One life only: a closed advertiser stays closed.
    """

    def __init__(
        self,
        *,
        node_id: str,
        name: str,
        version: str,
        port: int,
        reach: ReachSource,
        properties: Mapping[str, str] | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        self._base_name = f"voicenode-{node_id}"
        self._port = port
        self._reach = reach
        self._properties = {
            "id": node_id,
            "version": version,
            "api": _API_VERSION,
            "programs": "tts",
            "name": name,
            **(properties or {}),
        }
        self._poll_interval = poll_interval
        self._wake = asyncio.Event()
        self._zeroconf: AsyncZeroconf | None = None
        self._registered_name: str | None = None
        self._announced: tuple[Reach, dict[str, str]] | None = None
        self._last_problem = ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to announce; the first announcement is on the LAN after about 1.3 s of checking the name."""
        quieten_zeroconf()
        self._task = asyncio.create_task(self._keep_announced(), name="mdns-advertiser")

    def update(self, **properties: str) -> None:
        """Change or add TXT properties, and announce them soon."""
        self._properties = {**self._properties, **properties}
        self._wake.set()

    async def close(self) -> None:
        """Say goodbye, so that nobody looks for this node any more; takes at most a few seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._zeroconf is None:
            return
        try:
            async with asyncio.timeout(_GOODBYE_TIMEOUT):
                await self._zeroconf.async_close()  # says goodbye for what is registered
        except TimeoutError:
            self._zeroconf.zeroconf.close()
            _LOGGER.warning("mDNS: no goodbye within %g s, others forget this node in time", _GOODBYE_TIMEOUT)

    async def _keep_announced(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._refresh()
            except Exception as error:  # noqa: BLE001  (a node speaks whether or not it can be found)
                self._report(error)
            try:
                async with asyncio.timeout(self._poll_interval):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _refresh(self) -> None:
        """Bring what the LAN was told in line with how things are."""
        reach, properties = await asyncio.to_thread(self._reach), self._properties
        if self._announced == (reach, properties):
            return
        self._announced = None
        if not reach.addresses:
            if self._zeroconf is not None:
                await self._zeroconf.async_update_interfaces([])
            raise OSError("no network address to announce, the network may be down")
        await self._announce(reach, properties)
        self._announced = (reach, properties)
        self._last_problem = ""

    async def _announce(self, reach: Reach, properties: dict[str, str]) -> None:
        interfaces = list(reach.interfaces)
        if self._zeroconf is None:
            self._zeroconf = AsyncZeroconf(interfaces)
        await self._zeroconf.zeroconf.async_wait_for_start()
        if self._registered_name is not None:
            # Before the interfaces, so that a new one never hears of an old address.
            info = self._service(self._registered_name, reach, properties)
            await (await self._zeroconf.async_update_service(info))
        await self._zeroconf.async_update_interfaces(interfaces)
        if not self._zeroconf.zeroconf.engine.senders:
            raise OSError("no network interface can send multicast")
        if self._registered_name is None:
            self._registered_name = await self._register(self._zeroconf, reach, properties)
        where = ", ".join(reach.addresses)
        _LOGGER.info("mDNS: announced as %s at %s, port %d", self._registered_name, where, self._port)

    async def _register(self, network: AsyncZeroconf, reach: Reach, properties: dict[str, str]) -> str:
        """Register under the first free name and return it.

        The name is the node's identity in Home Assistant, so another one is the last resort.
        """
        for number in range(1, _MOST_NAMES + 1):
            name = self._base_name if number == 1 else f"{self._base_name}-{number}"
            try:
                announcing = await network.async_register_service(self._service(name, reach, properties))
            except zeroconf.NonUniqueNameException:
                continue
            if number > 1:
                self._warn_of_conflict(name)
            await announcing
            return name
        raise OSError(f"{_MOST_NAMES} other nodes carry the name {self._base_name}")

    def _service(self, name: str, reach: Reach, properties: dict[str, str]) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE,
            f"{name}.{SERVICE_TYPE}",
            port=self._port,
            properties={key: _fitting(key, value) for key, value in properties.items()},
            server=f"{name}.local.",
            parsed_addresses=list(reach.addresses),
        )

    def _warn_of_conflict(self, name: str) -> None:
        _LOGGER.warning(
            "mDNS: another node is already called %s (was a data directory copied?), this one is announced "
            "as %s; delete the file node-id in one of the two data directories and restart that node",
            self._base_name,
            name,
        )

    def _report(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        if problem == self._last_problem:
            return
        self._last_problem = problem
        _LOGGER.warning(
            "mDNS: this node cannot be announced (%s); it goes on, and can be added to Home Assistant "
            "by hand with its host and port %d. --no-mdns ends this message",
            problem,
            self._port,
            exc_info=error if _LOGGER.isEnabledFor(logging.DEBUG) else None,
        )


def _fitting(key: str, value: str) -> bytes:
    return value.encode()[: _LONGEST_PROPERTY - len(f"{key}=".encode())].decode(errors="ignore").encode()
