"""A check in a process of its own: decoders are C, files are strangers, and a check takes memory and time."""

import asyncio
import pickle
import signal
from collections.abc import Sequence

from voicenode import child
from voicenode.errors import BusyError, ErrorCode, RequestError
from voicenode.recordings.model import CheckedRecordings, Source
from voicenode.recordings.outcome import Refusal, read

_LIMIT = 300.0
"""Seconds; five minutes of sound take ten of a processor to itself, and this is the last in its queue."""


async def check_apart(
    sources: Sequence[Source], transcript: str | None = None, language: str = ""
) -> CheckedRecordings:
    """As `check`, for callers on an event loop; who is cancelled ends the check.

    Raises:
        RequestError: as `check` says, and where a recording crashes its decoder.
        BusyError: it took too long.
    """
    question = await asyncio.to_thread(pickle.dumps, (list(sources), transcript, language))
    try:
        status, answer = await child.ask("voicenode.recordings", question=question, limit=_LIMIT)
    except TimeoutError as error:
        raise BusyError(f"the recordings could not be checked within {_LIMIT:.0f} seconds") from error
    return await asyncio.to_thread(_result, status, answer)


def _result(status: int, answer: bytes) -> CheckedRecordings:
    if status:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
        raise _unreadable(how)
    try:
        outcome = read(answer)
    except ValueError as error:
        raise _unreadable("answered with nonsense") from error
    if isinstance(outcome, Refusal):
        raise RequestError(outcome.code, outcome.message)
    return outcome


def _unreadable(how: str) -> RequestError:
    return RequestError(
        ErrorCode.BAD_RECORDING,
        f"the recordings cannot be read: their decoder {how}; convert them: ffmpeg -i FILE recording.flac",
    )
