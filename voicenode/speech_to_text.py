"""A speech-to-text service of the LAN, found by mDNS: the first that says it can listen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from voicenode.errors import SetupError
from voicenode.transcription.wyoming import listens

if TYPE_CHECKING:
    from voicenode.transports.mdns.discovery import FoundNode

_SEARCH_SECONDS = 3.0
_MOST = 32
"""Services that are asked what they do."""


async def find() -> str | None:
    """Its URI, or None where there is none."""
    answers: asyncio.Queue[str | None] = asyncio.Queue()
    search = asyncio.create_task(_search(answers), name="search for speech-to-text")
    try:
        return await answers.get()
    finally:
        search.cancel()
        await asyncio.wait([search])


async def _search(answers: asyncio.Queue[str | None]) -> None:
    """Ask every service of the LAN; the URIs of those that listen are answers, and None after the last."""
    from voicenode.transports.mdns.discovery import discover  # noqa: PLC0415 - a node may do without mDNS

    asked: list[asyncio.Task[None]] = []

    async def ask(uri: str) -> None:
        if await listens(uri):
            answers.put_nowait(uri)

    def on_found(service: FoundNode) -> None:
        if service.uris and not service.is_voicenode and len(asked) < _MOST:
            asked.append(asyncio.create_task(ask(service.uris[0])))

    try:
        await discover(_SEARCH_SECONDS, on_found)
        await asyncio.gather(*asked)
    except SetupError:  # there is no network that could be searched
        pass
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        answers.put_nowait(None)
