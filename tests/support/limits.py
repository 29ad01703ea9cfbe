"""How long tests wait for what must happen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 60.0
"""Seconds: many times what anything takes on a slow and busy machine, for only what hangs shall reach it."""


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells of, such as the state of another process."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
