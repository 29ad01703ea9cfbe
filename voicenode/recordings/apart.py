"""A check in a process of its own: decoders are C, files are strangers, and a check takes memory and time."""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from voicenode.errors import BusyError, ErrorCode, RequestError
from voicenode.recordings.model import CheckedRecordings, Source

_TIMEOUT = 120.0
"""Seconds; five minutes of sound take about ten."""
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Threads that would only wait for one another."""


async def check_apart(
    sources: Sequence[Source], transcript: str | None = None, language: str = ""
) -> CheckedRecordings:
    """As `check`, for callers on an event loop; who is cancelled ends the check.

    Raises:
        RequestError: as `check` says, and where a recording crashes its decoder.
        BusyError: it took too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voicenode.recordings",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | _ENVIRONMENT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT):
            answer, _ = await process.communicate(pickle.dumps((list(sources), transcript, language)))
    except TimeoutError as error:
        raise BusyError(f"the recordings could not be checked within {_TIMEOUT:.0f} seconds") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _result(process.returncode or 0, answer)


def _result(status: int, answer: bytes) -> CheckedRecordings:
    if status:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
        raise RequestError(
            ErrorCode.BAD_RECORDING,
            f"the recordings cannot be read: their decoder {how}; "
            "convert them: ffmpeg -i FILE recording.flac",
        )
    result = pickle.loads(answer)  # noqa: S301 - it comes from our own code
    if isinstance(result, CheckedRecordings):
        return result
    raise RequestError(*result)
