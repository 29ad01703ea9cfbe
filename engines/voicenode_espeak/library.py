"""The shared library of eSpeak NG through ctypes, synchronous: `speak` returns when everything is spoken.

API: https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

import ctypes
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from voicenode.engine import EngineError, ErrorCode

Sink = Callable[[bytes], bool]
"""Takes PCM as it is made and tells whether to go on."""


class Parameter(IntEnum):
    """`espeak_PARAMETER`: those that speech depends on."""

    RATE = 1
    VOLUME = 2
    PITCH = 3
    RANGE = 4
    PUNCTUATION = 5
    CAPITALS = 6


_DEFAULTS = {
    Parameter.VOLUME: 100,
    Parameter.RANGE: 50,
    Parameter.PUNCTUATION: 0,
    Parameter.CAPITALS: 0,
}

_NO_EMPHASIS = "\x010F"
"""The one parameter of SSML that eSpeak can set back only by a command in its text; says nothing, in 6 us."""

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_OK = 0
_POS_CHARACTER = 1
_CHARS_UTF8, _SSML = 0x01, 0x10
_BUFFER_MS = 200
"""Audio per buffer. eSpeak makes it in 0.2 ms, so that a smaller first one would be heard no sooner."""
_MAX_PATH = 140
"""eSpeak keeps the path of its data in 160 bytes and cuts off the rest, its own subfolders included."""

_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_UriCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
_REFUSE_AUDIO = _UriCallback(lambda _type, _uri, _base: 1)
"""The answer to `<audio src>`: eSpeak would read any local file, and beyond its end when it is no WAV."""


class _Voice(ctypes.Structure):
    """The head of `espeak_VOICE`."""

    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_char_p), ("identifier", ctypes.c_char_p))


class Library:
    """eSpeak NG, whose state belongs to the whole process: make one, and speak one text at a time.

    Args:
        library: the shared library.
        data: the folder `espeak-ng-data`.

    Raises:
        EngineError: the library does not load, or does not accept the data.
    """

    def __init__(self, library: Path, data: Path) -> None:
        self._espeak = _open(library)
        self.rate: int = self._espeak.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MS, os.fsencode(_short(data)), _DONT_EXIT
        )
        """Samples per second."""
        if self.rate <= 0:
            raise EngineError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"eSpeak NG cannot read its data in {data}; reinstall the Python package espeakng-loader",
            )
        self._espeak.espeak_SetUriCallback(_REFUSE_AUDIO)
        self._selected: tuple[str, int, int] | None = None
        """Voice, rate and pitch, as long as no text can have changed them."""

    @property
    def version(self) -> str:
        """The library's own version, such as 1.52.0."""
        version: bytes = self._espeak.espeak_Info(None)
        return version.decode().split()[0]

    def select(self, identifier: str, *, rate: int, pitch: int) -> None:
        """Choose a voice, `<file below lang/>[+<variant>]`, and put every parameter where it belongs.

        To be called before every text: what SSML or a cancelled text changed stays changed until then. After
        a text that can have changed nothing, it does nothing either.

        Raises:
            EngineError: there is no such voice. (eSpeak itself would speak on in another one.)
        """
        if self._selected == (identifier, rate, pitch):
            return
        if self._espeak.espeak_SetVoiceByName(identifier.encode()) != _OK or self._current() != identifier:
            raise EngineError(
                ErrorCode.ENGINE_FAILED, f"eSpeak NG did not accept its own voice {identifier!r}"
            )
        for parameter, value in (*_DEFAULTS.items(), (Parameter.RATE, rate), (Parameter.PITCH, pitch)):
            self._espeak.espeak_SetParameter(parameter, value, 0)
        self.speak(_NO_EMPHASIS, lambda _pcm: True)
        self._selected = (identifier, rate, pitch)

    def speak(self, text: str, sink: Sink, *, ssml: bool = False) -> None:
        """Speak one text, in the thread of the caller; other threads run meanwhile.

        Raises:
            EngineError: eSpeak reports a failure.
        """

        @_SynthCallback  # type: ignore[untyped-decorator]
        def on_audio(samples: int | None, count: int, _events: int) -> int:
            if samples is None or count == 0:
                return 0
            if sink(ctypes.string_at(samples, count * 2)):
                return 0
            self._selected = None
            return 1

        if ssml:
            self._selected = None
        self._espeak.espeak_SetSynthCallback(on_audio)
        encoded = text.encode()
        status = self._espeak.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8 | (_SSML if ssml else 0), None, None
        )
        if status != _OK:
            raise EngineError(ErrorCode.ENGINE_FAILED, f"eSpeak NG failed with status {status}")

    def _current(self) -> str:
        voice: _Voice = self._espeak.espeak_GetCurrentVoice().contents
        identifier: bytes = voice.identifier or b""
        return identifier.decode()


def _open(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
    except (OSError, AttributeError) as error:
        raise EngineError(
            ErrorCode.ENGINE_UNAVAILABLE,
            f"eSpeak NG does not load: {error}; reinstall the Python package espeakng-loader",
        ) from error
    return library


def _short(folder: Path) -> Path:
    """The same folder under a path that eSpeak can hold, through a descriptor that stays open."""
    if len(os.fsencode(folder)) <= _MAX_PATH:
        return folder
    return Path(f"/proc/self/fd/{os.open(folder, os.O_RDONLY | os.O_CLOEXEC)}")
