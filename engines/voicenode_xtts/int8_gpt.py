"""The GPT as a processor is quickest at it: weights of eight bits, and steps that are compiled for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from voicenode_xtts import kernel, processor
from voicenode_xtts.gpt import GPT
from voicenode_xtts.linear import Linear, Rounded
from voicenode_xtts.projection import Int8Projection, Room
from voicenode_xtts.sums import LINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voicenode_xtts.cache import Cache
    from voicenode_xtts.gpt import Sizes


class Int8GPT(GPT):
    """A GPT whose `step` runs on one core, and leaves the others to the vocoder.

    Args:
        sizes: the architecture.
        wide: the type of a prompt's products, and of the cache.
    """

    def __init__(self, sizes: Sizes, wide: torch.dtype) -> None:
        room = Room(wide)
        super().__init__(sizes, lambda inputs, outputs: Int8Projection(inputs, outputs, room))
        self._blocks: list[kernel.Block] = []

    @torch.inference_mode()
    def step(self, embedded: Tensor, cache: Cache, lengths: Tensor) -> Tensor:
        """See `GPT.step`."""
        if self.sizes.width % LINE:  # of which whole ones are multiplied; the published models have them
            return super().step(embedded, cache, lengths)
        self._blocks = self._blocks or [_block(block) for block in self.gpt.h]
        texts, count = len(lengths), lengths.numpy()
        hidden = embedded.float().numpy().copy()
        scratch = _scratch(texts, self.sizes.width, cache.capacity)
        for block, keys, values in zip(self._blocks, cache.keys, cache.values, strict=True):
            earlier = kernel.Earlier(_array(keys[:texts]), _array(values[:texts]), count)
            kernel.step(hidden, block, earlier, scratch)
        latents: Tensor = self.final_norm(self.gpt.ln_f(torch.from_numpy(hidden)))
        return latents


def _block(block: Any) -> kernel.Block:  # noqa: ANN401  (a module's parts have no types)
    attention, mlp = block.attn, block.mlp
    return kernel.Block(
        _norm(block.ln_1), _linear(attention.c_attn), _linear(attention.c_proj),
        _norm(block.ln_2), _linear(mlp.c_fc), _linear(mlp.c_proj),
    )  # fmt: skip


def _norm(norm: nn.LayerNorm) -> kernel.Norm:
    return kernel.Norm(norm.weight.numpy(), norm.bias.numpy())


def _linear(layer: Int8Projection) -> Linear:
    return Linear(layer.weight.numpy(), layer.scale.float().numpy(), layer.bias.numpy())


def _scratch(texts: int, width: int, capacity: int) -> kernel.Scratch:
    def rows(*shape: int) -> NDArray[np.float32]:
        return np.empty(shape, np.float32)

    return kernel.Scratch(
        rows(capacity), rows(texts, width), rows(texts, 3 * width), rows(texts, 4 * width),
        Rounded.empty(texts, 4 * width),
    )  # fmt: skip


def _array(tensor: Tensor) -> kernel.CacheArray:
    """The same memory, in types that NumPy knows."""
    array: kernel.CacheArray = (
        tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    ).numpy()
    return array


def _compile() -> None:
    """All that a step needs, by a step of the smallest size."""
    norm = kernel.Norm(*np.ones((2, LINE), np.float32))
    mix, narrow, widen, back = (
        Linear(np.ones((outputs * LINE, inputs * LINE), np.int8), *np.ones((2, outputs * LINE), np.float32))
        for outputs, inputs in ((3, 1), (1, 1), (4, 1), (1, 4))
    )
    cache = _array(torch.zeros(1, 1, 1, LINE, dtype=processor.wide()))
    earlier = kernel.Earlier(cache, cache.reshape(1, 1, LINE, 1), np.zeros(1, np.int64))
    block = kernel.Block(norm, mix, narrow, norm, widen, back)
    kernel.step(np.ones((1, LINE), np.float32), block, earlier, _scratch(1, LINE, 1))


_compile()  # on import, which a fork server does ahead
