"""The process in which faster-whisper listens.

`python -m voicenode.transcription.listen MODEL LANGUAGE` reads a recording from standard input and answers in
JSON. It never uses the network.
"""

from __future__ import annotations

import io
import json
import sys

_PROCESSOR = {"device": "cpu", "compute_type": "int8"}
"""Graphics memory belongs to the engines that speak."""


def main() -> None:
    """Answer with the text, or with what the problem is."""
    model, language = sys.argv[1:]
    json.dump(listen(model, language, sys.stdin.buffer.read()), sys.stdout)


def listen(model: str, language: str, wav: bytes) -> dict[str, str]:
    """The `text` of a recording, or the `problem`; the model must be on this machine."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra

    try:
        listener = WhisperModel(model, **_PROCESSOR, local_files_only=True)
    except (OSError, ValueError, RuntimeError):  # not downloaded; no such name; half downloaded
        advice = "`voicenode models download whisper` brings 'small'"
        return {"problem": f"faster-whisper finds no model '{model}' on this machine; {advice}."}
    base = language.partition("-")[0].casefold()
    known = base if base in listener.supported_languages else None
    segments, _ = listener.transcribe(io.BytesIO(wav), language=known)
    return {"text": " ".join(segment.text.strip() for segment in segments)}


if __name__ == "__main__":
    main()
