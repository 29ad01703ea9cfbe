"""What a device computes beside the loop, and how it arrives without anybody waiting for the device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from torch import Tensor


class Arrived:
    """A tensor that is here: where it was computed, or copied from its device."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    @property
    def here(self) -> bool:
        """Whether `take` would return at once."""
        return True

    def take(self) -> Tensor:
        """The tensor in the memory of this processor; waits until it is there."""
        return self._tensor


class Arriving(Arrived):
    """A copy that is under way from a GPU, behind all that the current stream has been given."""

    def __init__(self, tensor: Tensor) -> None:
        # Only to pinned memory is a copy made while this processor goes on.
        super().__init__(torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True))
        self._tensor.copy_(tensor, non_blocking=True)
        # Who waits for it sleeps: to wait in a loop would take a whole processor.
        self._end = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._end.record()

    @property
    def here(self) -> bool:
        return bool(self._end.query())  # type: ignore[no-untyped-call]

    def take(self) -> Tensor:
        self._end.synchronize()
        return self._tensor


def fetch(tensor: Tensor) -> Arrived:
    """The same values for this processor; what is written over the tensor later does not change them."""
    return Arriving(tensor) if tensor.is_cuda else Arrived(tensor.clone())


class Promised(Arrived):
    """What another thread computes."""

    def __init__(self, future: Future[Tensor]) -> None:
        self._future = future

    @property
    def here(self) -> bool:
        return self._future.done()

    def take(self) -> Tensor:
        return self._future.result()


class Beside:
    """Where the vocoder computes while tokens are made: here, in between."""

    def run(self, work: Callable[[], Tensor], *given: Tensor) -> Arrived:
        """What `work` computes, after all that was asked for before; it reads what is `given`."""
        del given
        return fetch(work())


class SideThread(Beside):
    """Another thread, for a step that leaves processor cores to it.

    Args:
        threads: how many cores.
    """

    def __init__(self, threads: int) -> None:
        # PyTorch keeps this number for each thread that asks.
        self._pool = ThreadPoolExecutor(1, "beside", torch.set_num_threads, (threads,))
        self._pool.submit(torch.get_num_threads).result()  # started now, not when the first sound is awaited

    def run(self, work: Callable[[], Tensor], *given: Tensor) -> Arrived:
        """See `Beside.run`."""
        del given
        return Promised(self._pool.submit(work))


class SideStream(Beside):
    """A second stream of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, work: Callable[[], Tensor], *given: Tensor) -> Arrived:
        """See `Beside.run`."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            arrived = fetch(work())
        for tensor in given:
            # It was made in the other stream, which must not use its memory again before this one is done.
            tensor.record_stream(self._stream)
        return arrived
