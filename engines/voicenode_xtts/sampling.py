"""From what the model thinks of every token to the one that is taken, as transformers' processors do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from voicenode_xtts.gpt import Sizes
    from voicenode_xtts.options import XttsParameters

_FAKE = 1
"""Upstream stands this token for every position of voice and text, and so penalises it from the start."""


class Sampler:
    """Chooses the tokens of one utterance; the same seed chooses the same.

    Args:
        parameters: what to choose by.
        seed: of the dice.
        sizes: how many audio tokens there are.
        device: where the logits are.
        endless: whether the stop token is never chosen, for measurements of a fixed length.
    """

    def __init__(
        self,
        parameters: XttsParameters,
        seed: int,
        sizes: Sizes,
        device: torch.device,
        *,
        endless: bool = False,
    ) -> None:
        self._parameters = parameters
        self._dice = torch.Generator(device).manual_seed(seed)
        self._seen = torch.zeros(sizes.audio_tokens, dtype=torch.bool, device=device)
        self._seen[[_FAKE, sizes.start_audio]] = True
        self._never = sizes.stop_audio if endless else None

    def pick(self, logits: Tensor) -> int:
        """The next token after logits of every one of them."""
        probabilities, tokens = self.likely(logits.float())
        token = tokens[torch.multinomial(probabilities, 1, generator=self._dice)]
        self._seen[token] = True
        return int(token)

    def likely(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities, the highest first, and the tokens that have them."""
        chosen = self._parameters
        penalised = torch.where(
            logits < 0, logits * chosen.repetition_penalty, logits / chosen.repetition_penalty
        )
        logits = torch.where(self._seen, penalised, logits)
        if self._never is not None:
            logits[self._never] = -torch.inf
        best = torch.topk(logits / chosen.temperature, min(chosen.top_k, len(logits)))
        probabilities = best.values.softmax(0)
        rest = probabilities.flip(0).cumsum(0).flip(0)  # of this token and all less likely ones
        unlikely = rest <= 1 - chosen.top_p
        unlikely[0] = False
        return probabilities.masked_fill(unlikely, 0), best.indices
