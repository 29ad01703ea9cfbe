"""Keys and values of several texts that are spoken at once, and the places where further ones go."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from voicenode_xtts.gpt import Sizes


class Cache:
    """One slot for each text, layer by layer; keys lie with their features last, values with their positions.

    So both products of the attention read memory in its order. Both are always read whole, for a part of them
    would be copied first; so the capacity is what is needed by now, and grows.
    """

    def __init__(self, sizes: Sizes, dtype: torch.dtype, device: torch.device, step: int = 64) -> None:
        """`step` is the number of positions by which the capacity grows."""
        self._step = step
        self.generation = 0
        """Another one whenever keys and values have moved."""
        self._heads, self._features = sizes.heads, sizes.width // sizes.heads
        self._like = torch.empty(0, dtype=dtype, device=device)
        self.keys, self.values = ([like] * sizes.layers for like in self._empty(0, 0))

    @property
    def capacity(self) -> int:
        """Positions of each slot."""
        return self.values[0].shape[-1]

    def reserve(self, slots: int, positions: int) -> None:
        """Have room for so many texts of so many positions."""
        kept_slots, kept = len(self.keys[0]), self.capacity
        if slots > kept_slots or positions > kept:
            self.generation += 1
            slots, positions = max(slots, kept_slots), max(-(-positions // self._step) * self._step, kept)
            for layer, (old_keys, old_values) in enumerate(zip(self.keys, self.values, strict=True)):
                # One layer after the other, so that memory holds but one of them twice.
                keys, values = self._empty(slots, positions)
                keys[:kept_slots, :, :kept], values[:kept_slots, ..., :kept] = old_keys, old_values
                self.keys[layer], self.values[layer] = keys, values

    def clear(self) -> None:
        """Give all memory back."""
        self.generation += 1
        for kept, empty in zip((self.keys, self.values), self._empty(0, 0), strict=True):
            kept[:] = [empty] * len(kept)

    def move(self, source: int, target: int, length: int) -> None:
        """Put the first positions of one slot into another."""
        for keys, values in zip(self.keys, self.values, strict=True):
            keys[target, :, :length] = keys[source, :, :length]
            values[target, ..., :length] = values[source, ..., :length]

    def saved(self, slot: int, length: int) -> list[tuple[Tensor, Tensor]]:
        """A copy of the first positions of a slot, layer by layer."""
        return [
            (keys[slot, :, :length].clone(), values[slot, ..., :length].clone())
            for keys, values in zip(self.keys, self.values, strict=True)
        ]

    def restore(self, slot: int, saved: list[tuple[Tensor, Tensor]]) -> None:
        """Begin a slot with what was saved of another."""
        length = saved[0][1].shape[-1]
        for layer, (keys, values) in enumerate(saved):
            self.keys[layer][slot, :, :length], self.values[layer][slot, ..., :length] = keys, values

    def _empty(self, slots: int, positions: int) -> tuple[Tensor, Tensor]:
        """Zeros: what lies beyond a text is looked at and masked, and so has to be a number."""
        return (
            _zeros(self._like, slots, self._heads, positions, self._features),
            _zeros(self._like, slots, self._heads, self._features, positions),
        )


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """On a processor, in memory that the system takes back at once: on the heap, what grows leaves holes.

    Shared memory, which Python maps unless told otherwise, takes half as long again to get and to give back.
    """
    size = prod(shape) * like.element_size()
    if like.device.type != "cpu" or not size:
        return like.new_zeros(shape)
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Where a run of positions of one text goes: into `slot`, after `past` others."""

    cache: Cache
    slot: int
    past: int
    count: int

    def mask(self) -> Tensor:
        """What each position sees: itself, and all before it."""
        like = self.cache.keys[0]
        seen = torch.ones(self.count, self.past + self.count, dtype=torch.bool, device=like.device)
        return like.new_zeros(seen.shape).masked_fill(~seen.tril(self.past), -torch.inf)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in keys and values, [1, heads, count, features], and tell all up to here."""
        end = self.past + self.count
        kept_keys, kept_values = self.cache.keys[layer][self.slot], self.cache.values[layer][self.slot]
        kept_keys[:, self.past : end] = keys[0]
        kept_values[..., self.past : end] = values[0].transpose(1, 2)
        return kept_keys[None, :, :end], kept_values[None, ..., :end]


@dataclass(frozen=True, slots=True)
class Step:
    """Where one position of each of the first texts goes; `lengths` are how many they have so far."""

    cache: Cache
    lengths: Tensor

    def mask(self) -> Tensor:
        """What each text sees: all that it has."""
        like = self.cache.keys[0]
        beyond = torch.arange(self.cache.capacity, device=like.device) > self.lengths[:, None]
        return like.new_zeros(beyond.shape).masked_fill(beyond, -torch.inf)[:, None, None]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in keys and values, [texts, heads, 1, features], and tell all that is in the cache."""
        count = len(self.lengths)
        slots = torch.arange(count, device=self.lengths.device)
        kept_keys, kept_values = self.cache.keys[layer][:count], self.cache.values[layer][:count]
        kept_keys[slots, :, self.lengths] = keys[:, :, 0].to(kept_keys.dtype)
        kept_values[slots, :, :, self.lengths] = values[:, :, 0].to(kept_values.dtype)
        return kept_keys, kept_values
