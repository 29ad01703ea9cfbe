"""Recordings to clone from: spoken by eSpeak NG, for there is no human speech here, and spoilt by numpy."""

import io
from functools import cache
from threading import Event

import numpy as np
import soundfile
from numpy.typing import NDArray

from voicenode.engine import Segment
from voicenode_espeak import EspeakEngine, EspeakOptions

Samples = NDArray[np.float32]

RATE = 22_050
WORDS = "She had your dark suit in greasy wash water all year, and nobody asked why it was still there."


@cache
def spoken(text: str = WORDS, voice: str = "en-us") -> Samples:
    """About a second for every three words, at half of full scale; shared, so not to be written to."""
    engine = EspeakEngine(EspeakOptions())
    assert engine.load().rate == RATE
    pcm = b"".join(engine.synthesize(Segment(text=text, voice=voice, language="en-US"), Event()))
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    samples /= 2 * np.abs(samples).max()
    samples.flags.writeable = False
    return samples


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(count: int, level: float = 0.1) -> Samples:
    """White, of so many samples, the same at every call."""
    return np.random.default_rng(0).normal(0, level, count).astype(np.float32)


def noisy(samples: Samples, snr: float) -> Samples:
    """With so many decibels between it and the noise under it."""
    return samples + noise(len(samples), float(samples.std()) * 10 ** (-snr / 20))


def file(
    samples: NDArray[np.floating], rate: int = RATE, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """A whole audio file of `samples`, a column a channel."""
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format=kind, subtype=subtype)
    return sink.getvalue()
