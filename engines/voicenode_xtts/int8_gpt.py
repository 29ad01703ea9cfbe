"""The GPT as a processor is quickest at it: weights of eight bits, and steps that are compiled for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from voicenode_xtts import kernel, processor, prompt, tile
from voicenode_xtts.cache import Prompt
from voicenode_xtts.gpt import GPT
from voicenode_xtts.linear import Linear, Rounded
from voicenode_xtts.projection import Int8Projection, Room
from voicenode_xtts.sums import LINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voicenode_xtts.cache import Cache
    from voicenode_xtts.gpt import Places, Sizes


class Int8GPT(GPT):
    """A GPT whose prompts run on all cores, and whose `step` on one, which leaves the others to the vocoder.

    Args:
        sizes: the architecture.
        wide: the type of the cache, and of a prompt's products where PyTorch computes them.
    """

    def __init__(self, sizes: Sizes, wide: torch.dtype) -> None:
        room = Room(wide)
        super().__init__(sizes, lambda inputs, outputs: Int8Projection(inputs, outputs, room))
        self._blocks: list[kernel.Block] = []
        self._prompts = prompt.Prompts(torch.get_num_threads()) if _is_compiled(sizes, wide) else None

    @torch.inference_mode()
    def forward(self, embedded: Tensor, places: Places) -> Tensor:
        """See `GPT.forward`."""
        if self._prompts is None or not isinstance(places, Prompt):
            return super().forward(embedded, places)
        hidden = embedded[0].float().numpy().copy()
        self._prompts.read(hidden, self._compiled_blocks(), _places(places))
        latents: Tensor = self.final_norm(self.gpt.ln_f(torch.from_numpy(hidden[-1:])))
        return latents

    @torch.inference_mode()
    def step(self, embedded: Tensor, cache: Cache, lengths: Tensor) -> Tensor:
        """See `GPT.step`."""
        if self.sizes.width % LINE:  # of which whole ones are multiplied; the published models have them
            return super().step(embedded, cache, lengths)
        texts, count = len(lengths), lengths.numpy()
        hidden = embedded.float().numpy().copy()
        scratch = _scratch(texts, self.sizes.width, cache.capacity)
        for block, keys, values in zip(self._compiled_blocks(), cache.keys, cache.values, strict=True):
            earlier = kernel.Earlier(_array(keys[:texts]), _array(values[:texts]), count)
            kernel.step(hidden, block, earlier, scratch)
        latents: Tensor = self.final_norm(self.gpt.ln_f(torch.from_numpy(hidden)))
        return latents

    def _compiled_blocks(self) -> list[kernel.Block]:
        self._blocks = self._blocks or [_block(block) for block in self.gpt.h]
        return self._blocks


def _is_compiled(sizes: Sizes, wide: torch.dtype) -> bool:
    """Whether prompts are read by what is compiled for this processor.

    One with matrices of its own (AMX) is quicker with PyTorch, which uses them.
    """
    matrices = torch.cpu._is_amx_tile_supported()  # noqa: SLF001  (has no other name)
    suits = wide == torch.bfloat16 and sizes.width == sizes.heads * prompt.FEATURES
    return suits and tile.available() and not matrices


def _places(places: Prompt) -> list[prompt.Places]:
    cache, slot = places.cache, places.slot
    return [
        prompt.Places(_bits(keys[slot]), _bits(values[slot]), places.past)
        for keys, values in zip(cache.keys, cache.values, strict=True)
    ]


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
    array: kernel.CacheArray = _bits(tensor) if tensor.dtype == torch.bfloat16 else tensor.numpy()
    return array


def _bits(tensor: Tensor) -> NDArray[np.uint16]:
    bits: NDArray[np.uint16] = tensor.view(torch.uint16).numpy()
    return bits


def _compile() -> None:
    """All that a step and a prompt need, by ones of the smallest size."""
    width = prompt.FEATURES
    norm = kernel.Norm(*np.ones((2, width), np.float32))
    mix, attended, widen, narrow = (
        Linear(np.ones((outputs, inputs), np.int8), *np.ones((2, outputs), np.float32))
        for outputs, inputs in ((3 * width, width), (width, width), (4 * width, width), (width, 4 * width))
    )
    block = kernel.Block(norm, mix, attended, norm, widen, narrow)
    hidden, cache = np.ones((1, width), np.float32), torch.zeros(1, 1, width, width, dtype=processor.wide())
    earlier = kernel.Earlier(_array(cache), _array(cache), np.zeros(1, np.int64))
    kernel.step(hidden, block, earlier, _scratch(1, width, width))
    if tile.available():
        places = _bits(cache[0].bfloat16())
        prompt.Prompts(1).read(hidden, [block], [prompt.Places(places, places, 0)])


_compile()  # on import, which a fork server does ahead
