"""Ports for servers that a test starts."""

import random
import socket


def free_port() -> int:
    """A TCP port that is free on every address of this machine.

    It lies below the range from which Linux takes the ports of outgoing connections, so it stays free while
    its server restarts, and a client that keeps trying can never connect to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
