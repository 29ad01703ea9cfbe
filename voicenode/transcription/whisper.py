"""faster-whisper, where it is installed: in a process of its own, whose gigabyte ends with it."""

from __future__ import annotations

import json
from importlib.util import find_spec

from voicenode import child
from voicenode.transcription.errors import CannotListenError

_LIMIT = 180.0
"""Seconds, of which loading the model may take most."""


def is_installed() -> bool:
    """Whether the extra `whisper` is there."""
    return find_spec("faster_whisper") is not None


async def transcribe(model: str, wav: bytes, language: str) -> str:
    """What is said in a short recording, empty where nothing was understood.

    Args:
        model: its name, such as `small`, or a folder that it is in.
        wav: any audio file.
        language: BCP 47; empty where nobody said.

    Raises:
        CannotListenError: there is no such model on this machine, or it fails.
    """
    process = "voicenode.transcription.listen"
    try:
        status, answer = await child.ask(process, model, language, question=wav, limit=_LIMIT)
    except TimeoutError as error:
        raise CannotListenError(f"faster-whisper did not answer within {_LIMIT:.0f} seconds.") from error
    if status:
        raise CannotListenError(f"faster-whisper ended with status {status}.")
    said: dict[str, str] = json.loads(answer)
    if problem := said.get("problem"):
        raise CannotListenError(problem)
    return said["text"]
