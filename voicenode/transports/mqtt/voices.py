"""Requests about cloned voices."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any

from voicenode.cloning import Asker
from voicenode.cloning.request import CLONE_KEYS, UPDATE_KEYS, check_keys
from voicenode.errors import ErrorCode, RequestError
from voicenode.recordings import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from voicenode.cloning import VoiceDesk

_AUDIO = ("audio", "recordings", "file", "files")
"""What a recording comes in: base64, several of them, a name in the import folder, several of them."""


class VoiceRequests:
    """Answers them.

    Args:
        desk: knows the voices; none where there can be none.
        changed: called when there are other voices.
    """

    def __init__(self, desk: VoiceDesk | None, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._changed = changed
        self.actions: dict[str, Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]] = {
            "clone": self._clone,
            "voice": self._get,
            "update_voice": self._update,
            "delete_voice": self._delete,
        }

    def page(self, data: dict[str, Any]) -> Mapping[str, Any]:
        """A page of the list of cloned voices."""
        return self._known().list(data)

    async def _clone(self, data: dict[str, Any]) -> Mapping[str, Any]:
        desk = self._known()
        check_keys(data, (*CLONE_KEYS, *_AUDIO, "token"))
        asker = _asker(data)
        desk.check(asker)
        sources = await asyncio.to_thread(_sources, desk, data)
        return self._told(await desk.clone(data, sources, asker))

    async def _get(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, ("name", "token"))
        return self._known().get(data, _asker(data))

    async def _update(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, (*UPDATE_KEYS, "token"))
        return self._told(await self._known().update(data, _asker(data)))

    async def _delete(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, ("name", "token"))
        return self._told(await self._known().delete(data, _asker(data)))

    def _told(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        self._changed()
        return answer

    def _known(self) -> VoiceDesk:
        if self._desk is None:
            raise RequestError(ErrorCode.UNSUPPORTED, "this node cannot clone voices")
        return self._desk


def _asker(data: Mapping[str, Any]) -> Asker:
    token = data.get("token")
    return Asker(door="mqtt", peer="the broker", token=token if isinstance(token, str) else None)


def _sources(desk: VoiceDesk, data: Mapping[str, Any]) -> Sequence[Source]:
    given = [key for key in _AUDIO if data.get(key) is not None]
    if len(given) != 1:
        what = "give the recording as one of audio (base64), recordings, file (in the import folder) or files"
        raise RequestError(ErrorCode.BAD_REQUEST, what)
    value = data[given[0]]
    several = value if given[0].endswith("s") else [value]
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        kind = "a list of strings" if given[0].endswith("s") else "a string"
        raise RequestError(ErrorCode.BAD_REQUEST, f"{given[0]} must be {kind}")
    if given[0].startswith("file"):
        return [desk.imported(name) for name in several]
    return [Source(_decoded(each), name=f"recording {number}") for number, each in enumerate(several, 1)]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(ErrorCode.BAD_REQUEST, f"the recording is not base64: {error}") from None
