"""The loop that writes audio tokens, for several texts at once."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from voicenode_xtts.cache import Cache, Prompt
from voicenode_xtts.options import STREAMS
from voicenode_xtts.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from torch import Tensor

    from voicenode_xtts.gpt import GPT
    from voicenode_xtts.sampling import Choice

_KEPT = 8
"""Voices whose keys and values are kept."""


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


class Decoder:
    """Texts come and go; whichever is asked for its next token takes a step with all others.

    Args:
        gpt: the model.
        dtype: of the keys and values.
    """

    def __init__(self, gpt: GPT, dtype: torch.dtype) -> None:
        self._gpt, self.dtype = gpt, dtype
        device = gpt.mel_head.weight.device
        self._sampler = Sampler(gpt.sizes, STREAMS, device)
        self._cache = Cache(gpt.sizes, dtype, device)
        self._tokens, self._places, self._lengths = torch.zeros(3, STREAMS, dtype=torch.long, device=device)
        self._texts: list[_Text] = []
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

    def _join(self, voice: Tensor, tokens: Sequence[int], choice: Choice, most: int) -> _Text:
        row = len(self._texts)
        start = torch.full((1,), self._gpt.sizes.start_audio, device=self._tokens.device)
        embedded = torch.cat((self._gpt.embed_text(tokens), self._gpt.embed_audio(start, 0 * start)))
        length = len(voice) + len(embedded)
        self._cache.reserve(row + 1, length)
        self._sampler.begin(row, choice)
        self._begin_voice(row, voice)
        latents = self._gpt(embedded[None], Prompt(self._cache, row, len(voice), len(embedded)))
        self._places[row], self._lengths[row] = 0, length
        picked = self._pick(latents, row)
        text = _Text(row, length, most)
        self._texts.append(text)
        self._hand_out(text, int(picked), latents[0])
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
        last = self._texts.pop()
        if not self._texts:
            self._cache.clear()
        elif last is not text:
            self._cache.move(last.row, text.row, last.length)
            self._sampler.move(last.row, text.row)
            for state in (self._tokens, self._places, self._lengths):
                state[text.row] = state[last.row]
            last.row = text.row
            self._texts[last.row] = last

    def _advance(self) -> None:
        """One more token of every text."""
        latents = self._step(len(self._texts))
        for text in self._texts:
            text.length += 1
        for text, token, latent in zip(self._texts[:], self._tokens.tolist(), latents, strict=False):
            self._hand_out(text, token, latent)

    def _hand_out(self, text: _Text, token: int, latent: Tensor) -> None:
        """Whoever does not take it finds it later; a text at its end makes room for another at once."""
        text.ready.append((token, latent))
        text.left = 0 if token == self._gpt.sizes.stop_audio else text.left - 1
        if not text.left:
            self._leave(text)

    def _step(self, count: int) -> Tensor:
        self._cache.reserve(count, max(text.length for text in self._texts) + 1)
        embedded = self._gpt.embed_audio(self._tokens[:count], self._places[:count])
        latents: Tensor = self._gpt.step(embedded, self._cache, self._lengths[:count])
        self._lengths[:count] += 1
        self._pick(latents, 0)
        return latents

    def _pick(self, latents: Tensor, first: int) -> Tensor:
        """Choose the next token of each of these texts, the first of which is in row `first`."""
        rows = slice(first, first + len(latents))
        picked = self._sampler.pick(self._gpt.mel_head(latents), self._places[rows], first)
        self._tokens[rows] = picked
        self._places[rows] += 1
        return picked
