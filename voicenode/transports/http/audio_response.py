"""The answer to a request for an audio file, as players ask for it: whole, in part, or the headers alone."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fastapi import HTTPException, Response
from starlette.datastructures import Headers

from voicenode.transports.http.conditions import UnsatisfiableRangeError, is_known, wanted_part

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from voicenode.transports.http.audio_files import AudioFile, AudioFiles

_log = logging.getLogger(__name__)

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Range, If-Range",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
}
"""A Cast receiver is a web page of another origin, and asks for parts."""

_CHUNK = 128 * 1024
"""Bytes that are read at a time; what a client that does not read costs, beside the kernel's buffer."""


class AudioResponse(Response):
    """Sends a file of known length, and lets go of it as soon as the client leaves."""

    def __init__(self, files: AudioFiles, name: str) -> None:
        super().__init__()
        self._files = files
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._files.open(self._name) as file:
            asked = Headers(scope=scope)
            headers = _headers(file)
            if is_known(asked, file.version):
                await _send_head(send, 304, headers)
            elif scope["method"] == "HEAD":  # for which there are no ranges
                await _send_head(send, 200, headers | {"Content-Length": str(file.size)})
            else:
                await self._send_content(file, _part(asked, file), headers, receive, send)

    async def _send_content(
        self, file: AudioFile, part: range | None, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        content = range(file.size) if part is None else part
        headers["Content-Length"] = str(len(content))
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
        leaving = asyncio.create_task(_until_gone(receive), name="http waits for a hang-up")
        try:
            await send(_start(200 if part is None else 206, headers))
            # uvicorn drops what is sent to nobody, and would let the whole file be read for it.
            while content and not leaving.done():
                data = await file.read(content[:_CHUNK])
                if len(data) < len(content[:_CHUNK]):
                    _log.error("%s has become shorter while it was sent", self._name)
                    return
                content = content[_CHUNK:]
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            leaving.cancel()
            await asyncio.wait([leaving])


def _headers(file: AudioFile) -> dict[str, str]:
    return {
        "Content-Type": file.format.content_type,
        "Accept-Ranges": "bytes",
        # What a name stands for never changes; it is gone one day, and no proxy should keep it for others.
        "Cache-Control": "private, max-age=86400, immutable",
        "ETag": file.version.etag,
        "Last-Modified": file.version.last_modified,
        "X-Content-Type-Options": "nosniff",
        **CORS,
    }


def _part(asked: Headers, file: AudioFile) -> range | None:
    try:
        return wanted_part(asked, file.version, file.size)
    except UnsatisfiableRangeError:
        raise HTTPException(
            416, f"the file has {file.size} bytes", {"Content-Range": f"bytes */{file.size}", **CORS}
        ) from None


async def _send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    await send(_start(status, headers))
    await send({"type": "http.response.body"})


def _start(status: int, headers: dict[str, str]) -> dict[str, object]:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
