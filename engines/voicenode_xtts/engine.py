"""The engine: which voices there are, how it loads, and how a segment becomes PCM."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from voicenode import guard
from voicenode.audio import pcm_of
from voicenode.engine import (
    EngineInfo,
    EngineVoice,
    ErrorCode,
    OutOfMemoryError,
    PcmFormat,
    RequestError,
    Segment,
    TTSEngine,
)
from voicenode_xtts.files import ModelFolder, unavailable
from voicenode_xtts.options import STREAMS, XttsOptions, XttsParameters
from voicenode_xtts.text import LANGUAGES, MAX_CHARS, primary
from voicenode_xtts.voices import built_in, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    import numpy as np
    from numpy.typing import NDArray

    from voicenode_xtts.narrator import Narrator
    from voicenode_xtts.speakers import Speakers

_ON_GPU = 8
_FOR_TWO = 4
"""Processor threads that speak two texts in real time; no number speaks three, for steps run on one."""
_SILENCE = 0.1
"""Seconds that stand for a text in which there is nothing to say."""
_TELLING = 0.5
"""Seconds of a voice that tell how loud it is."""
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "DefaultCPUAllocator")


class XttsEngine(TTSEngine[XttsOptions]):
    """XTTS v2, which coqui-ai trained, on a GPU or on the processor."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="xtts",
        description="XTTS v2: natural speech in 17 languages, in built-in or cloned voices",
        licence="CPML (https://coqui.ai/cpml), for non-commercial use",
        url="https://github.com/idiap/coqui-ai-TTS",
        version="2",
        memory=2 << 30,
        clones=True,
        streams=STREAMS,
    )
    options_type: ClassVar[type[XttsOptions]] = XttsOptions
    parameters_type: ClassVar[type[XttsParameters]] = XttsParameters
    imports = (
        "torchaudio",
        "TTS.tts.layers.xtts.tokenizer",
        "voicenode_xtts.int8_gpt",
        "voicenode_xtts.model",
        "voicenode_xtts.narrator",
        "voicenode_xtts.speakers",
    )

    _narrator: Narrator
    _speakers: Speakers

    def voices(self) -> Sequence[EngineVoice]:
        """The voices that come with the model, and one for each recording in `voices_dir`.

        Raises:
            EngineError: the model is not there, or damaged.
        """
        folder = ModelFolder.of(self.options.path)
        folder.check()
        names = built_in(folder) | {
            voice: path.stem for voice, path in recorded(self.options.voices_dir).items()
        }
        return [EngineVoice(voice, name, LANGUAGES, multilingual=True) for voice, name in names.items()]

    def max_chars(self, language: str) -> int | None:
        return MAX_CHARS.get(language.partition("-")[0].casefold())

    def artefacts_model(self) -> str:
        return ModelFolder.of(self.options.path).name()

    def check(self) -> None:
        _import_libraries()
        self.voices()

    def load(self) -> PcmFormat:
        _import_libraries()
        import torch  # noqa: PLC0415  (heavy)

        from voicenode_xtts import processor  # noqa: PLC0415  (heavy)
        from voicenode_xtts.model import load  # noqa: PLC0415  (heavy)
        from voicenode_xtts.narrator import Narrator  # noqa: PLC0415  (heavy)
        from voicenode_xtts.speakers import Speakers  # noqa: PLC0415  (heavy)

        torch.set_num_threads(self.options.threads or processor.threads())
        folder = ModelFolder.of(self.options.path)
        with _memory_errors():
            model = load(folder, self.options)
        self._narrator = Narrator(model, guarded=self.options.guard)
        self._speakers = Speakers(model, folder, self.options.voices_dir)
        self._format = PcmFormat(model.rate)
        self._gains: dict[str, float] = {}
        return self._format

    def streams(self) -> int:
        """Few enough that each of them keeps up with its listener."""
        import torch  # noqa: PLC0415  (heavy, and loaded by now)

        if self._narrator.device.type != "cpu":
            return self.options.streams or _ON_GPU
        return self.options.streams or (2 if torch.get_num_threads() >= _FOR_TWO else 1)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        if not guard.is_spoken(segment.text):
            yield self._format.silence(_SILENCE)
            return
        with _memory_errors():
            samples = self._samples(segment, stop)
            for piece in self._levelled(segment, samples) if self.options.normalize else samples:
                yield pcm_of(piece) if len(piece) else b""

    def clone_voice(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        del transcript  # XTTS v2 listens to the voice alone
        with _memory_errors():
            return self._speakers.clone(recordings)

    def _samples(self, segment: Segment, stop: Event) -> Iterator[NDArray[np.float32]]:
        from voicenode_xtts.narrator import Task  # noqa: PLC0415  (heavy, and loaded by now)

        if segment.speaker:
            raise RequestError(ErrorCode.UNKNOWN_SPEAKER, "the voices of XTTS v2 have no speakers to choose")
        language = primary(segment.language)
        style, embedding = self._speakers.latents(segment)
        parameters = XttsParameters(**segment.parameters)
        task = Task(segment.text, language, style, embedding, segment.speed, parameters)
        return self._narrator.speak(task, stop)

    def _levelled(
        self, segment: Segment, pieces: Iterator[NDArray[np.float32]]
    ) -> Iterator[NDArray[np.float32]]:
        """At one loudness for all voices, by a gain that is found once for each.

        The first time a voice speaks, it is held back until there is enough of it to tell how loud it is.
        """
        import numpy as np  # noqa: PLC0415  (heavy, and loaded by now)

        voice, held = segment.artefacts or segment.voice, np.zeros(0, np.float32)
        enough = round(self._format.rate * _TELLING)
        for piece in pieces:
            if voice in self._gains:
                yield guard.limit(piece * self._gains[voice])
                continue
            held = np.concatenate((held, piece))
            yield piece[:0]
            if len(held) >= enough:
                self._gains[voice] = guard.gain(held[:enough], self._format.rate)
                yield guard.limit(held * self._gains[voice])
        if voice not in self._gains and len(held):
            yield guard.limit(held * guard.gain(held, self._format.rate))


def _import_libraries() -> None:
    """Raise EngineError where the libraries are missing, or do not go together."""
    missing = [name for name in ("torch", "torchaudio", "TTS") if find_spec(name) is None]
    if missing:
        raise unavailable(
            f"XTTS v2 is not installed here (no {', '.join(missing)}); run `pip install 'voicenode[xtts]'`"
        )
    try:
        import torchaudio  # noqa: F401, PLC0415  (which fails where it does not fit torch)
        from TTS.tts.layers.xtts import tokenizer  # noqa: F401, PLC0415
    except (
        Exception
    ) as error:  # a library that does not fit may raise anything, an OSError of its C parts included
        fit = ", ".join(f"{name} {_version(name)}" for name in ("torch", "torchaudio", "coqui-tts"))
        raise unavailable(
            f"the libraries of XTTS v2 cannot be imported ({fit}): {type(error).__name__}: {error}; "
            "torch and torchaudio must be of one version: `pip install --force-reinstall 'voicenode[xtts]'`"
        ) from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Tell a device that is full from everything else that PyTorch calls a RuntimeError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
            raise OutOfMemoryError(
                "there is not enough memory for XTTS v2, which needs 2 GB on a GPU; "
                "end what else runs there, or set `device: cpu`"
            ) from error
        raise
