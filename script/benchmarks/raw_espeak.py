"""eSpeak NG itself, called directly: what the node's own work is measured against."""

import time
from pathlib import Path

from espeakng_loader import get_data_path

from voicenode_espeak.library import Library


def open_library(path: str) -> Library:
    """The library, ready to speak in the voice that is the node's default, `espeak-en-us`."""
    library = Library(Path(path), Path(get_data_path()))
    library.select("gmw/en-US", rate=175, pitch=50)
    return library


def speak(library: Library, text: str) -> list[bytes]:
    """The PCM of a text, in the buffers in which eSpeak makes it."""
    chunks: list[bytes] = []

    def sink(pcm: bytes) -> bool:
        chunks.append(pcm)
        return True

    library.speak(text, sink)
    return chunks


def first_audio(library: Library, text: str) -> float:
    """Seconds until eSpeak has made its first buffer of a text."""
    first: list[float] = []

    def sink(_: bytes) -> bool:
        first.append(time.perf_counter())
        return True

    begun = time.perf_counter()
    library.speak(text, sink)
    return first[0] - begun
