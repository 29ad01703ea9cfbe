"""News for everybody who listens at the moment."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Item = TypeVar("Item")


class Broadcast(Generic[Item]):
    """Hands each item to every listener; one who falls behind by more than `limit` loses the oldest."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._listeners: list[_Listener[Item]] = []

    def tell(self, item: Item) -> None:
        for listener in self._listeners:
            listener.items.append(item)
            listener.told.set()

    @contextmanager
    def listen(self) -> Iterator[AsyncIterator[Item]]:
        """What is told from now on."""
        listener: _Listener[Item] = _Listener(self._limit)
        self._listeners.append(listener)
        try:
            yield listener.take()
        finally:
            self._listeners.remove(listener)


class _Listener(Generic[Item]):
    def __init__(self, limit: int | None) -> None:
        self.items: deque[Item] = deque(maxlen=limit)
        self.told = asyncio.Event()

    async def take(self) -> AsyncIterator[Item]:
        while True:
            await self.told.wait()
            self.told.clear()
            while self.items:
                yield self.items.popleft()
