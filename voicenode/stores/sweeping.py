"""Removes what has expired, again and again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voicenode.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicenode.stores.store import Store

_SECONDS = 3600.0
"""Between two times: how long the recordings of a voice that has expired stay on the disk at most."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def swept(store: Store, every: float = _SECONDS) -> AsyncIterator[None]:
    """Sweep a store at once and every few seconds while this is entered."""
    task = asyncio.create_task(_sweep(store, every), name="sweep store")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _sweep(store: Store, every: float) -> None:
    while True:
        try:
            await store.sweep()
        except StoreError as error:
            _log.warning("what has expired is not removed yet: %s", error)
        await asyncio.sleep(every)
