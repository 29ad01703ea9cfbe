"""A beat for systemd's watchdog, as long as the node answers like any client's node."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voicenode import client, systemd
from voicenode.errors import ErrorCode, VoiceServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = logging.getLogger(__name__)


@asynccontextmanager
async def watched(uri: str | None) -> AsyncIterator[None]:
    """Beat for systemd's watchdog, where there is one, as long as the node answers at `uri` like any node."""
    interval = systemd.watchdog_interval()
    if interval is None:
        yield
        return
    beating = asyncio.create_task(_beat(uri, interval), name="watchdog")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait([beating])


async def _beat(uri: str | None, interval: float) -> None:
    while True:
        if uri is None or await _answers(uri, interval / 2):
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def _answers(uri: str, limit: float) -> bool:
    try:
        async with client.connect(uri, limit) as connection:
            await connection.describe(limit)
    except VoiceServiceError as error:
        # A node that has the word to say that it is busy is alive.
        if error.code != ErrorCode.BUSY:
            _log.error("the node does not answer itself: %s", error)
            return False
    return True
