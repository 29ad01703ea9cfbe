"""From a segment to PCM: batch after batch, each sent as soon as it is there."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np

from voicenode.audio import pcm_of
from voicenode.engine import EngineError, ErrorCode
from voicenode.guard import Trimmer, limit
from voicenode_f5.crossfade import CrossFade
from voicenode_f5.length import batch_bytes, guarded_frames, upstream_frames
from voicenode_f5.text import batches

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from voicenode.engine import Event, Segment
    from voicenode_f5.model import Model
    from voicenode_f5.options import F5Options, F5Parameters
    from voicenode_f5.reference import Reference

    Samples = NDArray[np.float32]

_SEEDS = 2**32
_OTHER_SEED = 7919
"""How far a second attempt's seed is from the first's; further than a text has batches."""


class Speech:
    """One segment in the making.

    Args:
        model: which speaks.
        options: whether there are guards, and whether all voices are equally loud.
        reference: the voice.
        segment: what is said, in which language, and how fast.
        parameters: how the model goes about it.
    """

    def __init__(
        self,
        model: Model,
        options: F5Options,
        reference: Reference,
        segment: Segment,
        parameters: F5Parameters,
    ) -> None:
        self._model = model
        self._guarded = options.guard
        self._reference = reference
        self._segment = segment
        self._parameters = parameters
        self._joins = CrossFade(int(parameters.cross_fade * model.rate))
        self._trimmer = Trimmer(model.rate) if options.guard else None
        self._gain = reference.gain if options.normalize else None

    def pcm(self, stop: Event) -> Iterator[bytes]:
        """PCM as it is made, and an empty chunk after every step, until there is no more or `stop` is set.

        Raises:
            EngineError: the model says nothing.
        """
        seed = secrets.randbelow(_SEEDS) if self._parameters.seed is None else self._parameters.seed
        for text in batches(self._segment.text, batch_bytes(self._reference, self._segment.speed)):
            samples = yield from self._spoken(text, seed, stop)
            if samples is None:
                return
            yield self._finished(self._joins.feed(samples))
            seed += 1
        yield self._finished(self._joins.finish())
        if self._trimmer:
            yield pcm_of(self._trimmer.finish())

    def _spoken(self, text: str, seed: int, stop: Event) -> Generator[bytes, None, Samples | None]:
        """One batch; None when it was stopped. What is silent is tried once more."""
        for attempt in (seed, seed + _OTHER_SEED):
            samples = yield from self._model.speak(
                self._reference,
                text,
                frames=self._frames(text),
                parameters=self._parameters,
                seed=attempt % _SEEDS,
                stop=stop,
            )
            if samples is None or not self._guarded or self._is_heard(samples):
                return samples
        raise EngineError(
            ErrorCode.ENGINE_FAILED, f"F5-TTS said nothing for '{text[:60]}'; try another voice"
        )

    def _frames(self, text: str) -> int:
        speed = self._segment.speed
        if self._guarded:
            return guarded_frames(self._reference, text, self._segment.language, speed)
        return upstream_frames(self._reference, text, speed)

    def _is_heard(self, samples: Samples) -> bool:
        """Whether there is anything but silence, and nothing that is no number."""
        listener = Trimmer(self._model.rate)
        listener.feed(samples * self._reference.gain)
        return listener.started and bool(np.isfinite(samples).all())

    def _finished(self, samples: Samples) -> bytes:
        if self._gain is not None:
            samples = limit(samples * np.float32(self._gain))
        return pcm_of(self._trimmer.feed(samples) if self._trimmer else samples)
