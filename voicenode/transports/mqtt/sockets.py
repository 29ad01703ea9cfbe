"""Sockets and TLS, as far as paho leaves them to others."""

from __future__ import annotations

import socket
import ssl
from traceback import walk_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicenode.transports.mqtt.packets import Tls


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Whom to trust, and what to show; reads the files, and raises OSError where it cannot."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def close_left_open(error: Exception) -> None:
    """Close the sockets that paho left open when a handshake failed, as the traceback remembers them."""
    for frame, _ in walk_tb(error.__traceback__):
        for value in list(frame.f_locals.values()):
            if isinstance(value, socket.socket):
                value.close()
