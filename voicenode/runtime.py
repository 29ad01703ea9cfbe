"""Settings that clients may change while the node runs; they are kept, and win over the file until reset."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicenode.errors import ErrorCode, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicenode.stores.store import Store

COLLECTION, KEY = "settings", "runtime"
"""Where they are kept."""

SETTINGS = {
    "default_voice": "default_voice",
    "default_quality": "default_quality",
    "idle_timeout_s": "pool.idle_timeout",
    "low_vram": "pool.low_vram",
}
"""The names that clients use, and where these settings stand in the file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Adjustable:
    """One setting that may be changed."""

    configured: Any
    """What holds when nobody has changed it."""
    apply: Callable[[Any], None]
    """Makes the node follow a value; raises RequestError, with what was expected, where it cannot."""


class RuntimeSettings:
    """What clients have changed of the settings of a node.

    Args:
        store: keeps the changes.
        adjustables: every setting that may be changed, by its name for clients.
    """

    def __init__(self, store: Store, adjustables: Mapping[str, Adjustable]) -> None:
        self._store = store
        self._adjustables = adjustables
        self._changed: dict[str, Any] = {}

    async def load(self) -> None:
        """Follow what was changed before this start; what no longer holds is told and forgotten."""
        kept = await changes(self._store)
        for name, value in kept.items():
            try:
                self._apply({name: value})
            except RequestError as error:
                _log.warning("a setting that was changed no longer holds, and is forgotten: %s", error)
            else:
                self._changed[name] = value
        if self._changed != kept:
            await self._forget()

    def current(self) -> dict[str, Any]:
        """What holds now, of all that may be changed."""
        return {
            name: self._changed.get(name, adjustable.configured)
            for name, adjustable in self._adjustables.items()
        }

    async def change(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change some settings, all or none; null goes back to what is configured. What holds then.

        Raises:
            RequestError: there is no such setting, or its value will not do.
            StoreError: the change could not be kept, and nothing has changed.
        """
        before = {name: value for name, value in self.current().items() if name in changes}
        try:
            self._apply(changes)
            kept = {name: value for name, value in {**self._changed, **changes}.items() if value is not None}
            await self._store.put(COLLECTION, KEY, kept)
        except BaseException:
            self._restore(before)
            raise
        self._changed = kept
        return self.current()

    async def _forget(self) -> None:
        """Keep only what holds; where it cannot be kept, it is told again at the next start."""
        with suppress(StoreError):
            await self._store.put(COLLECTION, KEY, self._changed)

    def _restore(self, before: Mapping[str, Any]) -> None:
        for name, value in before.items():
            # What held may be gone, such as a voice that was deleted; then what is wrong now is still told.
            with suppress(RequestError):
                self._apply({name: value})

    def _apply(self, changes: Mapping[str, Any]) -> None:
        unknown = [name for name in changes if name not in self._adjustables]
        if unknown:
            what = f"unknown setting '{unknown[0][:40]}'; there are: {', '.join(self._adjustables)}"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        for name, value in changes.items():
            adjustable = self._adjustables[name]
            adjustable.apply(adjustable.configured if value is None else value)


async def changes(store: Store) -> Mapping[str, Any]:
    """What clients have changed, by the names that they use."""
    document = await store.get(COLLECTION, KEY)
    return {} if document is None else document.value
