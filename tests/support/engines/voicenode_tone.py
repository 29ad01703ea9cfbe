"""An engine of the tests' own, whose sound spells its text, and which fails, hangs and dies on command.

Every character is spoken as 10 ms of one sample value, its code point; `spell` reads the text back. A text
with one of the words below does what the word says, after having spoken what stands before it.
"""

import hashlib
import json
import os
import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path

from voicenode.engine import (
    EngineError,
    EngineInfo,
    EngineVoice,
    ErrorCode,
    Event,
    PcmFormat,
    RequestError,
    Segment,
    TTSEngine,
)

RATE = 16_000
FRAMES_PER_CHAR = RATE // 100
FOREVER = 3600.0


@dataclass(frozen=True)
class ToneOptions:
    load_seconds: float = 0.0
    load_error: str = ""
    """Fail to load with this sentence; `die`: end the process; `crash`: raise what is no EngineError."""
    needs: str = ""
    """A file without which it cannot be offered."""
    rate: int = RATE
    fail_at: str = ""
    """A word at which this engine fails, and others do not."""
    fail_with: str = ""
    """With which of PyTorch's errors; empty for an EngineError."""
    chunk_chars: int = 5
    char_seconds: float = 0.0
    """How long the engine computes for each character."""
    diary: str = ""
    """A file that gets a line for each text that is spoken, and for each voice that is cloned."""
    model: str = "tone-1"
    """What the artefacts of cloned voices are made by."""
    clone_error: str = ""
    """Fail to clone with this sentence; `refuse`: refuse the recording; `die`: end the process."""
    clone_seconds: float = 0.0
    streams: int = 0
    """How many segments it takes at once here; 0 for as many as it can."""


class ToneEngine(TTSEngine[ToneOptions]):
    info = EngineInfo(
        name="tone",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
        clones=True,
    )
    options_type = ToneOptions

    def voices(self) -> Sequence[EngineVoice]:
        if self.options.needs and not Path(self.options.needs).exists():
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, f"there is no {self.options.needs}; make it")
        return [
            EngineVoice("plain", "Plain tone", ("en-US", "en"), speakers=("soft", "loud")),
            EngineVoice("deutsch", "Deutscher Ton", ("de",)),
        ]

    def load(self) -> PcmFormat:
        time.sleep(self.options.load_seconds)
        if self.options.load_error == "die":
            os._exit(7)
        if self.options.load_error == "crash":
            raise ZeroDivisionError
        if self.options.load_error:
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, self.options.load_error)
        return PcmFormat(self.options.rate)

    def streams(self) -> int:
        return self.options.streams or self.info.streams

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        self._note(segment.text)
        if segment.artefacts is not None:
            yield from self._speak(f"{sound_of(Path(segment.artefacts).read_bytes())}: ", stop)
        for word in segment.text.split(" "):
            self._fail(word)
            yield from self._linger(word, stop)
            said = segment.language if word == "language" else word
            yield from self._speak(said + " ", stop)

    def artefacts_model(self) -> str:
        return self.options.model

    def clone_voice(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        self._note("clone")
        time.sleep(self.options.clone_seconds)
        if self.options.clone_error == "die":
            os._exit(7)
        if self.options.clone_error == "refuse":
            raise RequestError(ErrorCode.BAD_REQUEST, "told to refuse the recording")
        if self.options.clone_error:
            raise EngineError(ErrorCode.ENGINE_FAILED, self.options.clone_error)
        sound = hashlib.sha256(Path(recordings[0]).read_bytes()).hexdigest()[:8]
        told = {"model": self.options.model, "sound": sound, "words": transcript or ""}
        header = json.dumps({"__metadata__": told}).encode()
        return struct.pack("<Q", len(header)) + header

    def _note(self, line: str) -> None:
        if self.options.diary:
            with Path(self.options.diary).open("a") as diary:
                diary.write(f"{line}\n")

    def _fail(self, word: str) -> None:
        if word == self.options.fail_at and self.options.fail_with:
            raise getattr(import_module("torch"), self.options.fail_with)("told to fail")
        if word in {"sayerror", self.options.fail_at}:
            raise EngineError(ErrorCode.ENGINE_FAILED, "told to fail")
        if word == "refuse":
            raise RequestError(ErrorCode.BAD_REQUEST, "told to refuse")
        if word == "unknown":
            raise RequestError(ErrorCode.UNKNOWN_VOICE, "told not to know the voice")
        if word == "cuda":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if word == "crash":
            raise ZeroDivisionError("told to crash")
        if word == "die":
            os._exit(7)

    def _linger(self, word: str, stop: Event) -> Iterator[bytes]:
        if word == "fork":
            yield self._fork()
        if word == "hang":
            stop.wait(FOREVER)
        if word == "deaf":
            try:
                yield from self._speak(word, stop)
            finally:  # whenever it is told to stop, it does not
                time.sleep(FOREVER)
        if word == "progress":
            while not stop.wait(0.01):
                yield b""

    def _fork(self) -> bytes:
        """Leave a process behind, and spell its number."""
        child = os.fork()
        if not child:
            time.sleep(FOREVER)
        return array("h", [ord(digit) for digit in str(child) for _ in range(FRAMES_PER_CHAR)]).tobytes()

    def _speak(self, text: str, stop: Event) -> Iterator[bytes]:
        for start in range(0, len(text), self.options.chunk_chars):
            part = text[start : start + self.options.chunk_chars]
            if stop.wait(self.options.char_seconds * len(part)):
                return
            frames = self.options.rate // 100
            yield array("h", [ord(char) for char in part for _ in range(frames)]).tobytes()


class SecondToneEngine(ToneEngine):
    """The same, wanting memory of the device, so that two of them compete for it."""

    info = EngineInfo(
        name="tone2",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
        memory=100,
        clones=True,
        needs_transcript=True,
    )


class ThirdToneEngine(ToneEngine):
    info = EngineInfo(
        name="tone3",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
        memory=100,
    )


class SixthToneEngine(ToneEngine):
    info = EngineInfo(
        name="tone6",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
        memory=100,
    )


class BatchToneEngine(ToneEngine):
    """The same, taking four segments at once."""

    info = EngineInfo(
        name="tone4",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
        clones=True,
        streams=4,
    )


class EagerToneEngine(ToneEngine):
    """The same, making everything before it returns anything."""

    info = EngineInfo(
        name="tone5",
        description="Spells texts in tones",
        licence="Apache-2.0",
        url="https://example.org/tone",
    )

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        return iter(list(super().synthesize(segment, stop)))


class LackingToneEngine(ToneEngine):
    """The same, with a library to import ahead that is not there."""

    imports = ("voicenode_tone_nowhere",)


class ThreadingToneEngine(ToneEngine):
    """The same, with a library to import ahead that starts a thread."""

    imports = ("voicenode_tone_thread",)


def sound_of(artefacts: bytes) -> str:
    """The recording of which artefacts were made, as `clone_voice` tells it: a cloned voice begins so."""
    sound: str = json.loads(artefacts[8:])["__metadata__"]["sound"]
    return sound


def spell(pcm: bytes) -> str:
    """The text that was spoken; silence (zeros) is left out."""
    samples = array("h", pcm)
    runs = ((value, sum(1 for _ in group)) for value, group in groupby(samples))
    return "".join(chr(value) * (count // FRAMES_PER_CHAR) for value, count in runs if value)
