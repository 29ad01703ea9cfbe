"""The loop that writes audio tokens, for several texts at once."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from voicenode_xtts.arriving import fetch
from voicenode_xtts.cache import Cache, Prompt
from voicenode_xtts.graphs import Steps
from voicenode_xtts.options import STREAMS, XttsParameters
from voicenode_xtts.sampling import Choice, Sampler

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from torch import Tensor

    from voicenode_xtts.arriving import Arrived
    from voicenode_xtts.gpt import GPT

_KEPT = 8
"""Voices whose keys and values are kept."""
_AHEAD = 32
"""Tokens for which there is room from the start: the cache is not to grow while a listener awaits sound."""


@dataclass(eq=False, slots=True)
class _Text:
    """One of the texts that are being spoken."""

    row: int
    length: int
    """Positions in the cache."""
    left: int
    """Tokens that may still be made."""
    ready: deque[tuple[int, Tensor]] = field(default_factory=deque)
    """Tokens and latents that were made and not yet taken."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What a step made for each of these texts, and what nobody has looked at yet."""

    texts: Sequence[_Text]
    tokens: Arrived
    latents: Tensor


class Decoder:
    """Texts come and go; whichever is asked for its next token takes a step with all others.

    The state of the loop stays on the device, and where it is: a step asks the device for nothing, and can be
    recorded and repeated. Its tokens may be looked at when the next one has begun already.

    Args:
        gpt: the model.
        dtype: of the keys and values.
        steps: how they are run; None for as this device is quickest.
    """

    def __init__(self, gpt: GPT, dtype: torch.dtype, steps: Steps | None = None) -> None:
        self._gpt, self.dtype = gpt, dtype
        device = gpt.mel_head.weight.device
        self._steps = steps or Steps.of(device)
        self._sampler = Sampler(gpt.sizes, STREAMS, device)
        self._cache = Cache(gpt.sizes, dtype, device, self._steps.positions)
        self._tokens, self._places, self._lengths, self._spoken = torch.zeros(
            4, STREAMS, dtype=torch.long, device=device
        )
        self._texts: list[_Text] = []
        self._made: deque[_Made] = deque()
        self._voices: OrderedDict[int, tuple[Tensor, list[tuple[Tensor, Tensor]]]] = OrderedDict()

    @torch.inference_mode()
    def generate(
        self, voice: Tensor, tokens: Sequence[int], choice: Choice, most: int
    ) -> Generator[tuple[int, Tensor], None, None]:
        """Audio tokens, each with its latent: what upstream's `get_generator` yields.

        Args:
            voice: [positions, width].
            tokens: of the text, without the marks at its ends.
            choice: how to choose among the likely tokens.
            most: how many tokens to make unless the model stops by itself, by the token `stop_audio`.
        """
        text = self._join(voice, tokens, choice, most)
        try:
            while text.ready or text.left:
                while not text.ready:
                    self._advance()
                yield text.ready.popleft()
        finally:
            self._leave(text)

    def rehearse(self) -> None:
        """Have a step ready before the first text: to record it takes longer than many steps."""
        voice = self._gpt.mel_head.weight.new_zeros(1, self._gpt.sizes.width)
        for _ in self.generate(voice, [], Choice(XttsParameters(), seed=0, endless=True), 2):
            pass
        self._voices.clear()

    def _join(self, voice: Tensor, tokens: Sequence[int], choice: Choice, most: int) -> _Text:
        row = len(self._texts)
        start = torch.full((1,), self._gpt.sizes.start_audio, device=self._tokens.device)
        embedded = torch.cat((self._gpt.embed_text(tokens), self._gpt.embed_audio(start, 0 * start)))
        length = len(voice) + len(embedded)
        self._cache.reserve(self._steps.rows(row + 1), length + _AHEAD)
        self._sampler.begin(row, choice)
        self._begin_voice(row, voice)
        latents = self._gpt(embedded[None], Prompt(self._cache, row, len(voice), len(embedded)))
        self._places[row], self._lengths[row], self._spoken[row] = 0, length, 1
        picked = self._pick(latents, row)
        text = _Text(row, length, most)
        self._texts.append(text)
        self._made.append(_Made([text], fetch(picked), latents))
        self._hand_out()
        return text

    def _begin_voice(self, row: int, voice: Tensor) -> None:
        """The keys and values of the voice, which every text begins with, are computed once."""
        known = self._voices.pop(id(voice), None)
        if known is None:
            self._gpt(voice[None], Prompt(self._cache, row, 0, len(voice)))
            known = voice, self._cache.saved(row, len(voice))  # which keeps its id from others
            if len(self._voices) >= _KEPT:
                self._voices.popitem(last=False)
        else:
            self._cache.restore(row, known[1])
        self._voices[id(voice)] = known

    def _leave(self, text: _Text) -> None:
        """The last text moves into the row that is free now."""
        if text not in self._texts:
            return
        text.left = 0
        last = self._texts.pop()
        if last is not text:
            self._cache.move(last.row, text.row, last.length)
            self._sampler.move(last.row, text.row)
            for state in (self._tokens, self._places, self._lengths):
                state[text.row] = state[last.row]
            last.row = text.row
            self._texts[last.row] = last
        # A step may have a row that is free: it stays at its first position, and nobody looks at it.
        free = len(self._texts)
        self._spoken[free] = self._lengths[free] = 0
        if not self._texts and not self._steps.keeps_cache:
            self._cache.clear()

    def _advance(self) -> None:
        """One more token of every text."""
        count = len(self._texts)
        rows = self._steps.rows(count)
        self._cache.reserve(rows, max(text.length for text in self._texts) + 1)
        state = (self._tokens, self._places, self._lengths, self._sampler.seen)
        latents = self._steps.run((rows, self._cache.generation), partial(self._step, rows), state)
        for text in self._texts:
            text.length += 1
        self._made.append(_Made(self._texts[:], fetch(self._tokens[:count]), latents))
        self._hand_out()

    def _hand_out(self) -> None:
        """Whoever does not take a token finds it later; a text at its end makes room for another at once."""
        while len(self._made) > (self._steps.behind if self._texts else 0):
            made = self._made.popleft()
            tokens = made.tokens.take().tolist()
            for text, token, latent in zip(made.texts, tokens, made.latents, strict=False):
                if text.left:
                    text.ready.append((token, latent))
                    text.left = 0 if token == self._gpt.sizes.stop_audio else text.left - 1
                    if not text.left:
                        self._leave(text)

    def _step(self, count: int) -> Tensor:
        embedded = self._gpt.embed_audio(self._tokens[:count], self._places[:count])
        latents: Tensor = self._gpt.step(embedded, self._cache, self._lengths[:count])
        self._lengths[:count] += self._spoken[:count]
        self._pick(latents, 0)
        return latents

    def _pick(self, latents: Tensor, first: int) -> Tensor:
        """Choose the next token of each of these texts, the first of which is in row `first`."""
        rows = slice(first, first + len(latents))
        picked = self._sampler.pick(self._gpt.mel_head(latents), self._places[rows], first)
        self._tokens[rows] = picked
        self._places[rows] += self._spoken[rows]
        return picked
