"""From what the model thinks of every token to the one that is taken, as transformers' processors do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from voicenode_xtts.gpt import Sizes
    from voicenode_xtts.options import XttsParameters

_FAKE = 1
"""Upstream stands this token for every position of voice and text, and so penalises it from the start."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the tokens of one text are chosen; the same seed chooses the same."""

    parameters: XttsParameters
    seed: int
    endless: bool = False
    """Whether the stop token is never chosen, for measurements of a fixed length."""


class Sampler:
    """Chooses the next token of several texts at once, on their device and without asking it for anything.

    The dice of a text are thrown when it begins, so that it is the same alone and among others.
    """

    def __init__(self, sizes: Sizes, rows: int, device: torch.device) -> None:
        self._sizes = sizes
        self.seen = torch.zeros(rows, sizes.audio_tokens, dtype=torch.bool, device=device)
        self._barred = torch.zeros_like(self.seen)
        self._dice = torch.zeros(rows, sizes.audio_length, device=device)
        self._top_k = torch.ones(rows, 1, dtype=torch.long, device=device)
        self._top_p, self._temperature, self._penalty = torch.ones(3, rows, 1, device=device)
        self._ranks = torch.arange(sizes.audio_tokens, device=device)

    def begin(self, row: int, choice: Choice) -> None:
        """Choose for another text from now on."""
        sizes, parameters = self._sizes, choice.parameters
        self.seen[row] = False
        self.seen[row, [_FAKE, sizes.start_audio]] = True
        self._barred[row] = False
        self._barred[row, sizes.stop_audio] = choice.endless
        dice = torch.Generator().manual_seed(choice.seed)
        self._dice[row] = torch.rand(sizes.audio_length, generator=dice).to(self._dice.device)
        self._top_k[row], self._top_p[row] = parameters.top_k, parameters.top_p
        self._temperature[row], self._penalty[row] = parameters.temperature, parameters.repetition_penalty

    def move(self, source: int, target: int) -> None:
        """Choose for one text in the place of another."""
        for state in (
            self.seen, self._barred, self._dice, self._top_k, self._top_p, self._temperature, self._penalty
        ):  # fmt: skip
            state[target] = state[source]

    def pick(self, logits: Tensor, places: Tensor, first: int = 0) -> Tensor:
        """The next tokens, [texts].

        Args:
            logits: of every token, [texts, tokens].
            places: how many tokens each text has so far, [texts].
            first: the row of the first of these texts.
        """
        rows = slice(first, first + len(logits))
        probabilities, tokens = self.likely(logits.float(), rows)
        heights = probabilities.cumsum(1)
        dice = self._dice[rows].gather(1, places[:, None])
        rank = (heights <= dice * heights[:, -1:]).sum(1, keepdim=True)
        # Rounding may leave a die on top of all heights.
        picked = tokens.gather(1, rank.clamp(max=tokens.shape[1] - 1))
        self.seen[rows].scatter_(1, picked, value=True)
        return picked[:, 0]

    def likely(self, logits: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Probabilities, the highest first, and the tokens that have them."""
        penalty = self._penalty[rows]
        penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
        logits = torch.where(self.seen[rows], penalised, logits)
        logits = logits.masked_fill(self._barred[rows], -torch.inf)
        sorted_logits, tokens = (logits / self._temperature[rows]).sort(descending=True, stable=True)
        beyond = self._ranks >= self._top_k[rows]
        probabilities = sorted_logits.masked_fill(beyond, -torch.inf).softmax(1)
        rest = probabilities.flip(1).cumsum(1).flip(1)  # of this token and all less likely ones
        unlikely = (rest <= 1 - self._top_p[rows]) & (self._ranks > 0)
        return probabilities.masked_fill(unlikely, 0), tokens
