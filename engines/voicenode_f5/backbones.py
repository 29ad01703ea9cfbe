"""The two networks that predict the flow from noise to speech: DiT (F5-TTS) and the flat U-Net (E2 TTS)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from voicenode_f5.blocks import (
    HEAD,
    Attention,
    FeedForward,
    InputEmbedding,
    Modulation,
    ScaleNorm,
    TextEmbedding,
    TimeEmbedding,
    normalised,
    rotation,
)
from voicenode_f5.layers import Linear

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a checkpoint tells of its network."""

    mel: int
    dim: int
    depth: int
    attention: int
    """Channels of all heads."""
    inner: int
    """Channels inside a feed-forward block."""
    text_rows: int
    text_dim: int
    text_layers: int


class Backbone(nn.Module):
    """What the two have in common.

    Args:
        sizes: as found in the checkpoint.
        masked_text: whether frames without a token stay zero in the text embedding.
        rotary_heads: how many attention heads know positions; None for all.
    """

    layers_name: ClassVar[str]
    """How the checkpoints call the list of layers."""
    attention_name: ClassVar[str]
    feed_forward_name: ClassVar[str]

    def __init__(self, sizes: Sizes, *, masked_text: bool, rotary_heads: int | None) -> None:
        super().__init__()
        self.time_embed = TimeEmbedding(sizes.dim)
        self.text_embed = TextEmbedding(
            sizes.text_rows, sizes.text_dim, sizes.text_layers, masked=masked_text
        )
        self.input_embed = InputEmbedding(sizes.mel, sizes.text_dim, sizes.dim)
        self.proj_out = Linear(sizes.dim, sizes.mel)
        self.rotary_heads = sizes.attention // HEAD if rotary_heads is None else rotary_heads

    @classmethod
    def fits(cls, names: Iterable[str]) -> bool:
        """Whether these tensors may be those of this network."""
        return any(name.startswith(f"{cls.layers_name}.") for name in names)

    @classmethod
    def sizes(cls, shapes: Shapes) -> Sizes:
        """Read the sizes off the tensors' shapes.

        Raises:
            KeyError: the tensors are not those of this network.
        """
        mel, dim = shapes["proj_out.weight"]
        text_rows, text_dim = shapes["text_embed.text_embed.weight"]
        return Sizes(
            mel=mel,
            dim=dim,
            depth=_count(shapes, cls.layers_name),
            attention=shapes[f"{cls.layers_name}.0.{cls.attention_name}.to_q.weight"][0],
            inner=shapes[f"{cls.layers_name}.0.{cls.feed_forward_name}.ff.0.0.weight"][0],
            text_rows=text_rows,
            text_dim=text_dim,
            text_layers=_count(shapes, "text_embed.text_blocks"),
        )

    def forward(self, noisy: Tensor, reference: Tensor, texts: Tensor, time: Tensor) -> Tensor:
        """The flow at one point of time.

        Args:
            noisy: [frames, mel], where the flow has come to.
            reference: [batch, frames, mel], the reference and then zeros; all zeros where it shall not count.
            texts: [batch, frames, text_dim], from `text_embed`.
            time: a scalar from 0 to 1.

        Returns:
            [batch, frames, mel].
        """
        x = self.input_embed(noisy.expand_as(reference), reference, texts)
        flow: Tensor = self.proj_out(self._transformed(x, self.time_embed(time[None])))
        return flow

    def _transformed(self, x: Tensor, time: Tensor) -> Tensor:
        raise NotImplementedError


class DiT(Backbone):
    """Diffusion transformer: the time modulates every block."""

    layers_name = "transformer_blocks"
    attention_name = "attn"
    feed_forward_name = "ff"

    def __init__(self, sizes: Sizes, *, masked_text: bool, rotary_heads: int | None) -> None:
        super().__init__(sizes, masked_text=masked_text, rotary_heads=rotary_heads)
        self.transformer_blocks = nn.ModuleList(
            _DiTBlock(sizes, self.rotary_heads) for _ in range(sizes.depth)
        )
        self.norm_out = Modulation(sizes.dim, 2)

    def _transformed(self, x: Tensor, time: Tensor) -> Tensor:
        positions = rotation(x.shape[1], x.device)
        for block in self.transformer_blocks:
            x = block(x, time, positions)
        scale, shift = self.norm_out(time)
        out: Tensor = normalised(x) * (1 + scale) + shift
        return out


class _DiTBlock(nn.Module):
    def __init__(self, sizes: Sizes, rotary_heads: int) -> None:
        super().__init__()
        self.attn_norm = Modulation(sizes.dim, 6)
        self.attn = Attention(sizes.dim, sizes.attention, rotary_heads)
        self.ff = FeedForward(sizes.dim, sizes.inner)

    def forward(self, x: Tensor, time: Tensor, positions: tuple[Tensor, Tensor]) -> Tensor:
        shift, scale, gate, shift_inner, scale_inner, gate_inner = self.attn_norm(time)
        x = x + gate * self.attn(normalised(x) * (1 + scale) + shift, positions)
        out: Tensor = x + gate_inner * self.ff(normalised(x) * (1 + scale_inner) + shift_inner)
        return out


class UNetT(Backbone):
    """Transformer whose later half is fed with what the earlier half saw; the time is its first frame."""

    layers_name = "layers"
    attention_name = "2"
    feed_forward_name = "4"

    def __init__(self, sizes: Sizes, *, masked_text: bool, rotary_heads: int | None) -> None:
        super().__init__(sizes, masked_text=masked_text, rotary_heads=rotary_heads)
        self.layers = nn.ModuleList(
            self._layer(sizes, later=2 * n >= sizes.depth) for n in range(sizes.depth)
        )
        self.norm_out = ScaleNorm(sizes.dim)

    def _layer(self, sizes: Sizes, *, later: bool) -> nn.ModuleList:
        joined = Linear(2 * sizes.dim, sizes.dim, bias=False) if later else nn.Identity()
        attention = Attention(sizes.dim, sizes.attention, self.rotary_heads)
        feed_forward = FeedForward(sizes.dim, sizes.inner)
        return nn.ModuleList([joined, ScaleNorm(sizes.dim), attention, ScaleNorm(sizes.dim), feed_forward])

    def _transformed(self, x: Tensor, time: Tensor) -> Tensor:
        x = torch.cat((time[:, None].expand(len(x), -1, -1), x), dim=1)
        positions = rotation(x.shape[1], x.device)
        earlier: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            join, attention_norm, attention, norm, feed_forward = layer.children()
            if 2 * number < len(self.layers):
                earlier.append(x)
            else:
                x = join(torch.cat((x, earlier.pop()), dim=-1))
            x = attention(attention_norm(x), positions) + x
            x = feed_forward(norm(x)) + x
        out: Tensor = self.norm_out(x)
        return out[:, 1:]


def _count(shapes: Shapes, name: str) -> int:
    """How many numbered children a list of modules has."""
    return len(
        {key.removeprefix(f"{name}.").partition(".")[0] for key in shapes if key.startswith(f"{name}.")}
    )
