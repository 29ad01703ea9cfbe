"""How a device runs the steps of the loop: one by one, or as a CUDA graph that it repeats by itself."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    Step = Callable[[], Tensor]
    Key = tuple[int, int]

_log = logging.getLogger(__name__)


class Steps:
    """Each step as it comes, and its tokens at once: a processor has nothing to wait for."""

    behind = 0
    """Steps that may have begun before the tokens of one are looked at."""
    positions = 64
    """By how many the cache grows."""
    keeps_cache = False
    """Whether the cache stays as large as it was needed, for it is part of what is repeated."""

    @staticmethod
    def of(device: torch.device) -> Steps:
        return Graphs(device) if device.type == "cuda" else Steps()

    def rows(self, count: int) -> int:
        """How many rows a step has that is for so many texts."""
        return count

    def run(self, key: Key, step: Step, state: Sequence[Tensor]) -> Tensor:
        """What a step returns, which later ones leave as it is.

        Args:
            key: its rows, and the generation of the cache; for the same key it is the same step.
            step: reads and changes tensors that stay where they are, and asks the device for nothing.
            state: those that a step changes, other than the cache.
        """
        del key, state
        return step()


class Graphs(Steps):
    """Steps that were recorded once for each key: hundreds of kernels, started by one call.

    Launching them one after the other takes many times as long as they compute. Where they cannot be
    recorded, they run as they come.
    """

    behind = 1
    positions = 544  # most texts fit, and the longest takes twice that
    keeps_cache = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream, self._pool = self._places()
        self._generation = -1
        self._recorded: dict[int, tuple[Callable[[], object], Tensor]] = {}
        self._works = True

    def rows(self, count: int) -> int:
        """The next power of two: few graphs are recorded, and a free row costs next to nothing."""
        return 1 << (count - 1).bit_length()

    def run(self, key: Key, step: Step, state: Sequence[Tensor]) -> Tensor:
        rows, generation = key
        if generation != self._generation:
            self._forget()
            self._generation = generation
        if self._works and rows not in self._recorded:
            self._try(rows, step, state)
        if not self._works:
            return step()
        replay, result = self._recorded[rows]
        replay()
        return result.clone()  # the next step writes where this one did

    def _try(self, rows: int, step: Step, state: Sequence[Tensor]) -> None:
        try:
            with self._aside():
                self._rehearse(step, state)
                self._recorded[rows] = self._record(step)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            _log.warning("the steps of XTTS v2 run without CUDA graphs, more slowly", exc_info=True)
            self._works = False

    def _rehearse(self, step: Step, state: Sequence[Tensor]) -> None:
        """Libraries get ready at the first use, which no graph may contain; nothing remains of it."""
        before = [tensor.clone() for tensor in state]
        try:
            step()
        finally:
            for tensor, kept in zip(state, before, strict=True):
                tensor.copy_(kept)

    # What follows runs with CUDA alone.

    def _places(self) -> tuple[Any, Any]:
        """The stream in which graphs are recorded, and the memory that they share."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return stream, torch.cuda.graph_pool_handle()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """On the stream where graphs are recorded, between what came before and what comes after."""
        own, usual = self._stream, torch.cuda.current_stream(self._device)
        own.wait_stream(usual)
        try:
            with torch.cuda.stream(own):
                yield
        finally:
            usual.wait_stream(own)

    def _record(self, step: Step) -> tuple[Callable[[], object], Tensor]:
        graph = torch.cuda.CUDAGraph()
        # All share one memory: their results are copied before another one runs.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = step()
        return graph.replay, result

    def _forget(self) -> None:
        """What was recorded reads and writes where the cache has been."""
        if self._recorded:
            torch.cuda.synchronize(self._device)
            self._recorded.clear()
            # PyTorch takes no memory again whose graphs are all gone.
            self._pool = torch.cuda.graph_pool_handle()
