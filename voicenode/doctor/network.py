"""Whether the node can be reached and found: its ports, mDNS, and the MQTT broker."""

from __future__ import annotations

import asyncio
import json
import os
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicenode.client import connect
from voicenode.doctor.row import Row, absent, ok, wrong, wrong_as_said
from voicenode.errors import VoiceServiceError
from voicenode.identity import FILE_NAME
from voicenode.sockets import bind_tcp, host_and_port, why_not_bound
from voicenode.transports.mdns import discover, reach_source

if TYPE_CHECKING:
    from voicenode.settings import LoadedSettings, Settings

_ANSWER_SECONDS = 2.0
_LISTEN_SECONDS = 2.0
"""How long to listen for nodes: the answers to the first question come within one second (RFC 6762, 6)."""
_EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)


async def wyoming(loaded: LoadedSettings) -> list[Row]:
    """Whether each address is free, or a running node's own."""
    return [await _wyoming(uri, loaded.settings.name) for uri in loaded.settings.wyoming.uri]


async def http(loaded: LoadedSettings) -> list[Row]:
    """Whether the port is free, or a running node's own."""
    settings = loaded.settings
    if not _serves_http(settings):
        return [absent("HTTP", "off, as MQTT is" if settings.http.enabled is None else "switched off")]
    host, port = settings.http.host, settings.http.port
    problem = await _why_not_free(host, port)
    if problem is None:
        return [ok("HTTP", f"port {port} is free" if port else "any free port")]
    health = await asyncio.to_thread(_health, _near(host), port)
    own_id = await asyncio.to_thread(_own_id, settings.data_dir)
    if own_id is not None and health.get("id") == own_id:
        return [ok("HTTP", f"port {port} is this node's, which is running ({health.get('status')})")]
    return [wrong("HTTP", f"port {port} cannot be had: {problem}", "set http.port to a free one")]


async def mdns(loaded: LoadedSettings) -> list[Row]:
    """Whether this machine can be found on the LAN, and whether a running node is."""
    settings = loaded.settings
    if not settings.mdns.enabled:
        return [absent("mDNS", "switched off", "add the node to Home Assistant by its host and port")]
    look = reach_source(list(_EVERY), settings.mdns.advertise_host)
    addresses = (await asyncio.to_thread(look)).addresses
    if all(ip_address(address).is_loopback for address in addresses):
        return [wrong("mDNS", "this machine has no address on a LAN", "connect it to the network")]
    try:
        services = {node.name: node for node in await discover(_LISTEN_SECONDS)}
    except VoiceServiceError as error:
        return [wrong_as_said("mDNS", str(error))]
    own_id = await asyncio.to_thread(_own_id, settings.data_dir)
    own = [name for name, node in services.items() if own_id and node.properties.get("id") == own_id]
    others = [name for name in services if name not in own]
    heard = f"others heard: {', '.join(others) or 'none'}"
    if own:
        return [ok("mDNS", f"the running node is announced as {own[0]}; {heard}")]
    if own_id and await _is_running(settings):
        advice = "open UDP port 5353 in the firewall, give a container the host's network, or drop --no-mdns"
        return [wrong("mDNS", f"the running node is not heard; {heard}", advice)]
    return [ok("mDNS", f"the node can be announced at {', '.join(addresses)}; {heard}")]


async def broker(loaded: LoadedSettings) -> list[Row]:
    """Whether the MQTT broker lets the node in."""
    if loaded.settings.mqtt.host is None:
        return [absent("MQTT", "no broker is set", "set mqtt.host to use it")]
    from voicenode.parts import broker as configured  # noqa: PLC0415 (heavy, and for nodes with MQTT)
    from voicenode.transports.mqtt.refusals import ConnectError  # noqa: PLC0415 (likewise)

    where = configured(loaded.settings)
    try:
        version = await _log_in(loaded.settings)
    except ConnectError as error:
        found, _, advice = str(error).partition("; ")
        return [
            wrong("MQTT", found, advice or "start the broker, or correct mqtt.host, mqtt.port and mqtt.tls")
        ]
    return [ok("MQTT", f"{where} lets the node in, over MQTT {version}")]


