"""The process in which faster-whisper listens.

`python -m voicenode.transcription.listen MODEL LANGUAGE` reads a recording from standard input and answers in
JSON; `download MODEL` in their place fetches a model, and is all that uses the network.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

_PROCESSOR = {"device": "cpu", "compute_type": "int8"}
"""Graphics memory belongs to the engines that speak."""


def main() -> None:
    """Answer with the text, or with what the problem is."""
    first, second = sys.argv[1:]
    if first == "download":
        sys.stdout.write(f"{download(second)}\n")
    else:
        json.dump(listen(first, second, sys.stdin.buffer.read()), sys.stdout)


def download(model: str) -> str:
    """Fetch a model, for which the network is needed; returns its folder."""
    from faster_whisper import download_model  # noqa: PLC0415 - an extra

    return str(download_model(model))


def listen(model: str, language: str, wav: bytes) -> dict[str, str]:
    """The `text` of a recording, or the `problem`; the model must be on this machine."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra

    try:
        listener = WhisperModel(model, **_PROCESSOR, local_files_only=True)
    except (OSError, ValueError, RuntimeError):  # not downloaded; no such name; half downloaded
        return {"problem": _missing(model)}
    base = language.partition("-")[0].casefold()
    known = base if base in listener.supported_languages else None
    segments, _ = listener.transcribe(io.BytesIO(wav), language=known)
    return {"text": " ".join(segment.text.strip() for segment in segments)}


def _missing(model: str) -> str:
    if len(Path(model).parts) > 1:
        return f"faster-whisper finds no model in {model}."
    command = f"python -m voicenode.transcription.listen download {model}"
    return f"faster-whisper has no model '{model}' on this machine; download it: {command}."


if __name__ == "__main__":
    main()
