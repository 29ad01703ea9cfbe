"""Ports for servers that a test starts."""

import random
import socket
from pathlib import Path

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A TCP port that is free on every address of this machine.

    It lies below the range from which Linux takes the ports of outgoing connections, so it stays free while
    its server restarts, and a client that keeps trying can never connect to itself.
    """
    outgoing = int(_OUTGOING.read_text().split()[0])
    while True:
        port = random.randrange(max(1024, outgoing - 20_000), max(outgoing, 2048))
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = _has_ipv6()
"""Whether this machine has an address of IPv6: some are made without, or have it switched off."""
