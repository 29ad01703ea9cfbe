"""stdin and stdout as one connection, for a parent process that talks to the node through pipes."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

from voicenode.framing import MAX_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

_STDIN, _STDOUT = 0, 1


async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Callable[[], None]]:
    """A reader of stdin, a writer to stdout, and what closes the former; the process keeps its own two.

    Raises:
        ValueError: one of them is a file or a device such as /dev/null, which cannot be waited for.
    """
    for number in (_STDIN, _STDOUT):
        # asyncio takes any character device, and notices too late that it is none to wait for.
        if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
            raise ValueError("a device that cannot be waited for")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_HEADER)
    nothing = asyncio.StreamReader()  # a writer's protocol wants a reader, although stdout is never read
    with ExitStack() as opened:
        stdin = opened.enter_context(os.fdopen(os.dup(_STDIN), "rb", buffering=0))
        stdout = opened.enter_context(os.fdopen(os.dup(_STDOUT), "wb", buffering=0))
        listening, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
        opened.callback(listening.close)
        speaking, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(nothing), stdout
        )
        opened.pop_all()
    return reader, asyncio.StreamWriter(speaking, protocol, nothing, loop), listening.close
