"""One who watches a collection."""

import asyncio
from collections.abc import Sequence


class Watcher:
    """Keys that changed and were not yet taken, each once; made on the event loop that waits."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.told = asyncio.Event()
        self._keys: dict[str, None] = {}

    def tell(self, key: str) -> None:
        self._keys[key] = None
        self.told.set()

    def take(self) -> Sequence[str]:
        keys, self._keys = self._keys, {}
        self.told.clear()
        return list(keys)
