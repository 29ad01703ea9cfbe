"""The engine: which voices there are, and what a segment must be to be spoken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from voicenode.engine import (
    EngineInfo,
    EngineVoice,
    ErrorCode,
    Event,
    PcmFormat,
    RequestError,
    Segment,
    TTSEngine,
)
from voicenode.guard import is_spoken
from voicenode_f5.files import NOT_INSTALLED, find, models_folder, unavailable
from voicenode_f5.options import F5Options, F5Parameters
from voicenode_f5.text import foreign
from voicenode_f5.voices import Recording, examples, recordings, require_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicenode_f5.files import Files
    from voicenode_f5.model import Model
    from voicenode_f5.reference import Reference

_PUNCTUATION_SECONDS = 0.1
_STRANGE = 0.5
"""From this share of unknown letters on, the model cannot read a text."""


class F5Engine(TTSEngine[F5Options]):
    """F5-TTS and E2 TTS: flow matching in the voice of a few seconds of speech."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="f5",
        description="F5-TTS: natural speech in English and Chinese, in the voice of a few seconds of speech",
        licence="CC-BY-NC-4.0",
        url="https://github.com/SWivid/F5-TTS",
        memory=2_000_000_000,
        clones=True,
        needs_transcript=True,
    )
    options_type: ClassVar[type[F5Options]] = F5Options
    parameters_type: ClassVar[type[F5Parameters]] = F5Parameters
    imports = ("voicenode_f5.model", "voicenode_f5.reference", "voicenode_f5.speech")

    _model: Model

    def __init__(self, options: F5Options) -> None:
        super().__init__(options)
        self._references: dict[str, Reference] = {}

    def voices(self) -> Sequence[EngineVoice]:
        """The examples of F5-TTS, and the recordings in `voices_dir`.

        Raises:
            EngineError: its model is not there, or there is no such folder.
        """
        voices = [self._engine_voice(recording) for recording in self._recordings()]
        self._files()
        return voices

    def check(self) -> None:
        require_package()
        self.voices()
        _model_type()

    def load(self) -> PcmFormat:
        require_package()
        self._by_id = {recording.id: recording for recording in self._recordings()}
        model_type = _model_type()
        self._model = model_type.load(self._files(), self.options)
        return PcmFormat(model_type.rate)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:
        from voicenode_f5.speech import Speech  # noqa: PLC0415  (heavy, and loaded by now)

        reference = self._reference(segment)
        self._check(segment)
        if is_spoken(segment.text):
            parameters = replace(F5Parameters(), **segment.parameters)
            yield from Speech(self._model, self.options, reference, segment, parameters).pcm(stop)
        else:
            yield PcmFormat(self._model.rate).silence(_PUNCTUATION_SECONDS)

    def clone_voice(self, recordings: Sequence[str], transcript: str | None) -> bytes:
        """Make ready the first recording; more would not be heard, for the model takes 12 seconds at most."""
        from voicenode_f5.reference import Reference  # noqa: PLC0415  (heavy)

        return Reference.of_recording(recordings[0], transcript or "").artefacts(self.options.model)

    def _files(self) -> Files:
        return find(models_folder(self.options.path), self.options.model, self.options.checkpoint)

    def _recordings(self) -> list[Recording]:
        folder = self.options.voices_dir
        return [*examples(), *(recordings(Path(folder).expanduser()) if folder else ())]

    def _engine_voice(self, recording: Recording) -> EngineVoice:
        others = (language for language in self.options.languages if language != recording.language)
        own = (recording.language,) if recording.language in self.options.languages else ()
        languages = (*own, *others)
        return EngineVoice(recording.id, recording.description, languages, multilingual=len(languages) > 1)

    def _reference(self, segment: Segment) -> Reference:
        from voicenode_f5.reference import Reference  # noqa: PLC0415  (heavy, and loaded by now)

        if segment.artefacts is not None:
            return Reference.of_artefacts(segment.artefacts)
        if segment.voice not in self._by_id:
            known = ", ".join(self._by_id)
            raise RequestError(
                ErrorCode.UNKNOWN_VOICE, f"F5-TTS has no voice '{segment.voice}'; it has {known}"
            )
        if segment.voice not in self._references:
            recording = self._by_id[segment.voice]
            self._references[recording.id] = Reference.of_recording(str(recording.path), recording.transcript)
        return self._references[segment.voice]

    def _check(self, segment: Segment) -> None:
        known = self.options.languages
        if _base(segment.language) not in map(_base, known):
            raise _unreadable(f"it speaks {', '.join(known)}, not {segment.language}")
        if max(self._model.strange(segment.text), foreign(segment.text, known)) >= _STRANGE:
            raise _unreadable(f"the model does not know most of its letters; it speaks {', '.join(known)}")


def _model_type() -> type[Model]:
    """Import everything that speaking needs.

    Raises:
        EngineError: something is not installed, or the installed libraries do not fit each other.
    """
    try:
        from voicenode_f5 import reference, speech  # noqa: F401, PLC0415  (heavy)
        from voicenode_f5.model import Model  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise unavailable(f"{NOT_INSTALLED} ({error})") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise unavailable(
            f"its libraries do not fit each other ({error}); install voicenode[f5] again"
        ) from error
    return Model


def _unreadable(why: str) -> RequestError:
    advice = "choose another voice, or name what your model was trained on in the setting `languages`"
    return RequestError(ErrorCode.BAD_REQUEST, f"F5-TTS cannot speak this text: {why}; {advice}")


def _base(language: str) -> str:
    return language.partition("-")[0].casefold()
