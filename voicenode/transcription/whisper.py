"""faster-whisper, where it is installed: in a process of its own, whose gigabyte ends with it.

`python -m voicenode.transcription.whisper download MODEL` fetches a model, once; the rest needs no network.
"""

from __future__ import annotations

import io
import json
import sys
from importlib.util import find_spec

from voicenode import child
from voicenode.transcription.errors import CannotListenError

_LIMIT = 180.0
"""Seconds, of which loading the model may take most."""
_PROCESSOR = {"device": "cpu", "compute_type": "int8"}
"""Graphics memory belongs to the engines that speak."""


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
    try:
        status, answer = await child.ask(__name__, model, language, question=wav, limit=_LIMIT)
    except TimeoutError as error:
        raise CannotListenError(f"faster-whisper did not answer within {_LIMIT:.0f} seconds.") from error
    if status:
        raise CannotListenError(f"faster-whisper ended with status {status}.")
    said: dict[str, str] = json.loads(answer)
    if problem := said.get("problem"):
        raise CannotListenError(problem)
    return said["text"]


def main() -> None:
    """Answer with JSON: the text, or what the problem is."""
    model, language = sys.argv[1:]
    if model == "download":
        download(language)
    else:
        json.dump(_listen(model, language, sys.stdin.buffer.read()), sys.stdout)


def download(model: str) -> None:
    """Fetch a model, for which the network is needed."""
    from faster_whisper import download_model  # noqa: PLC0415 - an extra

    sys.stdout.write(f"{download_model(model)}\n")


def _listen(model: str, language: str, wav: bytes) -> dict[str, str]:
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra

    try:
        listener = WhisperModel(model, **_PROCESSOR, local_files_only=True)
    except (OSError, ValueError, RuntimeError):  # not downloaded; no such name; half downloaded
        command = f"python -m voicenode.transcription.whisper download {model}"
        return {"problem": f"faster-whisper has no model '{model}' on this machine; download it: {command}."}
    base = language.partition("-")[0].casefold()
    known = base if base in listener.supported_languages else None
    segments, _ = listener.transcribe(io.BytesIO(wav), language=known)
    return {"text": " ".join(segment.text.strip() for segment in segments)}


if __name__ == "__main__":
    main()
