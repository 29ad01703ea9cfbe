"""What is exchanged with a broker, and with which one: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PAYLOAD = 4 * 1024 * 1024
"""Bytes of a message that the node may want; of a larger one somewhat more than that is delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust and be trusted; paths of PEM files."""

    ca: str | None = None
    """The authorities that may have signed the broker's certificate; none means those of the system."""
    cert: str | None = None
    """The node's own certificate, where the broker asks for one."""
    key: str | None = None
    """Its private key; none means that it is in the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker is and how to log in."""

    host: str
    port: int = 1883
    transport: Literal["tcp", "websockets"] = "tcp"
    username: str | None = None
    password: str | None = None
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One message to publish; the last three fields exist since MQTT 5 and are left out before."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = False
    content_type: str | None = None
    correlation: bytes | None = None
    user: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who the node is to the broker, which keeps what it misses while it is away."""

    client_id: str
    expiry: float
    """Seconds for which the broker keeps it; before MQTT 5 the broker alone decides."""
    will: Publication
    """What the broker publishes when the node is gone without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it was delivered."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    """Whether it was published before the node subscribed and kept by the broker."""
    ack: Callable[[], None]
    """Tells the broker not to deliver it again; it does so after the next connection otherwise."""
    response_topic: str | None = None
    correlation: bytes | None = None
    expires_s: float | None = None
    """Seconds for which it is still of interest."""
