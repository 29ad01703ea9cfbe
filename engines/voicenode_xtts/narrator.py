"""A text in a voice into samples as they are made, and guarded against what such models make up."""

from __future__ import annotations

import secrets
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from voicenode import guard
from voicenode.engine import EngineError, ErrorCode
from voicenode_xtts.pacing import Pace
from voicenode_xtts.sampling import Choice
from voicenode_xtts.text import cut, settle

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from threading import Event

    from numpy.typing import NDArray
    from torch import Tensor

    from voicenode_xtts.arriving import Arrived
    from voicenode_xtts.model import Model
    from voicenode_xtts.options import XttsParameters
    from voicenode_xtts.vocoder import VocoderStream

    Samples = NDArray[np.float32]

_SHORT = 1.5
"""Seconds of a text that is held back until it is whole: at few words the model babbles, and may retry."""
_LONGEST_PAUSE = 1.5
_LEAST = 0.2
"""Of the usual length, what a text takes at least."""
_SEEDS = 2**32
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be spoken, and how."""

    text: str
    language: str
    style: Tensor
    embedding: Tensor
    speed: float
    parameters: XttsParameters


class Narrator:
    """Speaks with one model."""

    def __init__(self, model: Model, *, guarded: bool) -> None:
        self._model = model
        self._guarded = guarded

    @property
    def device(self) -> torch.device:
        return self._model.device

    def speak(self, task: Task, stop: Event) -> Iterator[Samples]:
        """Samples of one text; an empty piece only says that something is going on.

        Numbers written out may make a text longer than the model takes, or speaks, at once: then it comes in
        pieces.

        Raises:
            RequestError: the model knows few of the letters.
            EngineError: the model made no sound.
        """
        for text in cut(task.text, lambda piece: self._fits(piece, task.language)):
            if guard.is_spoken(text) and not stop.is_set():
                yield from self._speak(replace(task, text=text), stop)

    def _fits(self, text: str, language: str) -> bool:
        longest = self._model.gpt.sizes.most / self._model.tokens_per_second
        return guard.usual_seconds(text, language) <= longest and self._model.tokenizer.takes(text, language)

    def _speak(self, task: Task, stop: Event) -> Iterator[Samples]:
        seed = secrets.randbelow(_SEEDS) if task.parameters.seed is None else task.parameters.seed
        if not self._guarded:
            yield from Take(self._model, task, task.text, seed, self._model.gpt.sizes.most).samples(stop)
            return
        for number in range(2):
            take = self._guarded_take(task, (seed + number) % _SEEDS)
            if (yield from self._heard(take, task, stop, last=number == 1)):
                return

    def _guarded_take(self, task: Task, seed: int) -> Take:
        seconds = guard.longest_seconds(task.text, task.language)
        most = min(self._model.gpt.sizes.most, round(seconds * self._model.tokens_per_second))
        return Take(self._model, task, settle(task.text, task.language), seed, most)

    def _heard(self, take: Take, task: Task, stop: Event, *, last: bool) -> Generator[Samples, None, bool]:
        """Speak a take without the silence around it.

        Returns whether it is spoken; when not, nothing of it was heard.
        """
        rate, usual = self._model.rate, guard.usual_seconds(task.text, task.language) / task.speed
        trimmer = guard.Trimmer(rate)
        sent, waiting = 0, [np.zeros(0, np.float32)]
        for piece in take.samples(stop):
            if not len(piece):
                yield piece
                continue
            waiting.append(trimmer.feed(piece))
            if trimmer.held * task.speed > _LONGEST_PAUSE:
                break
            if take.going and usual > _SHORT:
                ready = np.concatenate(waiting)
                sent += len(ready)
                waiting = []
                yield ready
            else:
                yield piece[:0]
        rest = np.concatenate([*waiting, np.zeros(0, np.float32)])
        enough = sent + len(rest) > _LEAST * usual * rate
        if not (sent or last or stop.is_set() or (enough and not take.babbles)):
            return False
        if not (sent or len(rest) or stop.is_set()):
            raise EngineError(ErrorCode.ENGINE_FAILED, f"XTTS v2 made no sound of {task.text[:40]!r}, twice")
        yield guard.cut(rest, rate) if take.babbles else rest
        yield trimmer.finish()
        return True


class Take:
    """One attempt at a text.

    Args:
        model: what speaks.
        task: what to speak, but for the text.
        text: as the model reads it.
        seed: of the choice among likely sounds.
        most: audio tokens, after which it is over.
        endless: whether it is over only then.
    """

    def __init__(
        self, model: Model, task: Task, text: str, seed: int, most: int, *, endless: bool = False
    ) -> None:
        self._model = model
        self._task = task
        self._most = most
        self._tokens = model.tokenizer.encode(text, task.language)
        self._choice = Choice(task.parameters, seed, endless=endless)
        self.going = True
        """Whether there is more to come."""
        self.babbles = False
        """Whether the model did not find an end by itself."""

    def samples(self, stop: Event) -> Iterator[Samples]:
        """The speech in pieces, with an empty one for every other token."""
        pieces, last = _Pieces(self._model, self._task), -1
        made = self._model.decoder.generate(self._task.style, self._tokens, self._choice, self._most)
        with closing(made):
            for token, latent in made:
                if stop.is_set():
                    return
                last = token
                pieces.add(latent)
                # Whoever else speaks has their token from the same step, and takes it before the next.
                yield pieces.next()
        self.going, self.babbles = False, last != self._model.gpt.sizes.stop_audio
        yield from pieces.rest()


class _Pieces:
    """The sound of one utterance, which is decoded piece by piece while its tokens are made."""

    def __init__(self, model: Model, task: Task) -> None:
        self._model, self._task = model, task
        self._vocoder: VocoderStream | None = None
        self._pace = Pace()
        self._latents: list[Tensor] = []
        self._kept = _NOTHING
        self._coming: deque[tuple[int, Arrived]] = deque()
        """Each with the number of its tokens, or 0 for the last one, which leaves in any case."""

    def add(self, latent: Tensor) -> None:
        """Take in what was made of one token, [width]."""
        self._latents.append(latent)
        # The parts of the first piece need not wait for each other.
        if self._pace.due(len(self._latents)) and (self._pace.awaited or not self._coming):
            self._decode(last=False)

    def next(self) -> Samples:
        """The oldest piece, if it is here; what a listener awaits goes before further tokens."""
        while self._coming and (self._pace.urgent or self._coming[0][1].here):
            if len(samples := self._take()):
                return samples
        return _NOTHING

    def rest(self) -> Iterator[Samples]:
        """All that is left."""
        self._decode(last=True)
        while self._coming:
            yield self.next()  # others take a step meanwhile
            if self._coming:
                yield self._take()

    def _decode(self, *, last: bool) -> None:
        latents = torch.stack(self._latents) if self._latents else self._task.style[:0]
        work = partial(self._feed, latents, last=last)
        tokens = 0 if last else len(latents)
        self._coming.append((tokens, self._model.beside.run(work, latents, self._task.embedding)))
        self._latents = []

    def _feed(self, latents: Tensor, *, last: bool) -> Tensor:
        """Made where it is used, for it computes something from the voice."""
        self._vocoder = self._vocoder or self._model.vocoder(self._task.embedding, self._task.speed)
        return self._vocoder.feed(latents, last=last)

    def _take(self) -> Samples:
        tokens, arrived = self._coming.popleft()
        samples = np.concatenate((self._kept, arrived.take().numpy()))
        leaves = not tokens or self._pace.left(tokens, len(samples) / self._model.rate)
        self._kept = _NOTHING if leaves else samples
        return samples if leaves else _NOTHING
