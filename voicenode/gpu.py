"""What NVIDIA's driver tells of the GPUs, and of who holds their memory; asked through NVML.

Every function initialises NVML and lets go of it: nothing of a GPU is held in between. The first look at a
GPU that nobody uses may take a second, so none of this belongs on an event loop.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_PERMISSION, _DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND, _GPU_IS_LOST, _VERSION_MISMATCH = 4, 9, 12, 15, 18
"""NVML's `nvmlReturn_t`."""
_EXPLAINED = {
    _NO_PERMISSION: "this user may not use the GPU; add it to the groups video and render",
    _DRIVER_NOT_LOADED: "NVIDIA's driver is installed, but not loaded; restart the machine, or load it with "
    "`modprobe nvidia`",
    _GPU_IS_LOST: "a GPU does not answer any more; restart the machine",
    _VERSION_MISMATCH: "NVIDIA's driver was updated while it ran; restart the machine",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; its memory in bytes."""

    name: str
    uuid: str
    """Such as GPU-1b9a..., the same in every order of the devices."""
    total: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs of the machine."""

    driver: str
    cuda: tuple[int, int]
    """The newest CUDA that the driver runs."""
    gpus: tuple[Gpu, ...]


class NvmlError(Exception):
    """NVML tells nothing; the sentence says why, and what to do."""


class NoNvmlError(NvmlError):
    """There is no driver, or nothing to ask it with."""


def look() -> Gpus:
    """What there is.

    Raises:
        NvmlError: it cannot be told.
    """
    with _nvml() as nvml:
        cuda = nvml.nvmlSystemGetCudaDriverVersion()  # 13020 for 13.2
        gpus = tuple(_gpu(nvml, handle) for handle in _handles(nvml))
        return Gpus(nvml.nvmlSystemGetDriverVersion(), (cuda // 1000, cuda % 1000 // 10), gpus)


def vram_by_process() -> Mapping[int, int] | None:
    """Process id -> bytes that it holds on all GPUs together; None where NVML does not tell.

    A process whose memory the driver does not count is left out. In a container without the machine's process
    ids, NVML's are of no use: none of them is one of its own.
    """
    held: Counter[int] = Counter()
    try:
        with _nvml() as nvml:
            for handle in _handles(nvml):
                for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                    if process.usedGpuMemory is not None:
                        held[process.pid] += process.usedGpuMemory
    except NvmlError:
        return None
    return held


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device of engines, as they name it: auto, cuda or cuda:N; None if unknown."""
    index = _index(device)
    if index is None:
        return None
    try:
        with _nvml() as nvml:
            gpus = _seen_by_cuda([_gpu(nvml, handle) for handle in _handles(nvml)])
    except NvmlError:
        return None
    return gpus[index].free if index < len(gpus) else None


def is_same(device: str, other: str) -> bool:
    """Whether two names mean one device, as far as they tell."""
    return device == other or _index(device) == _index(other)


def _index(device: str) -> int | None:
    """CUDA's number of a device; None for what is none of CUDA's."""
    name, _, number = device.partition(":")
    return (int(number) if number.isdecimal() else 0) if name in {"auto", "cuda"} else None


def _seen_by_cuda(gpus: list[Gpu]) -> list[Gpu]:
    """In CUDA's order, which is NVML's where CUDA_DEVICE_ORDER is PCI_BUS_ID.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    seen: list[Gpu] = []
    for name in (part.strip() for part in visible.split(",")):
        found = gpus[int(name) : int(name) + 1] if name.isdecimal() else _named(gpus, name)
        if not found:  # CUDA does not look behind what it does not know
            break
        seen += found
    return seen


def _named(gpus: list[Gpu], prefix: str) -> list[Gpu]:
    """By the beginning of a UUID."""
    return [gpu for gpu in gpus if prefix and gpu.uuid.startswith(prefix)][:1]


@contextmanager
def _nvml() -> Iterator[Any]:
    """NVIDIA's own module, ready to be asked."""
    try:
        nvml = import_module("pynvml")  # from an extra
    except ImportError as error:
        raise NoNvmlError(
            "GPUs cannot be seen without nvidia-ml-py; run `pip install nvidia-ml-py` where there is one"
        ) from error
    try:
        nvml.nvmlInit()
        try:
            yield nvml
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise _explained(error) from error


def _explained(error: Any) -> NvmlError:  # noqa: ANN401 (an NVMLError, whose module may not be there)
    if error.value == _LIBRARY_NOT_FOUND:
        return NoNvmlError("there is no NVIDIA driver; where there is a GPU, install one")
    return NvmlError(
        _EXPLAINED.get(error.value) or f"NVIDIA's driver does not work ({error}); install it again"
    )


def _handles(nvml: Any) -> list[Any]:  # noqa: ANN401 (a module that may not be there)
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def _gpu(nvml: Any, handle: Any) -> Gpu:  # noqa: ANN401 (likewise)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
    return Gpu(name, uuid, memory.total, memory.used, memory.free)
