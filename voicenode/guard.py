"""What is spoken is what was asked: bounds, trimming and loudness for engines that make speech up.

Samples are mono, float32, 1.0 is full scale. numpy is imported late: an engine imports this before it loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_LETTERS_PER_SECOND = {
    "ar": 11.0,
    "fr": 16.0,
    "hi": 11.0,
    "ja": 6.5,
    "ko": 6.5,
    "ru": 13.0,
    "zh": 4.5,
}
"""Characters, spaces included, that a calm reader speaks in a second."""
_USUAL_LETTERS = 14.5
_DIGIT, _SYMBOL, _PAUSE = 0.4, 0.5, 0.3
"""Seconds of a digit or a sign, which are spoken as words, and of a pause at a mark of punctuation."""
_SYMBOLS = frozenset("%&@#+=*/<>$€£¥°§~^|")
_SLACK, _MARGIN = 1.8, 1.2

_WINDOW = 0.01
_SILENCE = 0.005
"""Root mean square, -46 dB, below which a window is silent: above the noise of a vocoder, below a breath."""
_LEAD, _TAIL = 0.03, 0.08
"""Seconds of silence that are left before and after speech."""

_LOUDNESS = 0.1
"""Root mean square of speech without its pauses, -20 dB."""
_LEAST_GAIN, _MOST_GAIN = 0.1, 3.0
_KNEE = 0.8


def usual_seconds(text: str, language: str) -> float:
    """How long a calm reader takes for a text in a language, such as pt-BR."""
    rate = _LETTERS_PER_SECOND.get(language.partition("-")[0].casefold(), _USUAL_LETTERS)
    return sum(_seconds(character, rate) for character in text)


def longest_seconds(text: str, language: str) -> float:
    """What no sane reading of a text takes; speech that goes on is babble."""
    return _SLACK * usual_seconds(text, language) + _MARGIN


def is_spoken(text: str) -> bool:
    """Whether there is anything to say: a letter, a digit or a sign, and not punctuation alone."""
    return any(character.isalnum() or character in _SYMBOLS for character in text)


class Trimmer:
    """Takes the silence away before and after speech that arrives in pieces.

    Silence is held back until speech follows it, so that `held` tells how long nothing has been said.
    """

    def __init__(self, rate: int) -> None:
        import numpy as np  # noqa: PLC0415  (as the module says)

        self._rate = rate
        self._window = round(_WINDOW * rate)
        self._pending: Samples = np.zeros(0, np.float32)
        self._silent = 0
        self.started = False
        """Whether any speech has been seen."""

    @property
    def held(self) -> float:
        """Seconds of silence since the last speech, or since the start."""
        return self._silent / self._rate

    def feed(self, samples: Samples) -> Samples:
        """The samples, less those of which only what follows can tell whether they stay."""
        import numpy as np  # noqa: PLC0415

        fresh = len(self._pending)
        self._pending = np.concatenate((self._pending, samples))
        loud = _loud_windows(self._pending, self._window)
        if not loud.any():
            self._silent += len(self._pending) - fresh
            if not self.started:
                self._pending = self._pending[-self._samples(_LEAD) - self._window :]
            return self._pending[:0]
        first, end = loud.argmax() * self._window, (len(loud) - loud[::-1].argmax()) * self._window
        begin = 0 if self.started else max(0, first - self._samples(_LEAD))
        self.started = True
        ready, self._pending = self._pending[begin:end], self._pending[end:]
        self._silent = len(self._pending)
        return ready

    def finish(self) -> Samples:
        """The last of it, faded out: nothing when nothing was ever said."""
        import numpy as np  # noqa: PLC0415

        tail = self._pending[: self._samples(_TAIL)] if self.started else self._pending[:0]
        self._pending = self._pending[:0]
        return (tail * np.linspace(1, 0, len(tail), dtype=np.float32)).astype(np.float32)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)


def cut(samples: Samples, rate: int) -> Samples:
    """Speech that must end somewhere in here: up to its quietest hundredth of a second, faded out there."""
    import numpy as np  # noqa: PLC0415

    size = round(_WINDOW * rate)
    power = _power(samples, size)
    end = (len(power) - int(np.argmin(power[::-1]))) * size if len(power) else len(samples)
    kept = samples[:end].copy()
    kept[-size:] *= np.linspace(1, 0, min(size, end), dtype=np.float32)
    return kept


def gain(samples: Samples, rate: int) -> float:
    """What brings this speech to the usual loudness, within reason; 1 when there is no speech in it."""
    import numpy as np  # noqa: PLC0415

    power = _power(samples, round(_WINDOW * rate))
    speech = power[power > _SILENCE**2]
    if not len(speech):
        return 1.0
    return float(np.clip(_LOUDNESS / np.sqrt(speech.mean()), _LEAST_GAIN, _MOST_GAIN))


def limit(samples: Samples) -> Samples:
    """The same below four fifths of full scale; bent above it, so that nothing reaches full scale."""
    import numpy as np  # noqa: PLC0415

    size = np.abs(samples)
    bent = np.sign(samples) * (_KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE)))
    return np.where(size <= _KNEE, samples, bent).astype(np.float32)


def _seconds(character: str, rate: float) -> float:
    if character.isdigit():
        return _DIGIT
    if character.isalnum() or character.isspace():
        return 1 / rate
    return _SYMBOL if character in _SYMBOLS else _PAUSE


def _power(samples: Samples, size: int) -> Samples:
    windows = samples[: len(samples) // size * size].reshape(-1, size)
    power: Samples = (windows**2).mean(axis=1)
    return power


def _loud_windows(samples: Samples, size: int) -> NDArray[np.bool_]:
    return _power(samples, size) > _SILENCE**2