async def _wyoming(uri: str, name: str) -> Row:
    parts = urlsplit(uri)
    check = f"Wyoming {uri}"
    if parts.scheme == "stdio":
        return ok(check, "standard input and output")
    if parts.scheme == "unix":
        problem = await asyncio.to_thread(_why_no_file, Path(parts.path))
    else:
        problem = await _why_not_free(parts.hostname, parts.port or 0)
    if problem is None:
        return ok(check, "free")
    answer = await _answer(_near_uri(uri))
    if answer == name:
        return ok(check, "held by a running node of this name")
    other = f"; '{answer}' answers there" if answer else ""
    return wrong(check, f"cannot be had: {problem}{other}", "set wyoming.uri to another address")


async def _why_not_free(host: str | None, port: int) -> str | None:
    try:
        sockets = await bind_tcp(host, port)
    except OSError as error:
        return why_not_bound(error).partition("; ")[0]
    for sock in sockets:
        sock.close()
    return None


def _why_no_file(path: Path) -> str | None:
    if path.exists():
        return "the file is there"
    return None if os.access(path.parent, os.W_OK | os.X_OK) else f"{path.parent} cannot be written"


async def _answer(uri: str) -> str | None:
    """The name of who answers at an address; None for nobody."""
    try:
        async with connect(uri, _ANSWER_SECONDS) as connection:
            return (await connection.describe(_ANSWER_SECONDS)).name
    except VoiceServiceError:
        return None


async def _is_running(settings: Settings) -> bool:
    uris = [uri for uri in settings.wyoming.uri if not uri.startswith("stdio")]
    answers = await asyncio.gather(*(_answer(_near_uri(uri)) for uri in uris))
    return settings.name in answers


async def _log_in(settings: Settings) -> str:
    """Connect as nobody in particular, and leave; the version of MQTT that was spoken.

    Raises:
        ConnectError: the broker cannot be reached, or refuses.
    """
    from voicenode.parts import broker as configured  # noqa: PLC0415 (as in broker)
    from voicenode.transports.mqtt import Publication  # noqa: PLC0415 (likewise)
    from voicenode.transports.mqtt.connection import Connection  # noqa: PLC0415 (likewise)
    from voicenode.transports.mqtt.packets import Session  # noqa: PLC0415 (likewise)
    from voicenode.transports.mqtt.refusals import UnsupportedVersionError  # noqa: PLC0415 (likewise)

    will = Publication(topic=f"{settings.mqtt.base_topic}/doctor", payload=b"", qos=0)
    session = Session(client_id=f"voicenode-doctor-{os.getpid()}", expiry=0, will=will)
    for version5 in (True, False):
        connection = Connection(
            configured(settings), session, version5=version5, received=lambda _message: None
        )
        try:
            await connection.open()
        except UnsupportedVersionError:
            if not version5:
                raise
        else:
            await connection.close()
            break
    return "5" if version5 else "3.1.1"


def _serves_http(settings: Settings) -> bool:
    return settings.mqtt.host is not None if settings.http.enabled is None else settings.http.enabled


def _health(host: str, port: int) -> dict[str, Any]:
    """What answers at `/health` says; empty where that is no node."""
    connection = HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        told = json.loads(connection.getresponse().read())
    except (OSError, ValueError, HTTPException):
        return {}
    finally:
        connection.close()
    return told if isinstance(told, dict) else {}


def _own_id(data_dir: Path) -> str | None:
    """The id of the node that keeps its data here; None where none was ever started."""
    try:
        return (data_dir / FILE_NAME).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _near_uri(uri: str) -> str:
    parts = urlsplit(uri)
    return (
        uri if parts.scheme == "unix" else f"tcp://{host_and_port((_near(parts.hostname), parts.port or 0))}"
    )


def _near(host: str | None) -> str:
    """Where this machine reaches an address that a server listens on."""
    return "127.0.0.1" if host is None else _EVERY.get(host, host)
