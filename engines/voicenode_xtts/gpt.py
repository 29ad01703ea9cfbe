"""The GPT of XTTS v2, which writes audio tokens; its parts are named as in the published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from voicenode_xtts.cache import Step
from voicenode_xtts.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voicenode_xtts.cache import Cache
    from voicenode_xtts.text import Tokenizer

    Linear = Callable[[int, int], nn.Module]

_MLP = 4
_UNCOUNTED = 3
"""Audio positions that upstream keeps for a prompt and for the marks at both ends."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The architecture, and the tokens that mean something."""

    layers: int
    width: int
    heads: int
    text_tokens: int
    text_length: int
    audio_tokens: int
    audio_length: int
    start_text: int
    stop_text: int
    start_audio: int
    stop_audio: int

    @classmethod
    def of(cls, arguments: Mapping[str, Any], tokenizer: Tokenizer) -> Sizes:
        """The `model_args` of config.json; the vocabulary knows better where it speaks of text."""
        return cls(
            layers=arguments["gpt_layers"],
            width=arguments["gpt_n_model_channels"],
            heads=arguments["gpt_n_heads"],
            text_tokens=tokenizer.size,
            text_length=arguments["gpt_max_text_tokens"],
            audio_tokens=arguments["gpt_num_audio_tokens"],
            audio_length=arguments["gpt_max_audio_tokens"],
            start_text=tokenizer.start,
            stop_text=tokenizer.stop,
            start_audio=arguments["gpt_start_audio_token"],
            stop_audio=arguments["gpt_stop_audio_token"],
        )

    @property
    def most(self) -> int:
        """Audio tokens that can be made in one go."""
        return self.audio_length - _UNCOUNTED


class Places(Protocol):
    """Where the keys and values of new positions go, and what these positions see."""

    def mask(self) -> Tensor:
        """What is added to the scores: 0 for what a position sees, minus infinity for what it does not."""
        ...

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in keys and values, [texts, heads, positions, features].

        Returns all that may be seen: keys, [texts, heads, span, features], and values, [..., features, span].
        """
        ...


class GPT(nn.Module):
    """Voice and text in, audio tokens and what the vocoder needs of them out; `Decoder` is its loop.

    Args:
        sizes: the architecture.
        linear: makes the linear layers of the blocks, where nearly all weights are.
    """

    def __init__(self, sizes: Sizes, linear: Linear = Projection) -> None:
        super().__init__()
        self.sizes = sizes
        self.text_embedding = nn.Embedding(sizes.text_tokens, sizes.width)
        self.text_pos_embedding = _Positions(sizes.text_length + 2, sizes.width)
        self.mel_embedding = nn.Embedding(sizes.audio_tokens, sizes.width)
        self.mel_pos_embedding = _Positions(sizes.audio_length + _UNCOUNTED, sizes.width)
        self.gpt = _Transformer(sizes, linear)
        self.final_norm = nn.LayerNorm(sizes.width)
        self.mel_head = nn.Linear(sizes.width, sizes.audio_tokens)

    def forward(self, embedded: Tensor, places: Places) -> Tensor:
        """New positions, [texts, positions, width], to the latents of the last of each, [texts, width]."""
        latents: Tensor = self.final_norm(self.gpt(embedded, places)[:, -1])
        return latents

    def step(self, embedded: Tensor, cache: Cache, lengths: Tensor) -> Tensor:
        """One position more of each of the first texts of a cache, [texts, width], to its latent.

        Args:
            embedded: the new positions, [texts, width].
            cache: has room for them, and takes in their keys and values.
            lengths: how many positions each of these texts has so far, [texts].
        """
        latents: Tensor = self(embedded[:, None], Step(cache, lengths))
        return latents

    def embed_text(self, text: Sequence[int]) -> Tensor:
        """Tokens without the marks at their ends to [positions, width], with them."""
        marked = [self.sizes.start_text, *text, self.sizes.stop_text]
        tokens = torch.tensor(marked, device=self.text_embedding.weight.device)
        return self.text_embedding.weight[tokens] + self.text_pos_embedding.emb.weight[: len(marked)]

    def embed_audio(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens, [n], at positions, [n], to [n, width]."""
        return self.mel_embedding.weight[tokens] + self.mel_pos_embedding.emb.weight[positions]


class _Positions(nn.Module):
    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(length, width)


class _Transformer(nn.Module):
    def __init__(self, sizes: Sizes, linear: Linear) -> None:
        super().__init__()
        self.h = nn.ModuleList(_Block(sizes, linear) for _ in range(sizes.layers))
        self.ln_f = nn.LayerNorm(sizes.width)

    def forward(self, hidden: Tensor, places: Places) -> Tensor:
        mask = places.mask()
        for layer, block in enumerate(self.h):
            hidden = block(hidden, layer, places, mask)
        normed: Tensor = self.ln_f(hidden)
        return normed


class _Block(nn.Module):
    def __init__(self, sizes: Sizes, linear: Linear) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(sizes.width)
        self.attn = _Attention(sizes, linear)
        self.ln_2 = nn.LayerNorm(sizes.width)
        self.mlp = _Mlp(sizes.width, linear)

    def forward(self, hidden: Tensor, layer: int, places: Places, mask: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden), layer, places, mask)
        after: Tensor = hidden + self.mlp(self.ln_2(hidden))
        return after


class _Attention(nn.Module):
    def __init__(self, sizes: Sizes, linear: Linear) -> None:
        super().__init__()
        self._heads = sizes.heads
        self._scale = (sizes.width // sizes.heads) ** -0.5
        self.c_attn = linear(sizes.width, 3 * sizes.width)
        self.c_proj = linear(sizes.width, sizes.width)

    def forward(self, hidden: Tensor, layer: int, places: Places, mask: Tensor) -> Tensor:
        texts, count, width = hidden.shape
        mixed = self.c_attn(hidden.view(texts * count, width))
        query, key, value = mixed.view(texts, count, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        keys, values = places.extend(layer, key, value)
        asked = (query * self._scale).to(keys.dtype).flatten(0, 1)
        scores = torch.bmm(asked, keys.flatten(0, 1).transpose(1, 2)).view(texts, self._heads, count, -1)
        likely = (scores + mask).softmax(-1).flatten(0, 1)
        seen = torch.bmm(likely, values.flatten(0, 1).transpose(1, 2)).view(query.shape)
        projected: Tensor = self.c_proj(seen.transpose(1, 2).reshape(texts * count, width).to(mixed.dtype))
        return projected.view(texts, count, width)


class _Mlp(nn.Module):
    def __init__(self, width: int, linear: Linear) -> None:
        super().__init__()
        self.c_fc = linear(width, _MLP * width)
        self.c_proj = linear(_MLP * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        rows = hidden.view(-1, hidden.shape[-1])
        projected: Tensor = self.c_proj(functional.gelu(self.c_fc(rows), approximate="tanh"))
        return projected.view(hidden.shape)
