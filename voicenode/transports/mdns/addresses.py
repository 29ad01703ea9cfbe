"""Which of the machine's addresses the LAN should hear of."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import ifaddr

from voicenode.errors import ErrorCode, SetupError

IPAddress = IPv4Address | IPv6Address

_LOOPBACK = "127.0.0.1"
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
_MDNS_GROUP = ("224.0.0.251", 5353)

_VIRTUAL_ADAPTERS = (
    *("docker", "br-", "veth", "podman", "cni", "flannel", "cali"),  # containers
    *("virbr", "vnet", "vmnet", "vboxnet", "lxcbr", "lxdbr", "incusbr", "tap"),  # virtual machines
    *("tun", "wg", "tailscale", "zt", "ppp"),  # tunnels, which carry no multicast
)

# The flags of /proc/net/if_inet6: temporary, duplicate address detection failed, deprecated, tentative.
_UNFIT_IPV6_FLAGS = 0x01 | 0x08 | 0x20 | 0x40


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses at which the node answers, best first, and the interfaces on which to say so.

    An interface is what python-zeroconf takes: an IPv4 address of it, or its index for IPv6.
    """

    addresses: tuple[str, ...] = ()
    interfaces: tuple[str | int, ...] = ()


ReachSource = Callable[[], Reach]


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """One address of this machine and the network adapter that carries it."""

    ip: IPAddress
    adapter: str
    index: int = 0


def reach_source(bound: Sequence[str], advertise_hosts: Sequence[str] = ()) -> ReachSource:
    """Return a function that looks at the machine's adapters and answers how the node is reached now.

    It reads a few files and belongs in a thread. `bound` are the addresses that the node listens on;
    `0.0.0.0` and `::` stand for all of their own family. `advertise_hosts` replaces the choice.

    Raises:
        SetupError: one of `advertise_hosts` is not an IP address that others could connect to.

    """
    sockets = [ip_address(address) for address in bound]
    explicit = [_explicit(host) for host in advertise_hosts]
    return lambda: choose_reach(local_addresses(), sockets, explicit, _multicast_source())


def choose_reach(
    local: Sequence[LocalAddress],
    bound: Sequence[IPAddress],
    explicit: Sequence[IPAddress] = (),
    preferred: IPAddress | None = None,
) -> Reach:
    """Choose the addresses to advertise: IPv4 with `preferred` first, then unique local, then global IPv6.

    Addresses of virtual adapters count only where there is no LAN address, loopback where nothing else is.
    """
    every = [ip_address("0.0.0.0"), ip_address("::")]  # noqa: S104  (a mark for "any", nothing is bound)
    chosen = _best(local, every if explicit else bound)
    if explicit:
        ours = [address for address in local if address.ip in explicit]
        return Reach(_unique(explicit), _interfaces(local, ours or chosen))
    chosen.sort(key=lambda a: (a.ip.version, a.ip != preferred, a.ip not in _UNIQUE_LOCAL))
    return Reach(_unique(address.ip for address in chosen), _interfaces(local, chosen))


def local_addresses() -> list[LocalAddress]:
    """Return the addresses of this machine, without those of IPv6 that will not last or are not ready."""
    unfit = _unfit_ipv6()
    found = (
        LocalAddress(ip_address(_text(ip)), adapter.name, adapter.index or 0)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    )
    return [address for address in found if address.ip not in unfit]


def _text(ip: ifaddr.IP) -> str:
    return ip.ip if isinstance(ip.ip, str) else ip.ip[0]  # IPv6 comes with flow and scope


def _best(local: Iterable[LocalAddress], bound: Sequence[IPAddress]) -> list[LocalAddress]:
    candidates = [
        address
        for address in local
        if not address.ip.is_link_local and any(_accepts(socket_ip, address.ip) for socket_ip in bound)
    ]
    best = min(map(_rank, candidates), default=0)
    return [address for address in candidates if _rank(address) == best]


def _accepts(bound: IPAddress, ip: IPAddress) -> bool:
    return ip == bound or (bound.is_unspecified and bound.version == ip.version)


def _rank(address: LocalAddress) -> int:
    if address.ip.is_loopback:
        return 2
    return 1 if address.adapter.startswith(_VIRTUAL_ADAPTERS) else 0


def _interfaces(local: Iterable[LocalAddress], chosen: Sequence[LocalAddress]) -> tuple[str | int, ...]:
    """Name each adapter of `chosen` once a family: who browses over IPv4 alone should hear of IPv6 too."""
    adapters = {address.adapter for address in chosen if not address.ip.is_loopback}
    first: dict[tuple[str, int], str | int] = {}
    for address in local:
        if address.adapter in adapters:
            interface = str(address.ip) if isinstance(address.ip, IPv4Address) else address.index
            first.setdefault((address.adapter, address.ip.version), interface)
    if any(address.ip.is_loopback for address in chosen):
        first["", 4] = _LOOPBACK  # the loopback adapter carries no multicast over IPv6
    return tuple(first.values())


def _explicit(host: str) -> IPAddress:
    try:
        ip = ip_address(host)
    except ValueError:
        reason = "it is not an IP address"
    else:
        if not (ip.is_unspecified or ip.is_multicast or (isinstance(ip, IPv6Address) and ip.is_link_local)):
            return ip
        reason = "nobody can connect to that address"
    message = f"cannot advertise {host!r}: {reason}; give an address of this machine such as 192.168.1.20"
    raise SetupError(ErrorCode.BAD_SETTINGS, message)


def _unique(addresses: Iterable[IPAddress]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, addresses)))


def _multicast_source() -> IPAddress | None:
    """Return the address that the routing table gives to multicast; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_MDNS_GROUP)
        except OSError:  # no route: the network is down
            return None
        return ip_address(probe.getsockname()[0])


def _unfit_ipv6() -> set[IPAddress]:
    """Return the IPv6 addresses that privacy extensions will replace and those that do not answer (yet)."""
    return {ip for ip, flags in _ipv6_flags() if flags & _UNFIT_IPV6_FLAGS}


def _ipv6_flags() -> Iterator[tuple[IPAddress, int]]:
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:  # a machine without IPv6, or not Linux
        return
    for line in lines:
        digits, _index, _prefix, _scope, flags, _adapter = line.split()
        yield IPv6Address(bytes.fromhex(digits)), int(flags, 16)
