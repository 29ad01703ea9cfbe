"""Which node a command talks to: the one that is named, else this machine's, else one on the LAN."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.errors import ErrorCode, RequestError, VoiceServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicenode.transports.mdns import FoundNode

LOCAL_URI = "tcp://127.0.0.1:10200"
"""Where a node of this machine listens unless its settings say otherwise."""
_SEARCH_SECONDS = 2.0
"""How long to listen for nodes: the answers to the first question come within one second (RFC 6762, 6)."""


def checked(uri: str | None) -> str | None:
    """The same; wrong usage where it is no address."""
    from voicenode.client import parse_uri  # noqa: PLC0415 (serve does without)

    try:
        if uri is not None:
            parse_uri(uri)
    except RequestError as error:
        raise typer.BadParameter(str(error)) from error
    return uri


NodeOption = Annotated[
    str | None,
    typer.Option(
        "--node",
        metavar="URI",
        callback=checked,
        help="Which node: tcp://HOST:PORT or unix:///PATH. "
        "Without it, the one on this machine, else one found on the LAN.",
    ),
]

TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="VOICENODE_CLONING__TOKEN",
        metavar="TOKEN",
        help="What cloning.token of a node elsewhere is.",
    ),
]


async def find(uri: str | None) -> str:
    """The address of the node to talk to; `uri` if it is given.

    Raises:
        VoiceServiceError: there is none (`no-node`).
    """
    if uri is not None:
        return uri
    if await _answers(LOCAL_URI):
        return LOCAL_URI
    for node in await _nodes_nearest_first():
        for found in node.uris:
            if await _answers(found):
                return found
    raise VoiceServiceError(
        ErrorCode.NO_NODE,
        "no node was found on this machine or on the LAN; "
        "start one with 'voicenode serve', or name one with --node tcp://HOST:PORT",
    )


async def listen(seconds: float, on_found: Callable[[FoundNode], bool] | None = None) -> list[FoundNode]:
    """The Wyoming services that announce themselves.

    Raises:
        VoiceServiceError: this machine cannot listen for them.
    """
    from voicenode.transports.mdns import discover  # noqa: PLC0415 (brings in zeroconf)

    try:
        return await discover(seconds, on_found)
    except OSError as error:
        raise VoiceServiceError(
            ErrorCode.NO_NODE, f"cannot listen for nodes on the LAN: {error}; name one with --node"
        ) from error


async def _nodes_nearest_first() -> list[FoundNode]:
    """This project's nodes; the search ends early when one of this machine answers."""
    from voicenode.transports.mdns.addresses import local_addresses  # noqa: PLC0415 (as in listen)

    here = {str(address.ip) for address in await asyncio.to_thread(local_addresses)}

    def is_here(node: FoundNode) -> bool:
        return node.is_voicenode and not here.isdisjoint(node.addresses)

    nodes = await listen(_SEARCH_SECONDS, is_here)
    return sorted((node for node in nodes if node.is_voicenode), key=lambda node: not is_here(node))


async def _answers(uri: str) -> bool:
    from voicenode.client import connect  # noqa: PLC0415 (as in _checked)

    try:
        async with connect(uri, limit=1):
            return True
    except VoiceServiceError:
        return False
