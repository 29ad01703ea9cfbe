"""All that an engine's author imports: what an engine is, what it is asked for, and what it may raise.

This module stays light (no pydantic, no asyncio): a worker process imports it before it can speak.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, ClassVar, Generic, TypeVar

from voicenode.audio import PcmFormat
from voicenode.errors import EngineError, ErrorCode, OutOfMemoryError, RequestError

__all__ = [
    "EngineError",
    "EngineInfo",
    "EngineVoice",
    "ErrorCode",
    "Event",
    "OutOfMemoryError",
    "PcmFormat",
    "RequestError",
    "Segment",
    "TTSEngine",
]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is, readable without importing anything heavy."""

    name: str
    description: str
    licence: str
    url: str
    version: str = ""
    memory: int = 0
    """Bytes of device memory that a loaded engine needs; 0 for one that uses none."""
    clones: bool = False
    """Whether `clone_voice` works."""
    needs_transcript: bool = False
    """Whether `clone_voice` must be told the words of the recording."""
    ssml: bool = False
    """Whether a segment may be SSML; where not, the tags are stripped before it arrives."""
    streams: int = 1
    """How many segments the engine takes at once, at most; `TTSEngine.streams` says how many here."""


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """One voice as its engine knows it."""

    id: str
    """Unique in the engine; the user sees `<engine>-<id>`."""
    description: str
    languages: tuple[str, ...]
    """BCP 47 as Home Assistant writes it, such as en-US; the first is the voice's own."""
    speakers: tuple[str, ...] = ()
    """Presets shown to users."""
    other_speakers: tuple[str, ...] = ()
    """Presets accepted by name but not shown."""
    advertised: bool = True
    """Whether clients see it; a hidden voice still speaks when it is named."""
    multilingual: bool = False
    """Whether it reads a text in each of its languages, as its segment says; else they are names of one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of text for one turn of an engine, short enough to be spoken in one go."""

    text: str
    voice: str
    """An `EngineVoice.id` of the same engine."""
    language: str
    """The language of the text, BCP 47."""
    speaker: str | None = None
    speed: float = 1.0
    """1.0 is the voice's natural speed, 2.0 twice as fast."""
    ssml: bool = False
    """Whether `text` is a complete SSML document; only when `EngineInfo.ssml`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What this request sets of the engine's `parameters_type`."""
    artefacts: str | None = None
    """Path of what `clone_voice` made of this voice; None for a voice that the engine brought itself."""


Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class NoParameters:
    """The parameters of an engine that quality profiles cannot tune."""


class TTSEngine(ABC, Generic[Options]):
    """A speech engine: plain synchronous Python that runs in a process of its own.

    `Options` is a frozen dataclass with a default for every field; constraints are annotations such as
    `Annotated[int, annotated_types.Ge(80)]`. The daemon checks the settings against it, and creates the
    engine once to read `info` and `voices`; a worker process creates it again and calls `load` and
    `synthesize`, both on its main thread. There is no unload: when the engine is idle, its process ends.
    """

    info: ClassVar[EngineInfo]
    options_type: ClassVar[type[Any]]
    parameters_type: ClassVar[type[Any]] = NoParameters
    """What a quality profile or a request may tune: a frozen dataclass, made like `Options`."""
    imports: ClassVar[Sequence[str]] = ()
    """Modules that `load` imports and that take their time. A node may import them ahead, in a process from
    which the engine's is then forked: importing them must start no thread and touch no device."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def voices(self) -> Sequence[EngineVoice]:
        """The voices that can be chosen; quick, without heavy imports, and possible before `load`."""

    def max_chars(self, language: str) -> int | None:
        """How many characters of a language the engine speaks in one go; None where the node's limit counts.

        Quick, without heavy imports, and possible before `load`.
        """
        del language
        return None

    def artefacts_model(self) -> str:
        """The model that `clone_voice` would name; what another made is made anew. Empty: any will do.

        Without heavy imports, and possible before `load`.
        """
        return ""

    def check(self) -> None:
        """Find out whether `load` could succeed here: what is installed, and which files there are.

        No weights are loaded, but libraries may be imported; it runs in a process of its own.

        Raises:
            EngineError: as `load` would.
        """
        self.voices()

    @abstractmethod
    def load(self) -> PcmFormat:
        """Get ready to speak and tell the format of everything that will be spoken.

        Raises:
            EngineError: the engine cannot work here; the sentence says what is missing and what to do.
        """

    def streams(self) -> int:
        """How many segments the engine takes at once on this machine, by its settings; asked after `load`.

        Their generators are resumed in turn, each for one chunk: an engine that computes them together takes
        a step for all when the first is resumed, and hands out the results when the others are.
        """
        return self.info.streams

    @abstractmethod
    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        """Speak one segment: yield PCM as it is made; an empty chunk only says that the engine is alive.

        `stop` is set when nobody listens any more; long steps look at it and return.

        Raises:
            RequestError: this text cannot be spoken by this voice.
            EngineError: the engine failed; an OutOfMemoryError also ends its process.
        """

    def clone_voice(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        """What the engine would otherwise compute from the recordings of a voice at every request.

        An engine that takes several segments at once is called on another thread, and goes on speaking.

        Args:
            recordings: paths of mono WAV files, 16-bit, which were checked and trimmed.
            transcript: the words of the first recording; None where `needs_transcript` is not set.

        Returns:
            The content of a safetensors file; `model` in its metadata names the model that made it.

        Raises:
            RequestError: these recordings will not do.
        """
        del recordings, transcript
        raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, f"engine '{self.info.name}' does not clone voices")
