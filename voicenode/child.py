"""One question to a Python module in a process of its own, with which goes all that it holds or breaks."""

import asyncio
import os
import sys
from contextlib import suppress

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy in a child has little to compute, and threads cost memory."""


async def ask(module: str, *arguments: str, question: bytes, limit: float) -> tuple[int, bytes]:
    """Run a module with `question` as its standard input; who is cancelled kills it.

    Returns:
        Its exit status, below zero for the signal that ended it, and its standard output.

    Raises:
        TimeoutError: it took more than `limit` seconds, and was killed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT | os.environ,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            answer, _ = await process.communicate(question)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return process.returncode or 0, answer
