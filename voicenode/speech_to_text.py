"""A speech-to-text service of the LAN, found by mDNS: the first that says it can listen."""

import asyncio

from voicenode.errors import SetupError
from voicenode.transcription.wyoming import listens
from voicenode.transports.mdns.discovery import discover

_SEARCH_SECONDS = 3.0
_MOST = 32
"""Services that are asked what they do."""


async def find() -> str | None:
    """Its URI, or None where there is none."""
    try:
        services = await discover(_SEARCH_SECONDS)
    except SetupError:  # no network that could be searched
        return None
    uris = [service.uris[0] for service in services if service.uris and not service.is_voicenode][:_MOST]
    listening = await asyncio.gather(*(listens(uri) for uri in uris))
    return next((uri for uri, good in zip(uris, listening, strict=True) if good), None)
