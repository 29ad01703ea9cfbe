"""The GPT of XTTS v2, which writes audio tokens; its parts are named as in the published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from voicenode_xtts.sampling import Sampler
    from voicenode_xtts.text import Tokenizer

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


class GPT(nn.Module):
    """Voice and text in, audio tokens and what the vocoder needs of them out."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.text_embedding = nn.Embedding(sizes.text_tokens, sizes.width)
        self.text_pos_embedding = _Positions(sizes.text_length + 2, sizes.width)
        self.mel_embedding = nn.Embedding(sizes.audio_tokens, sizes.width)
        self.mel_pos_embedding = _Positions(sizes.audio_length + _UNCOUNTED, sizes.width)
        self.gpt = _Transformer(sizes)
        self.final_norm = nn.LayerNorm(sizes.width)
        self.mel_head = nn.Linear(sizes.width, sizes.audio_tokens)

    @torch.inference_mode()
    def generate(
        self, voice: Tensor, text: Sequence[int], sampler: Sampler, most: int
    ) -> Iterator[tuple[int, Tensor]]:
        """Audio tokens, each with its latent: what upstream's `get_generator` yields.

        Args:
            voice: [positions, width].
            text: tokens without the marks at its ends.
            sampler: chooses among the likely tokens.
            most: how many tokens to make unless the model stops by itself, by the token `stop_audio`.
        """
        prompt = torch.cat((voice, self._embed_text(text), self._embed_audio(self.sizes.start_audio, 0)))
        cache = _Cache(self.sizes, len(prompt) + most, prompt)
        hidden = self.gpt(prompt, cache)[-1:]
        for position in range(1, most + 1):
            latent = self.final_norm(hidden)
            token = sampler.pick(self.mel_head(latent)[0])
            yield token, latent[0]
            if token == self.sizes.stop_audio or position == most:
                return
            hidden = self.gpt(self._embed_audio(token, position), cache)

    def _embed_text(self, text: Sequence[int]) -> Tensor:
        marked = [self.sizes.start_text, *text, self.sizes.stop_text]
        tokens = torch.tensor(marked, device=self.text_embedding.weight.device)
        return self.text_embedding.weight[tokens] + self.text_pos_embedding.emb.weight[: len(marked)]

    def _embed_audio(self, token: int, position: int) -> Tensor:
        embedded = self.mel_embedding.weight[token] + self.mel_pos_embedding.emb.weight[position]
        return embedded[None]


class _Positions(nn.Module):
    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(length, width)


class _Cache:
    """Keys and values of all positions so far."""

    def __init__(self, sizes: Sizes, capacity: int, like: Tensor) -> None:
        shape = (sizes.layers, 2, sizes.heads, capacity, sizes.width // sizes.heads)
        self.layers = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.length = 0


class _Transformer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.h = nn.ModuleList(_Block(sizes) for _ in range(sizes.layers))
        self.ln_f = nn.LayerNorm(sizes.width)

    def forward(self, hidden: Tensor, cache: _Cache) -> Tensor:
        """Further positions, [positions, width], after those in the cache, which takes them in."""
        for block, layer in zip(self.h, cache.layers, strict=True):
            hidden = block(hidden, layer, cache.length)
        cache.length += len(hidden)
        normed: Tensor = self.ln_f(hidden)
        return normed


class _Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(sizes.width)
        self.attn = _Attention(sizes)
        self.ln_2 = nn.LayerNorm(sizes.width)
        self.mlp = _Mlp(sizes.width)

    def forward(self, hidden: Tensor, layer: Tensor, past: int) -> Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden), layer, past)
        after: Tensor = hidden + self.mlp(self.ln_2(hidden))
        return after


class _Attention(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.c_attn = _Projection(sizes.width, 3 * sizes.width)
        self.c_proj = _Projection(sizes.width, sizes.width)

    def forward(self, hidden: Tensor, layer: Tensor, past: int) -> Tensor:
        count = len(hidden)
        query, key, value = self.c_attn(hidden).view(count, 3, self.heads, -1).permute(1, 2, 0, 3)
        layer[0, :, past : past + count] = key
        layer[1, :, past : past + count] = value
        keys, values = layer[:, None, :, : past + count]
        mixed = functional.scaled_dot_product_attention(query[None], keys, values, is_causal=count > 1)
        projected: Tensor = self.c_proj(mixed[0].transpose(0, 1).reshape(count, -1))
        return projected


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = _Projection(width, _MLP * width)
        self.c_proj = _Projection(_MLP * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        projected: Tensor = self.c_proj(functional.gelu(self.c_fc(hidden), approximate="tanh"))
        return projected


class _Projection(nn.Module):
    """A linear layer whose weight is [inputs, outputs], as GPT-2 keeps it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.bias, hidden, self.weight)
